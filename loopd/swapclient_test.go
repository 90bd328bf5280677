package loopd

import (
	"context"
	"net"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// dialDaemon serves both services of a daemon in memory, with the given
// interceptors, and returns a connection.
func dialDaemon(t *testing.T, d *Daemon,
	options ...grpc.ServerOption) *grpc.ClientConn {

	t.Helper()

	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(options...)
	d.registerSwapClient(server)
	recoveryrpc.RegisterRecoveryServer(server, &d.recovery)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	conn, err := grpc.NewClient(
		"passthrough:///memory",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (
			net.Conn, error) {

			return listener.DialContext(ctx)
		}),
	)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })

	return conn
}

// TestEveryMethodAnswersWhileDown checks that each method of upstream's service
// says why it cannot answer, rather than hang or be missing.
func TestEveryMethodAnswersWhileDown(t *testing.T) {
	d := &Daemon{gate: newGate(nil, nil)}
	d.gate.Note(states.RecoveryActive)
	conn := dialDaemon(t, d)

	require.NotEmpty(t, looprpc.SwapClient_ServiceDesc.Methods)
	for _, method := range looprpc.SwapClient_ServiceDesc.Methods {
		err := conn.Invoke(
			t.Context(), "/looprpc.SwapClient/"+method.MethodName,
			&looprpc.TermsRequest{}, &looprpc.TokensResponse{},
		)
		requireReason(t, err, states.RecoveryActive)
	}

	stream, err := looprpc.NewSwapClientClient(conn).Monitor(
		t.Context(), &looprpc.MonitorRequest{},
	)
	require.NoError(t, err)
	_, err = stream.Recv()
	requireReason(t, err, states.RecoveryActive)
}

// TestNobodyIsAuthenticatedBeforeUnlock checks that a locked lnd leads to its
// reason on both services, and to no data.
func TestNobodyIsAuthenticatedBeforeUnlock(t *testing.T) {
	d := &Daemon{gate: newGate(nil, nil), auth: newAuthenticator()}
	d.auth.setReason(states.LndLocked)
	conn := dialDaemon(
		t, d, grpc.ChainUnaryInterceptor(d.auth.unary),
		grpc.ChainStreamInterceptor(d.auth.stream),
	)

	_, err := looprpc.NewSwapClientClient(conn).GetInfo(
		t.Context(), &looprpc.GetInfoRequest{},
	)
	requireReason(t, err, states.LndLocked)

	client := recoveryrpc.NewRecoveryClient(conn)
	_, err = client.GetRecovery(
		t.Context(), &recoveryrpc.GetRecoveryRequest{},
	)
	requireReason(t, err, states.LndLocked)
	stream, err := client.SubscribeRecovery(
		t.Context(), &recoveryrpc.SubscribeRecoveryRequest{},
	)
	require.NoError(t, err)
	_, err = stream.Recv()
	requireReason(t, err, states.LndLocked)
}

// TestEveryMethodNeedsPermission checks that no method is served without one.
func TestEveryMethodNeedsPermission(t *testing.T) {
	a := newAuthenticator()
	for _, desc := range []grpc.ServiceDesc{
		looprpc.SwapClient_ServiceDesc, recoveryrpc.Recovery_ServiceDesc,
	} {
		for _, method := range desc.Methods {
			name := "/" + desc.ServiceName + "/" + method.MethodName
			require.NotEmpty(t, a.permissions[name], name)
		}
		for _, stream := range desc.Streams {
			name := "/" + desc.ServiceName + "/" + stream.StreamName
			require.NotEmpty(t, a.permissions[name], name)
		}
	}
	require.Equal(t, codes.Unimplemented, status.Code(
		a.check(t.Context(), "/looprpc.SwapClient/NoSuchMethod"),
	))
}

// requireReason checks the reason of an Unavailable status.
func requireReason(t *testing.T, err error, want states.Reason) {
	t.Helper()

	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	reason, ok := recoveryrpc.ReasonOf(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, want, reason)
}

// TestNamedOutpoints checks that a deposit is recognised however a request
// names it: one that is not would be spent although it may be spent already.
func TestNamedOutpoints(t *testing.T) {
	hash := chainhash.Hash{1, 2, 3}
	want := []string{hash.String() + ":7"}
	asBytes := &lnrpc.OutPoint{TxidBytes: hash[:], OutputIndex: 7}
	asText := &lnrpc.OutPoint{TxidStr: hash.String(), OutputIndex: 7}

	for _, req := range []any{
		&looprpc.WithdrawDepositsRequest{
			Outpoints: []*lnrpc.OutPoint{asBytes},
		},
		&looprpc.WithdrawDepositsRequest{
			Outpoints: []*lnrpc.OutPoint{asText},
		},
		&looprpc.StaticAddressLoopInRequest{Outpoints: want},
		&looprpc.StaticOpenChannelRequest{
			OpenChannelRequest: &lnrpc.OpenChannelRequest{
				Outpoints: []*lnrpc.OutPoint{asText},
			},
		},
	} {
		named, err := namedOutpoints(req)
		require.NoError(t, err)
		require.Equal(t, want, named)
	}

	// All of them are none that is named.
	named, err := namedOutpoints(&looprpc.WithdrawDepositsRequest{
		All: true, Outpoints: []*lnrpc.OutPoint{asText},
	})
	require.NoError(t, err)
	require.Empty(t, named)

	_, err = namedOutpoints(&looprpc.WithdrawDepositsRequest{
		Outpoints: []*lnrpc.OutPoint{{TxidStr: "zz"}},
	})
	require.Error(t, err)
	_, err = namedOutpoints(&looprpc.GetInfoRequest{})
	require.Error(t, err)
}
