package lndview_test

import (
	"testing"

	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/require"
)

// newSeeing returns a View for a wallet that sees a deposit, everything proven,
// and the deposit.
func newSeeing(t *testing.T) (*harness, *wire.MsgTx) {
	h, _ := newGuarded(t)
	h.scanned("run")
	deposit := h.pay(1_000)
	h.chain.mine(deposit)
	h.learns(deposit, 0, h.chain.height())
	h.row(outPoint(deposit), 1_000, int64(h.chain.height()))
	h.sees(outPoint(deposit))

	return h, deposit
}

// outPoint names the first output of a transaction.
func outPoint(tx *wire.MsgTx) wire.OutPoint {
	return wire.OutPoint{Hash: tx.TxHash()}
}

// forgetAll makes lnd's wallet a new one, behind the same connection.
func (h *harness) forgetAll() {
	h.lnd.mu.Lock()
	defer h.lnd.mu.Unlock()

	clear(h.lnd.native)
	h.lnd.txs = nil
}

// TestFaultRebuiltBehindOneAddress: lnd is rebuilt from its words behind one
// address, while loopd keeps running. Neither the deposits nor what comes later
// vanish, and all can be spent, since all is proven.
func TestFaultRebuiltBehindOneAddress(t *testing.T) {
	h, deposit := newSeeing(t)
	h.forgetAll()
	h.sees(outPoint(deposit))
	later := h.deposit(2_000)
	h.sees(outPoint(deposit), later)
	require.NoError(t, h.cosigns(clientKey))
}

// TestFaultLedgerAlone: recovery.db alone is lost, or older, beside a rebuilt
// lnd.
func TestFaultLedgerAlone(t *testing.T) {
	t.Run("lost", func(t *testing.T) {
		h, deposit := newSeeing(t)
		h.forgetAll()
		h.ledger.Lose()
		h.restart()
		h.sees(outPoint(deposit))
		require.Error(t, h.cosigns(clientKey))
		require.NotEmpty(t, h.view.Status().Blind)

		h.scanned("again")
		h.sees(outPoint(deposit))
		require.NoError(t, h.cosigns(clientKey))
	})

	t.Run("older", func(t *testing.T) {
		h := newBlind(t)
		h.scanned("run")
		old, err := h.ledger.Load(t.Context())
		require.NoError(t, err)
		kept, spent := h.deposit(1_000), h.deposit(2_000)
		h.sees(kept, spent)
		h.chain.mine(h.spend(spent))
		h.sees(kept)

		w := &world{harness: h, old: old}
		w.turnBack()
		h.sees(kept)
	})
}

// TestFaultTakenOver: one owner after the other, with ledgers of their own; in
// between lnd is rebuilt.
func TestFaultTakenOver(t *testing.T) {
	h, deposit := newSeeing(t)
	w := &world{harness: h, rival: lndview.NewMemoryLedger()}
	w.takeOver()
	h.sees(outPoint(deposit))
	h.forgetAll()
	h.sees(outPoint(deposit))
	h.scanned("other owner")
	later := h.deposit(2_000)
	w.takeOver()
	h.sees(outPoint(deposit), later)
}

// TestFaultWalletReset: lnd drops the wallet's transactions
// (--reset-wallet-transactions) and finds those of imported scripts no more.
func TestFaultWalletReset(t *testing.T) {
	h, deposit := newSeeing(t)
	h.forgetAll()
	h.restart()
	h.sees(outPoint(deposit))
	require.NoError(t, h.cosigns(clientKey))
}

// TestFaultHealthyUserRefused: nothing that happens around an import makes a
// seeing wallet count as blind.
func TestFaultHealthyUserRefused(t *testing.T) {
	h, deposit := newSeeing(t)
	h.remember(lndview.Script{PkScript: other, Pending: true, Blind: true})
	require.NoError(t, h.view.AddPlace(t.Context(), static))
	h.sees(outPoint(deposit))
	require.NoError(t, h.cosigns(clientKey))
}

// TestFaultTwoMoments: an output that lnd learns of while an answer is put
// together is in it, once, whatever the moment.
func TestFaultTwoMoments(t *testing.T) {
	for _, method := range []string{"ListUnspent", "ListTransactions"} {
		for call := range 3 {
			h := newBlind(t)
			blind := h.deposit(1_000)
			h.scanned("run")
			tx := h.pay(2_000)
			h.chain.mine(tx)
			calls := 0
			h.lnd.hook(method, func() {
				if calls == call {
					h.learns(tx, 0, h.chain.height())
				}
				calls++
			})
			h.sees(blind, outPoint(tx))
		}
	}
}

// TestFaultPublishWaits: lnd on neutrino drops what a transaction spends from
// its list while it still waits for a peer to take it. That is not gone before
// lnd has said so, and back if lnd refuses.
func TestFaultPublishWaits(t *testing.T) {
	for name, refused := range map[string]error{
		"taken": nil, "refused": errDown,
	} {
		t.Run(name, func(t *testing.T) {
			h, deposit := newSeeing(t)
			spend := h.spend(outPoint(deposit))
			h.lnd.hook("PublishTransaction", func() {
				h.lnd.mu.Lock()
				clear(h.lnd.native)
				h.lnd.mu.Unlock()
				h.sees(outPoint(deposit))
			})
			h.lnd.fail("PublishTransaction", refused)
			err := h.seen.WalletKit.PublishTransaction(
				t.Context(), spend, "",
			)
			require.ErrorIs(t, err, refused)
			if refused != nil {
				h.learns(deposit, 0, h.chain.height())
				h.sees(outPoint(deposit))

				return
			}
			h.sees()

			// Published again, it does not come back.
			h.lnd.hook("PublishTransaction", func() { h.sees() })
			h.publish(spend)
		})
	}
}
