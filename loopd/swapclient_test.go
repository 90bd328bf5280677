package loopd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/internal/testkit/grpctest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// theAddress is the static address of the tests; otherAddress belongs
	// to somebody else.
	theAddress   = "bcrt1pthestaticaddress"
	otherAddress = "bcrt1potheraddress"
)

// txid is the transaction of the deposits of the tests.
var txid = strings.Repeat("ab", 32)

// stubDaemon is an embedded daemon that answers from its fields.
type stubDaemon struct {
	looprpc.UnimplementedSwapClientServer

	// made is called when an address is made, with the call's context.
	made func(context.Context) error

	// spent counts the calls that would have spent something.
	spent atomic.Int32
}

// NewStaticAddress implements looprpc.SwapClientServer.
func (s *stubDaemon) NewStaticAddress(ctx context.Context,
	_ *looprpc.NewStaticAddressRequest) (*looprpc.NewStaticAddressResponse,
	error) {

	if s.made != nil {
		if err := s.made(ctx); err != nil {
			return nil, err
		}
	}

	return &looprpc.NewStaticAddressResponse{Address: theAddress}, nil
}

// GetStaticAddressSummary implements looprpc.SwapClientServer.
func (s *stubDaemon) GetStaticAddressSummary(context.Context,
	*looprpc.StaticAddressSummaryRequest) (
	*looprpc.StaticAddressSummaryResponse, error) {

	return &looprpc.StaticAddressSummaryResponse{
		StaticAddress: strings.ToUpper(theAddress), TotalNumDeposits: 3,
	}, nil
}

// ListUnspentDeposits implements looprpc.SwapClientServer.
func (s *stubDaemon) ListUnspentDeposits(context.Context,
	*looprpc.ListUnspentDepositsRequest) (
	*looprpc.ListUnspentDepositsResponse, error) {

	return &looprpc.ListUnspentDepositsResponse{Utxos: []*looprpc.Utxo{
		{StaticAddress: theAddress, AmountSat: 7},
		{StaticAddress: otherAddress},
	}}, nil
}

// Monitor implements looprpc.SwapClientServer.
func (s *stubDaemon) Monitor(_ *looprpc.MonitorRequest,
	stream looprpc.SwapClient_MonitorServer) error {

	err := stream.Send(&looprpc.SwapStatus{
		Label: "pay to " + theAddress, HtlcAddressP2Tr: otherAddress,
	})
	if err != nil {
		return err
	}
	<-stream.Context().Done()

	return stream.Context().Err()
}

// WithdrawDeposits implements looprpc.SwapClientServer.
func (s *stubDaemon) WithdrawDeposits(context.Context,
	*looprpc.WithdrawDepositsRequest) (*looprpc.WithdrawDepositsResponse,
	error) {

	s.spent.Add(1)

	return &looprpc.WithdrawDepositsResponse{}, nil
}

// StaticAddressLoopIn implements looprpc.SwapClientServer.
func (s *stubDaemon) StaticAddressLoopIn(context.Context,
	*looprpc.StaticAddressLoopInRequest) (
	*looprpc.StaticAddressLoopInResponse, error) {

	s.spent.Add(1)

	return &looprpc.StaticAddressLoopInResponse{}, nil
}

// StaticOpenChannel implements looprpc.SwapClientServer.
func (s *stubDaemon) StaticOpenChannel(context.Context,
	*looprpc.StaticOpenChannelRequest) (*looprpc.StaticOpenChannelResponse,
	error) {

	s.spent.Add(1)

	return &looprpc.StaticOpenChannelResponse{}, nil
}

// GetLiquidityParams panics, as a handler of upstream may.
func (s *stubDaemon) GetLiquidityParams(context.Context,
	*looprpc.GetLiquidityParamsRequest) (*looprpc.LiquidityParameters,
	error) {

	panic("no parameters")
}

// wrapperHarness is the wrapper on an embedded daemon and ports in memory.
type wrapperHarness struct {
	looprpc.SwapClientClient

	conn   *grpc.ClientConn
	daemon *stubDaemon

	// down, guard, watch and protect are what the ports answer.
	down, guard, watch, protect error

	// endLife ends the embedded daemon.
	endLife context.CancelFunc

	provisional []wire.OutPoint
	calls       atomic.Int32
	stopped     atomic.Int32
	watched     atomic.Int32
	born        []string
	fatal       chan error
}

// newWrapper serves the wrapper.
func newWrapper(t *testing.T) *wrapperHarness {
	t.Helper()

	h := &wrapperHarness{daemon: &stubDaemon{}, fatal: make(chan error, 1)}
	life, endLife := context.WithCancel(t.Context())
	h.endLife = endLife
	enter := func(context.Context) (*admitted, error) {
		if h.down != nil {
			return nil, h.down
		}
		h.calls.Add(1)

		return &admitted{
			server: h.daemon, life: life,
			done: func() { h.calls.Add(-1) },
		}, nil
	}
	wrapper := newSwapClient(swapClientConfig{
		enter: enter,
		enterStream: func(ctx context.Context) (*admitted,
			context.Context, error) {

			call, err := enter(ctx)
			ctx, cancel := context.WithCancel(ctx)
			context.AfterFunc(life, cancel)

			return call, ctx, err
		},
		stop: func() { h.stopped.Add(1) },
		provisional: func(context.Context) ([]wire.OutPoint, error) {
			return h.provisional, nil
		},
		address: h.addressConfig(),
	})
	catcher := &catcher{fatal: func(err error) { h.fatal <- err }}
	h.conn = grpctest.Serve(
		t, wrapper.register, grpc.UnaryInterceptor(catcher.unary),
		grpc.StreamInterceptor(catcher.stream),
	)
	h.SwapClientClient = looprpc.NewSwapClientClient(h.conn)

	return h
}

// addressConfig returns the ports of the address desk.
func (h *wrapperHarness) addressConfig() addressConfig {
	return addressConfig{
		hrp:   "bcrt",
		guard: func() error { return h.guard },
		addresses: func(context.Context) ([]string, error) {
			return []string{theAddress}, nil
		},
		watch: func(context.Context) error {
			h.watched.Add(1)
			return h.watch
		},
		protect: func(context.Context) error { return h.protect },
		birth: func(context.Context) func(context.Context) {
			h.born = append(h.born, "before")

			return func(context.Context) {
				h.born = append(h.born, "after")
			}
		},
	}
}

// TestEveryMethodIsHandled checks that what is done around a method was thought
// about for each, and for no other.
func TestEveryMethodIsHandled(t *testing.T) {
	names := allMethods()
	for _, stream := range looprpc.SwapClient_ServiceDesc.Streams {
		names = append(names, stream.StreamName)
	}
	for _, name := range names {
		_, ok := handlings[name]
		require.True(t, ok, "%s is new: see methods.go", name)
	}
	require.Len(t, handlings, len(names))
}

// TestEveryMethodAnswersWhileDown checks that each method of upstream's service
// says why it cannot answer, rather than hang or be missing; but one: whoever
// wants the process to end wants it in just those states.
func TestEveryMethodAnswersWhileDown(t *testing.T) {
	h := newWrapper(t)
	for _, reason := range []states.Reason{
		states.Starting, states.RecoveryActive, states.Standby,
		states.LndDown,
	} {
		h.down = recoveryrpc.StatusError(reason, "")
		for _, name := range allMethods() {
			err := h.conn.Invoke(
				t.Context(), "/looprpc.SwapClient/"+name,
				&looprpc.TermsRequest{},
				&looprpc.TokensResponse{},
			)
			switch name {
			case "StopDaemon":
				require.NoError(t, err)

			case "SetLiquidityParams":
				requireRefused(t, err, states.BadRequest)

			default:
				requireReason(t, err, reason)
			}
		}

		stream, err := h.Monitor(t.Context(), &looprpc.MonitorRequest{})
		require.NoError(t, err)
		_, err = stream.Recv()
		requireReason(t, err, reason)
	}
	require.EqualValues(t, 4, h.stopped.Load())
}

// TestStopDaemonEndsTheProcess checks that it needs no embedded daemon, and
// does not reach one that is there: its end is part of ours.
func TestStopDaemonEndsTheProcess(t *testing.T) {
	h := newWrapper(t)
	_, err := h.StopDaemon(t.Context(), &looprpc.StopDaemonRequest{})
	require.NoError(t, err)
	require.EqualValues(t, 1, h.stopped.Load())
}

// TestKnownPanicsAreRefused checks that each request with which upstream is
// known to dereference nil is refused before it gets there. The list is what
// package internal/contract found.
func TestKnownPanicsAreRefused(t *testing.T) {
	file, err := os.Open("../internal/contract/testdata/panics.txt")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })

	known := map[string]proto.Message{
		"SetLiquidityParams without [parameters]": &looprpc.
			SetLiquidityParamsRequest{},
		"LoopOut without [asset_rfq_info]": &looprpc.LoopOutRequest{
			AssetInfo: &looprpc.AssetLoopOutRequest{},
		},
	}
	found := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		found++
		request, ok := known[lines.Text()]
		require.True(t, ok, "refuse it: %s", lines.Text())
		requireRefused(t, refuseNil(request), states.BadRequest)
	}
	require.Len(t, known, found)

	require.NoError(t, refuseNil(&looprpc.SetLiquidityParamsRequest{
		Parameters: &looprpc.LiquidityParameters{},
	}))
	require.NoError(t, refuseNil(&looprpc.LoopOutRequest{}))
}

// TestPanicEndsTheProcess checks that another panic of upstream is answered,
// and ends the process: a lock that was held stays held.
func TestPanicEndsTheProcess(t *testing.T) {
	h := newWrapper(t)
	_, err := h.GetLiquidityParams(
		t.Context(), &looprpc.GetLiquidityParamsRequest{},
	)
	requireCode(t, err, "Internal")
	require.NotContains(t, err.Error(), "no parameters")
	require.ErrorContains(t, <-h.fatal, "GetLiquidityParams")
	require.Zero(t, h.calls.Load())
}

// TestPanicOfOurs checks that a panic of our own service ends its call alone.
func TestPanicOfOurs(t *testing.T) {
	catcher := &catcher{fatal: func(err error) {
		require.Fail(t, "the process ends", "%v", err)
	}}
	_, err := catcher.unary(
		t.Context(), nil, &grpc.UnaryServerInfo{
			FullMethod: recoveryrpc.
				Recovery_GetRecovery_FullMethodName,
		}, func(context.Context, any) (any, error) { panic("ours") },
	)
	requireCode(t, err, "Internal")

	err = catcher.stream(nil, nil, &grpc.StreamServerInfo{
		FullMethod: recoveryrpc.
			Recovery_SubscribeRecovery_FullMethodName,
	}, func(any, grpc.ServerStream) error { panic("ours") })
	requireCode(t, err, "Internal")
}

// TestStreamEndsWithTheDaemon checks that a stream does not outlive what feeds
// it, and that a panic in one is caught.
func TestStreamEndsWithTheDaemon(t *testing.T) {
	h := newWrapper(t)
	stream, err := h.Monitor(t.Context(), &looprpc.MonitorRequest{})
	require.NoError(t, err)
	_, err = stream.Recv()
	require.NoError(t, err)

	h.endLife()
	_, err = stream.Recv()
	require.Error(t, err)
}

// TestSpending checks that a deposit that may be spent already is recognised
// however upstream's parser lets a request name it, in each of the calls that
// spend, and that nothing else is refused.
func TestSpending(t *testing.T) {
	outpoint, err := wire.NewOutPointFromString(txid + ":1")
	require.NoError(t, err)
	other := strings.Repeat("cd", 32)

	upper := strings.ToUpper(txid)
	for name, refused := range map[string]bool{
		txid + ":1": true, upper + ":1": true, txid + ":01": true,
		txid + ":00000001": true, txid + ":2": false,
		other + ":1": false,
	} {
		h := newWrapper(t)
		h.provisional = []wire.OutPoint{*outpoint}
		requireSpending(t, h, name, refused)

		// Without a provisional deposit nothing is refused.
		h.provisional = nil
		requireSpending(t, h, name, false)
	}

	// What upstream would not read either is refused and named so.
	for _, name := range []string{"", txid, " " + txid + ":1", "zz:1"} {
		h := newWrapper(t)
		h.provisional = []wire.OutPoint{*outpoint}
		_, err := h.StaticAddressLoopIn(
			t.Context(), &looprpc.StaticAddressLoopInRequest{
				Outpoints: []string{name},
			},
		)
		requireRefused(t, err, states.BadRequest)
		require.Zero(t, h.daemon.spent.Load())
	}
}

// requireSpending checks whether the three calls that spend are refused.
func requireSpending(t *testing.T, h *wrapperHarness, name string,
	refused bool) {

	t.Helper()

	before := h.daemon.spent.Load()
	hash, index, _ := strings.Cut(name, ":")
	number := uint32(index[len(index)-1] - '0')
	named := []*lnrpc.OutPoint{{
		TxidStr: hash, OutputIndex: number,
		TxidBytes: make([]byte, 32),
	}}

	_, withdraw := h.WithdrawDeposits(
		t.Context(), &looprpc.WithdrawDepositsRequest{Outpoints: named},
	)
	_, loopIn := h.StaticAddressLoopIn(
		t.Context(), &looprpc.StaticAddressLoopInRequest{
			Outpoints: []string{name},
		},
	)
	_, open := h.StaticOpenChannel(
		t.Context(), &looprpc.StaticOpenChannelRequest{
			OpenChannelRequest: &lnrpc.OpenChannelRequest{
				Outpoints: named,
			},
		},
	)
	for _, err := range []error{withdraw, loopIn, open} {
		if refused {
			requireRefused(t, err, states.DepositUnverified)
			require.Equal(t, txid+":1", recoveryrpc.DetailOf(err))
			continue
		}
		require.NoError(t, err, name)
	}
	if refused {
		require.Equal(t, before, h.daemon.spent.Load())
	}
}

// TestSpendingUnnamed checks that a request that leaves the choice to the
// embedded daemon is refused while one of the deposits may be spent.
func TestSpendingUnnamed(t *testing.T) {
	outpoint, err := wire.NewOutPointFromString(txid + ":1")
	require.NoError(t, err)
	h := newWrapper(t)
	h.provisional = []wire.OutPoint{*outpoint}

	_, err = h.WithdrawDeposits(t.Context(),
		&looprpc.WithdrawDepositsRequest{All: true})
	requireRefused(t, err, states.DepositUnverified)
	_, err = h.StaticAddressLoopIn(t.Context(),
		&looprpc.StaticAddressLoopInRequest{Amount: 250_000})
	requireRefused(t, err, states.DepositUnverified)
	_, err = h.StaticOpenChannel(t.Context(),
		&looprpc.StaticOpenChannelRequest{})
	requireRefused(t, err, states.DepositUnverified)

	_, err = namedDeposits(&looprpc.GetInfoRequest{})
	require.Error(t, err)
}

// FuzzNamedDeposits checks that every spelling that upstream's parser takes is
// read as the deposit that upstream reads.
func FuzzNamedDeposits(f *testing.F) {
	for _, seed := range []string{
		txid + ":1", strings.ToUpper(txid) + ":01", txid + ":+1",
		" " + txid + ":1", ":", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, wantErr := wire.NewOutPointFromString(text)
		got, err := namedDeposits(&looprpc.StaticAddressLoopInRequest{
			Outpoints: []string{text},
		})
		require.Equal(t, wantErr == nil, err == nil)
		if err == nil {
			require.Equal(t, []wire.OutPoint{*want}, got)
		}
	})
}

// errTest is an error of a port.
var errTest = errors.New("does not work")

// TestUnprotectedAddressIsNotShown checks that an address whose backup is not
// durable leaves the process in no answer, whatever method gives it and however
// it is written, while the rest of the answer does.
func TestUnprotectedAddressIsNotShown(t *testing.T) {
	h := newWrapper(t)
	h.protect = recoveryrpc.StatusError(states.NotProtected, "disk full")

	_, err := h.NewStaticAddress(
		t.Context(), &looprpc.NewStaticAddressRequest{},
	)
	requireRefused(t, err, states.NotProtected)
	requireWithheld(t, h, string(states.NotProtected))

	h.protect = nil
	requireShown(t, h)
}

// TestUnwatchedAddressIsNotShown checks that an address that lnd does not watch
// is not handed out: upstream imports it once, and what is paid to it after an
// interruption would be seen by nobody. It is imported before it is shown, once
// in a life of the embedded daemon.
func TestUnwatchedAddressIsNotShown(t *testing.T) {
	h := newWrapper(t)
	h.watch = errTest
	_, err := h.NewStaticAddress(
		t.Context(), &looprpc.NewStaticAddressRequest{},
	)
	requireRefused(t, err, states.AddressUnwatched)
	requireWithheld(t, h, string(states.AddressUnwatched))

	h.watch = nil
	before := h.watched.Load()
	requireShown(t, h)
	requireShown(t, h)
	require.EqualValues(t, before+1, h.watched.Load())
}

// TestGuardedAddress checks that nothing is made, bought or shown while a place
// that may hold the missing half has not answered.
func TestGuardedAddress(t *testing.T) {
	h := newWrapper(t)
	h.guard = recoveryrpc.StatusError(states.PlacesUnanswered, "/mnt/x")
	h.daemon.made = func(context.Context) error {
		require.Fail(t, "an address was made")
		return nil
	}
	_, err := h.NewStaticAddress(
		t.Context(), &looprpc.NewStaticAddressRequest{},
	)
	requireReason(t, err, states.PlacesUnanswered)
	require.Empty(t, h.born)
	requireWithheld(t, h, string(states.PlacesUnanswered))
}

// TestNewAddressOutlivesItsCaller checks that the making of an address goes on
// when the caller goes away: broken off between the row and the import it would
// leave an address that nobody watches.
func TestNewAddressOutlivesItsCaller(t *testing.T) {
	h := newWrapper(t)
	ctx, goAway := context.WithCancel(t.Context())
	made := make(chan error, 1)
	h.daemon.made = func(callCtx context.Context) error {
		goAway()
		<-ctx.Done()
		made <- callCtx.Err()

		return nil
	}
	_, err := h.NewStaticAddress(ctx, &looprpc.NewStaticAddressRequest{})
	require.Error(t, err)
	require.NoError(t, <-made)
}

// TestNewAddressFails checks that the error of upstream is passed on, and that
// what was seen of the pair is recorded whatever it is.
func TestNewAddressFails(t *testing.T) {
	h := newWrapper(t)
	h.daemon.made = func(context.Context) error { return errTest }
	_, err := h.NewStaticAddress(
		t.Context(), &looprpc.NewStaticAddressRequest{},
	)
	require.ErrorContains(t, err, errTest.Error())
	require.Equal(t, []string{"before", "after"}, h.born)
}

// requireWithheld checks that no answer shows the address but says why, and
// that everything else in it stands.
func requireWithheld(t *testing.T, h *wrapperHarness, reason string) {
	t.Helper()

	summary, err := h.GetStaticAddressSummary(
		t.Context(), &looprpc.StaticAddressSummaryRequest{},
	)
	require.NoError(t, err)
	require.NotContains(t, strings.ToLower(summary.String()), theAddress)
	require.Contains(t, summary.StaticAddress, reason)
	require.EqualValues(t, 3, summary.TotalNumDeposits)

	unspent, err := h.ListUnspentDeposits(
		t.Context(), &looprpc.ListUnspentDepositsRequest{},
	)
	require.NoError(t, err)
	require.NotContains(t, unspent.String(), theAddress)
	require.EqualValues(t, 7, unspent.Utxos[0].AmountSat)
	require.Equal(t, otherAddress, unspent.Utxos[1].StaticAddress)

	swap := firstStatus(t, h)
	require.NotContains(t, swap.String(), theAddress)
	require.Equal(t, otherAddress, swap.HtlcAddressP2Tr)
}

// requireShown checks that every answer shows the address.
func requireShown(t *testing.T, h *wrapperHarness) {
	t.Helper()

	resp, err := h.NewStaticAddress(
		t.Context(), &looprpc.NewStaticAddressRequest{},
	)
	require.NoError(t, err)
	require.Equal(t, theAddress, resp.Address)
	summary, err := h.GetStaticAddressSummary(
		t.Context(), &looprpc.StaticAddressSummaryRequest{},
	)
	require.NoError(t, err)
	require.Equal(t, strings.ToUpper(theAddress), summary.StaticAddress)
	require.Contains(t, firstStatus(t, h).Label, theAddress)
}

// firstStatus returns the first message of the stream.
func firstStatus(t *testing.T, h *wrapperHarness) *looprpc.SwapStatus {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := h.Monitor(ctx, &looprpc.MonitorRequest{})
	require.NoError(t, err)
	swap, err := stream.Recv()
	require.NoError(t, err)

	return swap
}

// TestEachString checks that a string is found wherever a message can hold
// one, in every answer that upstream can give.
func TestEachString(t *testing.T) {
	methods := looprpc.File_client_proto.Services().ByName("SwapClient").
		Methods()
	for i := range methods.Len() {
		message := dynamicMessage(t, methods.Get(i).Output())
		filled := fillStrings(message, 3)
		changed := 0
		eachString(message, func(text string) string {
			require.Equal(t, theAddress, text)
			changed++

			return "x"
		})
		require.Equal(t, filled, changed)
		require.NotContains(
			t, fmt.Sprint(message.Interface()), theAddress,
		)

		eachString(message, func(text string) string {
			require.Equal(t, "x", text)

			return text
		})
	}
}

// fillStrings puts the address into each string of a message, down to a depth,
// and returns how many there are.
func fillStrings(message protoreflect.Message, depth int) int {
	filled := 0
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		address := protoreflect.ValueOfString(theAddress)
		isText := field.Kind() == protoreflect.StringKind
		switch {
		case field.IsMap():
			filled += fillMap(message, field, depth)

		case field.IsList() && isText:
			message.Mutable(field).List().Append(address)
			filled++

		case field.IsList() && field.Message() != nil && depth > 0:
			element := message.Mutable(field).List().AppendMutable()
			filled += fillStrings(element.Message(), depth-1)

		case field.IsList():

		case isText && field.ContainingOneof() == nil:
			message.Set(field, address)
			filled++

		case field.Message() != nil && depth > 0 &&
			field.ContainingOneof() == nil:

			filled += fillStrings(
				message.Mutable(field).Message(), depth-1,
			)
		}
	}

	return filled
}

// fillMap does that for the values of a map with keys that are strings.
func fillMap(message protoreflect.Message, field protoreflect.FieldDescriptor,
	depth int) int {

	if field.MapKey().Kind() != protoreflect.StringKind {
		return 0
	}
	key := protoreflect.ValueOfString("key").MapKey()
	entries := message.Mutable(field).Map()
	switch {
	case field.MapValue().Message() != nil && depth > 0:
		value := entries.NewValue()
		filled := fillStrings(value.Message(), depth-1)
		entries.Set(key, value)

		return filled

	case field.MapValue().Kind() == protoreflect.StringKind:
		entries.Set(key, protoreflect.ValueOfString(theAddress))
		return 1
	}

	return 0
}
