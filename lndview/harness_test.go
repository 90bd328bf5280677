package lndview_test

import (
	"math"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwallet"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/require"
)

// startHeight is the number of blocks a test's chain begins with.
const startHeight = 120

var (
	// static is the script of the static address.
	static = taproot(1)

	// other is another output script of the same kind.
	other = taproot(2)
)

// taproot returns an output script of version 1.
func taproot(fill byte) []byte {
	pkScript := make([]byte, 34)
	pkScript[0], pkScript[1], pkScript[2] = 0x51, 0x20, fill

	return pkScript
}

// harness is a View between a fake lnd and what the embedded daemon calls.
type harness struct {
	t *testing.T

	chain  *fakeChain
	lnd    *fakeLnd
	rows   *fakeRows
	ledger *brokenLedger

	view *lndview.View
	seen *lndclient.GrpcLndServices

	// keys are the client keys that the View knows.
	keys []keychain.KeyDescriptor

	// number makes every transaction different.
	number uint32
}

// newHarness returns a View for an empty wallet and the address in place.
func newHarness(t *testing.T) *harness {
	chain := newFakeChain(startHeight)
	h := &harness{
		t:      t,
		chain:  chain,
		lnd:    newFakeLnd(chain),
		rows:   &fakeRows{},
		ledger: &brokenLedger{MemoryLedger: lndview.NewMemoryLedger()},
	}
	h.restart()

	return h
}

// newBlind returns a View for a wallet that sees nothing of the static address,
// which nobody knows yet.
func newBlind(t *testing.T) *harness {
	return newHarness(t)
}

// restart makes a new View on the same ledger, and a new connection.
func (h *harness) restart() {
	h.t.Helper()

	var err error
	h.view, err = lndview.New(h.t.Context(), lndview.Config{
		Ledger: h.ledger,
		Rows:   h.rows,
		Chain:  h.chain,
		Params: &chaincfg.RegressionNetParams,
	})
	require.NoError(h.t, err)

	h.view.SetKeys(h.keys)
	h.seen = h.lnd.services()
	h.view.Decorate(h.seen)
	_ = h.view.InPlace(h.t.Context(), [][]byte{static})
}

// inPlace names the scripts of the addresses in place.
func (h *harness) inPlace(scripts ...[]byte) {
	h.t.Helper()

	require.NoError(h.t, h.view.InPlace(h.t.Context(), scripts))
}

// scanned publishes a scan of the chain as it is now.
func (h *harness) scanned(run string) {
	h.t.Helper()

	err := h.view.Publish(
		h.t.Context(), run, [][]byte{static}, h.chain.scan(static),
	)
	require.NoError(h.t, err)
}

// pay returns a transaction that pays the static address from nowhere.
func (h *harness) pay(values ...int64) *wire.MsgTx {
	h.number++
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{
			Hash:  chainhash.HashH([]byte("a foreign coin")),
			Index: h.number,
		},
		Witness: wire.TxWitness{{1}},
	})
	for _, value := range values {
		tx.AddTxOut(wire.NewTxOut(value, static))
	}

	return tx
}

// deposit mines a payment to the static address and returns its outpoint.
func (h *harness) deposit(value int64) wire.OutPoint {
	tx := h.pay(value)
	h.chain.mine(tx)

	return wire.OutPoint{Hash: tx.TxHash()}
}

// spend returns a transaction that spends outpoints.
func (h *harness) spend(outPoints ...wire.OutPoint) *wire.MsgTx {
	h.number++
	tx := wire.NewMsgTx(2)
	for _, outPoint := range outPoints {
		tx.AddTxIn(&wire.TxIn{
			PreviousOutPoint: outPoint,
			Witness:          wire.TxWitness{{2}},
		})
	}
	tx.AddTxOut(wire.NewTxOut(int64(h.number), []byte{0x51}))

	return tx
}

// row adds a live row to the embedded daemon's table.
func (h *harness) row(outPoint wire.OutPoint, value, height int64) {
	h.rows.mu.Lock()
	defer h.rows.mu.Unlock()

	h.rows.rows = append(h.rows.rows, lndview.Deposit{
		OutPoint: outPoint, PkScript: static,
		Value: btcutil.Amount(value), ConfirmationHeight: height,
		State: "Deposited",
	})
}

// learns makes lnd's wallet list an output and its funding transaction.
func (h *harness) learns(tx *wire.MsgTx, index int, height int32) {
	outPoint := wire.OutPoint{Hash: tx.TxHash(), Index: uint32(index)}
	h.lnd.list(tx, height, index)

	h.lnd.mu.Lock()
	defer h.lnd.mu.Unlock()

	h.lnd.native[outPoint] = nativeUtxo{
		value:    btcutil.Amount(tx.TxOut[index].Value),
		pkScript: tx.TxOut[index].PkScript,
		height:   height,
	}
}

// unspent returns what the embedded daemon is told, as upstream asks for it.
func (h *harness) unspent() []*lnwallet.Utxo {
	h.t.Helper()

	utxos, err := h.seen.WalletKit.ListUnspent(h.t.Context(), 0,
		math.MaxInt32)
	require.NoError(h.t, err)

	return utxos
}

// sees checks that the embedded daemon is told of exactly the given outpoints,
// once each.
func (h *harness) sees(outPoints ...wire.OutPoint) {
	h.t.Helper()

	found := []wire.OutPoint{}
	for _, utxo := range h.unspent() {
		require.Equal(h.t, static, utxo.PkScript)
		found = append(found, utxo.OutPoint)
	}
	require.ElementsMatch(h.t, outPoints, found)
}

// publish publishes a transaction as the embedded daemon does.
func (h *harness) publish(tx *wire.MsgTx) {
	h.t.Helper()

	err := h.seen.WalletKit.PublishTransaction(h.t.Context(), tx, "test")
	require.NoError(h.t, err)
}
