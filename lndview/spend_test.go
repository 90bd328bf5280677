package lndview_test

import (
	"context"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/require"
)

// errDown is what a fake returns that is told to fail.
var errDown = errors.New("down")

// TestSpendInBlock checks that a spend by anybody hides an output from its
// first confirmation on, across restarts, and until it is reorged out.
func TestSpendInBlock(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.scanned("run")
	h.sees(deposit)

	spend := h.spend(deposit)
	h.chain.mine(spend)
	h.sees()
	h.chain.mineEmpty(3)
	h.restart()
	h.sees()

	// The block with the spend and those above it are replaced.
	h.chain.disconnect(4)
	h.chain.mineEmpty(5)
	h.sees(deposit)

	h.chain.mine(spend)
	h.sees()
}

// TestSpendInWallet checks that a spend which lnd's wallet lists hides an
// output until the wallet drops it, also across a restart, and also for a row that
// nothing has proven yet.
func TestSpendInWallet(t *testing.T) {
	for name, scanned := range map[string]bool{
		"proven": true, "provisional": false,
	} {
		t.Run(name, func(t *testing.T) {
			h := newBlind(t)
			deposit := h.deposit(1_000)
			h.row(deposit, 1_000, int64(h.chain.height()))
			if scanned {
				h.scanned("run")
			}
			h.sees(deposit)

			spend := h.spend(deposit)
			h.lnd.list(spend, 0)
			h.sees()
			h.restart()
			h.sees()

			h.lnd.drop(spend)
			h.sees(deposit)
		})
	}
}

// TestWalletSpendConflicts checks that the other inputs of a transaction come
// back when one of its inputs was spent by another one, although lnd's wallet
// still lists the transaction.
func TestWalletSpendConflicts(t *testing.T) {
	h := newBlind(t)
	first, second := h.deposit(1_000), h.deposit(2_000)
	h.scanned("run")

	both := h.spend(first, second)
	h.publish(both)
	h.sees()

	h.chain.mine(h.spend(first))
	h.sees(second)
}

// TestPublished checks that our own spend hides an output at once, also if lnd
// does not list it, and for how long.
func TestPublished(t *testing.T) {
	newPublished := func(t *testing.T, unlisted bool) (*harness,
		wire.OutPoint, *wire.MsgTx) {

		h := newBlind(t)
		deposit := h.deposit(1_000)
		h.scanned("run")
		h.lnd.unlisted = unlisted
		spend := h.spend(deposit)
		h.publish(spend)
		h.sees()

		return h, deposit, spend
	}

	t.Run("refused", func(t *testing.T) {
		h := newBlind(t)
		deposit := h.deposit(1_000)
		h.scanned("run")
		h.lnd.fail("PublishTransaction", errDown)
		err := h.seen.WalletKit.PublishTransaction(
			t.Context(), h.spend(deposit), "",
		)
		require.ErrorIs(t, err, errDown)
		h.sees(deposit)
	})

	t.Run("not listed", func(t *testing.T) {
		h, deposit, spend := newPublished(t, true)
		h.restart()
		h.sees()
		h.chain.mineEmpty(lndview.PublicationLife - 1)
		h.sees()
		require.Equal(t, 1, h.view.Status().Publications)

		// Upstream publishes again what it still wants.
		h.publish(spend)
		h.chain.mineEmpty(1)
		h.sees()
		h.chain.mineEmpty(lndview.PublicationLife)
		h.sees(deposit)
		require.Zero(t, h.view.Status().Publications)
	})

	t.Run("abandoned", func(t *testing.T) {
		h, deposit, spend := newPublished(t, false)
		h.chain.mineEmpty(2 * lndview.PublicationLife)
		h.sees()
		h.restart()
		h.sees()
		h.lnd.drop(spend)
		h.sees(deposit)
	})

	t.Run("abandoned while we were down", func(t *testing.T) {
		h, deposit, spend := newPublished(t, false)
		h.lnd.drop(spend)
		h.restart()
		h.sees(deposit)
	})

	// lnd drops a spend of outputs it does not know once that confirmed.
	t.Run("confirmed", func(t *testing.T) {
		h, deposit, spend := newPublished(t, false)
		h.chain.mine(spend)
		h.lnd.drop(spend)
		h.sees()
		require.Zero(t, h.view.Status().Publications)

		h.chain.disconnect(1)
		h.chain.mineEmpty(2)
		h.sees(deposit)
	})

	t.Run("replaced by another spend", func(t *testing.T) {
		h, _, _ := newPublished(t, true)
		deposit := h.deposit(2_000)
		outputs := h.chain.scan(static).Outputs
		pair := h.spend(outputs[0].OutPoint, outputs[1].OutPoint)
		h.publish(pair)
		h.sees()

		// One input of the pair is spent by a stranger.
		for _, output := range outputs {
			if output.OutPoint != deposit {
				h.chain.mine(h.spend(output.OutPoint))
			}
		}
		h.sees(deposit)
	})
}

// TestPublishedRow checks that the sweep of a row that nothing has proven yet
// hides the row.
func TestPublishedRow(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.row(deposit, 1_000, int64(h.chain.height()))
	h.sees(deposit)

	h.lnd.unlisted = true
	h.publish(h.spend(deposit))
	h.sees()

	// A transaction that has nothing to do with deposits is not kept.
	h.publish(h.pay(1))
	h.sees()
	require.Equal(t, 1, h.view.Status().Publications)
	h.restart()
	h.sees()
	h.chain.mineEmpty(lndview.PublicationLife)
	h.sees(deposit)
}

// TestScanRefutesPublication checks that a row which we tried to spend together
// with another one comes back when a scan proves that the other one was spent
// by somebody else.
func TestScanRefutesPublication(t *testing.T) {
	h := newBlind(t)
	first, second := h.deposit(1_000), h.deposit(2_000)
	h.row(first, 1_000, int64(h.chain.height()-1))
	h.row(second, 2_000, int64(h.chain.height()))
	h.lnd.unlisted = true
	h.publish(h.spend(first, second))
	h.chain.mine(h.spend(first))
	h.sees()

	h.scanned("run")
	h.sees(second)
}

// TestPublisherLeaves checks that a publication is saved although the caller
// went away as soon as the transaction was out.
func TestPublisherLeaves(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.scanned("run")
	h.sees(deposit)

	ctx, cancel := context.WithCancel(t.Context())
	h.lnd.hook("published", cancel)
	h.lnd.unlisted = true
	err := h.seen.WalletKit.PublishTransaction(ctx, h.spend(deposit), "")
	require.NoError(t, err)

	h.restart()
	h.sees()
}

// TestDropAtConfirmation checks the moment at which lnd's wallet drops a spend
// because a block confirmed it: between the reading of the tip and that of the
// wallet the output must not come back.
func TestDropAtConfirmation(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.scanned("run")
	spend := h.spend(deposit)
	h.lnd.list(spend, 0)
	h.sees()

	for _, method := range []string{"ListTransactions", "ListUnspent"} {
		h.lnd.hook(method, func() {
			h.lnd.hook(method, nil)
			h.chain.mine(spend)
			h.lnd.drop(spend)
		})
		h.sees()
		h.chain.disconnect(1)
		h.lnd.list(spend, 0)
		h.sees()
	}
}
