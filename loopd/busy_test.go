package loopd

import (
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/fsm"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/staticaddr/address"
	"github.com/lightninglabs/loop/staticaddr/deposit"
	"github.com/lightninglabs/loop/staticaddr/loopin"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightninglabs/loop/test"
	"github.com/lightningnetwork/lnd/build"
	"github.com/lightningnetwork/lnd/clock"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/signal"
	"github.com/lightningnetwork/lnd/zpay32"
	"github.com/looprecovery/looprecovery/internal/swapdb"
	"github.com/stretchr/testify/require"
)

// testTimeout bounds every wait of the tests.
const testTimeout = 30 * time.Second

// world is a database that upstream's stores write, and that is asked both
// through the running daemon and by itself.
type world struct {
	cfg   *upstream.Config
	store *loopdb.SqliteSwapStore
	data  *swapdb.DB

	// row is the one static address.
	row *script.Parameters
}

// newWorld returns a database with a static address.
func newWorld(t *testing.T) *world {
	t.Helper()

	cfg := upstream.DefaultConfig()
	cfg.Network = "testnet"
	cfg.LoopDir = t.TempDir()
	cfg.Server.Host = "127.0.0.1:1"
	cfg.Server.NoTLS = true
	require.NoError(t, upstream.Validate(&cfg))

	params := &chaincfg.TestNet3Params
	store, err := loopdb.NewSqliteStore(cfg.Sqlite, params)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	data := swapdb.New(swapdb.Config{
		DataDir: cfg.DataDir, Sqlite: cfg.Sqlite, Params: params,
	}, func() bool { return true })
	t.Cleanup(func() { require.NoError(t, data.Close()) })

	w := &world{cfg: &cfg, store: store, data: data}
	key := testKey(t)
	w.row = &script.Parameters{
		ClientPubkey: key, ServerPubkey: key, Expiry: 1000,
		PkScript: []byte{0x51, 0x20},
	}
	require.NoError(t, address.NewSqlStore(store.BaseDB).
		CreateStaticAddress(t.Context(), w.row))

	return w
}

// testKey returns some public key.
func testKey(t *testing.T) *btcec.PublicKey {
	t.Helper()

	key, err := btcec.NewPrivateKey()
	require.NoError(t, err)

	return key.PubKey()
}

// start starts upstream's daemon on the world and an lnd in memory.
func (w *world) start(t *testing.T) *embedded {
	t.Helper()

	upstream.SetupLoggers(build.NewSubLoggerManager(), signal.Interceptor{})
	daemon := upstream.New(w.cfg, nil)
	require.NoError(t, daemon.StartAsSubserver(memoryLnd(), false))
	running := newEmbedded(daemon, daemon.ErrChan)
	t.Cleanup(func() {
		running.Stop()
		select {
		case err := <-running.Exited():
			require.NoError(t, err)

		case <-time.After(testTimeout):
			require.Fail(t, "the daemon did not stop")
		}
		require.Error(t, running.Context().Err())
	})

	return running
}

// memoryLnd returns an lnd in memory. What closes its connection is not
// exported; Close calls it without looking.
func memoryLnd() *lndclient.GrpcLndServices {
	services := &lndclient.GrpcLndServices{
		LndServices: test.NewMockLnd().LndServices,
	}
	field := reflect.ValueOf(services).Elem().FieldByName("cleanup")
	reflect.NewAt(
		field.Type(), unsafe.Pointer(field.UnsafeAddr()),
	).Elem().Set(reflect.ValueOf(func() {}))

	return services
}

// requireAgreement checks that the running daemon and its database agree on
// whether something is in flight, and returns that.
func (w *world) requireAgreement(t *testing.T, running *embedded) bool {
	t.Helper()

	d := &Daemon{database: w.data}
	said, err := d.inFlight(t.Context(), running, true)
	require.NoError(t, err)
	read, err := d.inFlight(t.Context(), nil, false)
	require.NoError(t, err)
	require.Equal(t, said != "", read != "", "daemon: %q, database: %q",
		said, read)

	return read != ""
}

// TestInFlightAgrees checks for each state of a swap, a deposit and a static
// loop-in, written by upstream's own stores, that the running daemon and its
// database give the same answer to the question whether a hold may stop it.
func TestInFlightAgrees(t *testing.T) {
	w := newWorld(t)
	w.writeDoneSwaps(t)
	running := w.start(t)
	require.False(t, w.requireAgreement(t, running))

	// Of deposits and static loop-ins the daemon reads the database anew.
	deposits := deposit.NewSqlStore(w.store.BaseDB)
	row := w.writeDeposit(t, deposits)
	moving := 0
	for _, state := range []fsm.StateType{
		deposit.Withdrawing, deposit.OpeningChannel, deposit.LoopingIn,
		deposit.SweepHtlcTimeout, deposit.PublishExpirySweep,
		deposit.WaitForExpirySweep, "StateOfANewerUpstream",
		deposit.Deposited, deposit.Withdrawn, deposit.LoopedIn,
		deposit.Expired, deposit.HtlcTimeoutSwept,
		deposit.ChannelPublished,
	} {
		row.SetState(state)
		require.NoError(t, deposits.UpdateDeposit(t.Context(), row))
		if w.requireAgreement(t, running) {
			moving++
		}
	}
	require.Equal(t, 7, moving)

	now := clock.NewTestClock(time.Now())
	loopIns := loopin.NewSqlStore(
		loopdb.NewTypedStore[loopin.Querier](w.store), now,
		&chaincfg.TestNet3Params,
	)
	swap := w.writeLoopIn(t, loopIns, row)
	moving = 0
	for _, state := range loopin.AllStates {
		now.SetTime(now.Now().Add(time.Second))
		swap.SetState(state)
		require.NoError(t, loopIns.UpdateLoopIn(t.Context(), swap))
		if w.requireAgreement(t, running) {
			moving++
		}
	}
	require.Equal(t, len(loopin.PendingStates), moving)
}

// TestSwapInFlightAgrees checks the same for a swap that is under way when the
// daemon starts.
func TestSwapInFlightAgrees(t *testing.T) {
	for state, inFlight := range map[loopdb.SwapState]bool{
		loopdb.StateHtlcPublished:        true,
		loopdb.StateFailIncorrectHtlcAmt: false,
	} {
		t.Run(state.String(), func(t *testing.T) {
			w := newWorld(t)
			w.writeSwap(t, state)
			running := w.start(t)
			require.Equal(
				t, inFlight, w.requireAgreement(t, running),
			)
		})
	}
}

// writeDoneSwaps writes a swap in each state that upstream calls final.
func (w *world) writeDoneSwaps(t *testing.T) {
	t.Helper()

	first := loopdb.StateInitiated
	for state := first; state.String() != "Unknown"; state++ {
		if state.IsFinal() {
			w.writeSwap(t, state)
		}
	}
}

// writeSwap writes a loop-in in a state.
func (w *world) writeSwap(t *testing.T, state loopdb.SwapState) {
	t.Helper()

	preimage := lntypes.Preimage{0x01, byte(state)}
	key := [33]byte(testKey(t).SerializeCompressed())
	require.NoError(t, w.store.CreateLoopIn(
		t.Context(), preimage.Hash(), &loopdb.LoopInContract{
			SwapContract: loopdb.SwapContract{
				Preimage:        preimage,
				AmountRequested: 250_000,
				CltvExpiry:      800,
				InitiationTime:  time.Now(),
				ProtocolVersion: loopdb.
					ProtocolVersionHtlcV2,
				HtlcKeys: loopdb.HtlcKeys{
					SenderScriptKey:   key,
					ReceiverScriptKey: key,
				},
			},
			HtlcConfTarget: 6,
		},
	))
	if state == loopdb.StateInitiated {
		return
	}
	require.NoError(t, w.store.UpdateLoopIn(
		t.Context(), preimage.Hash(), time.Now(),
		loopdb.SwapStateData{State: state},
	))
}

// writeDeposit writes a deposit.
func (w *world) writeDeposit(t *testing.T,
	store *deposit.SqlStore) *deposit.Deposit {

	t.Helper()

	id, err := deposit.GetRandomDepositID()
	require.NoError(t, err)
	row := &deposit.Deposit{
		ID:                   id,
		OutPoint:             wire.OutPoint{Hash: chainhash.Hash{0x01}},
		Value:                50_000,
		ConfirmationHeight:   110,
		TimeOutSweepPkScript: w.row.PkScript,
	}
	row.SetState(deposit.Deposited)
	require.NoError(t, store.CreateDeposit(t.Context(), row))

	return row
}

// writeLoopIn writes a static loop-in of a deposit.
func (w *world) writeLoopIn(t *testing.T, store *loopin.SqlStore,
	row *deposit.Deposit) *loopin.StaticAddressLoopIn {

	t.Helper()

	params := &chaincfg.TestNet3Params
	sweep, err := btcutil.NewAddressTaproot(make([]byte, 32), params)
	require.NoError(t, err)
	preimage := lntypes.Preimage{0x21}
	swap := &loopin.StaticAddressLoopIn{
		SwapHash:                preimage.Hash(),
		SwapPreimage:            preimage,
		InitiationTime:          time.Now(),
		ClientPubkey:            w.row.ClientPubkey,
		ServerPubkey:            w.row.ServerPubkey,
		SwapInvoice:             testInvoice(t, preimage.Hash()),
		DepositOutpoints:        []string{row.OutPoint.String()},
		Deposits:                []*deposit.Deposit{row},
		HtlcTimeoutSweepAddress: sweep,
	}
	swap.SetState(loopin.InitHtlcTx)
	require.NoError(t, store.CreateLoopIn(t.Context(), swap))

	return swap
}

// testInvoice returns an invoice of a payment hash.
func testInvoice(t *testing.T, hash lntypes.Hash) string {
	t.Helper()

	key, err := btcec.NewPrivateKey()
	require.NoError(t, err)
	invoice, err := zpay32.NewInvoice(
		&chaincfg.TestNet3Params, hash, time.Now(),
		zpay32.Description("test"),
		zpay32.Amount(lnwire.NewMSatFromSatoshis(50_000)),
	)
	require.NoError(t, err)
	signer := zpay32.MessageSigner{SignCompact: signWith(key)}
	text, err := invoice.Encode(signer)
	require.NoError(t, err)

	return text
}

// signWith returns what signs an invoice with a key.
func signWith(key *btcec.PrivateKey) func([]byte) ([]byte, error) {
	return func(message []byte) ([]byte, error) {
		digest := chainhash.HashB(message)

		return ecdsa.SignCompact(key, digest, true), nil
	}
}
