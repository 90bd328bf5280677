package lndview_test

import (
	"testing"

	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/require"
)

// TestLedgerInTrouble checks that a ledger that cannot be written, whatever the
// reason, keeps nobody from an answer: an error at its start would end the
// embedded daemon. What was learned meanwhile is saved when the ledger works
// again.
func TestLedgerInTrouble(t *testing.T) {
	h := newBlind(t)
	stays, leaves := h.deposit(1_000), h.deposit(2_000)
	published := h.deposit(3_000)
	h.scanned("run")
	h.sees(stays, leaves, published)

	h.ledger.fail(errDown)
	h.lnd.unlisted = true
	h.publish(h.spend(published))
	h.chain.mine(h.spend(leaves))
	later := h.deposit(4_000)
	h.sees(stays, later)
	require.ErrorIs(t, h.view.Status().Trouble, errDown)

	// A reorg in the middle of it.
	h.chain.disconnect(1)
	h.chain.mineEmpty(2)
	h.sees(stays)

	// The outcome of a scan is kept, too.
	require.NoError(t, h.view.Publish(
		t.Context(), "two", [][]byte{other}, h.chain.scan(other),
	))
	h.sees(stays)

	h.ledger.fail(nil)
	h.sees(stays)
	require.NoError(t, h.view.Status().Trouble)
	reads := h.chain.reads
	h.restart()
	h.sees(stays)
	require.Equal(t, reads, h.chain.reads)
}

// TestForgottenInTrouble checks that a publication that was given up while the
// ledger could not be written does not hide its deposit after a restart.
func TestForgottenInTrouble(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.scanned("run")
	spend := h.spend(deposit)
	h.publish(spend)
	h.sees()

	h.ledger.fail(errDown)
	h.lnd.drop(spend)
	h.chain.mineEmpty(lndview.PublicationLife)
	h.sees(deposit)

	h.ledger.fail(nil)
	h.chain.mineEmpty(1)
	h.sees(deposit)
	h.restart()
	require.Zero(t, h.view.Status().Publications)
	h.sees(deposit)
}

// TestUnreadableLedger checks that a ledger that cannot be read when the daemon
// starts makes nothing vanish: every live row is reported, of whatever address,
// until it can be read.
func TestUnreadableLedger(t *testing.T) {
	h := newBlind(t)
	proven, spent := h.deposit(1_000), h.deposit(2_000)
	h.chain.mine(h.spend(spent))
	h.scanned("run")
	h.row(proven, 1_000, int64(h.chain.height()-2))
	h.row(spent, 2_000, int64(h.chain.height()-1))
	h.sees(proven)

	h.ledger.failLoad(errDown)
	h.restart()
	h.sees(proven, spent)
	require.True(t, h.view.Status().Unproven)
	require.ErrorIs(t, h.view.Status().Trouble, errDown)
	// A spend of ours hides its deposit all the same, and is saved later.
	h.lnd.unlisted = true
	h.publish(h.spend(proven))
	h.sees(spent)

	h.ledger.failLoad(nil)
	h.sees()
	require.False(t, h.view.Status().Unproven)
	h.restart()
	h.sees()
}

// TestLostLedger checks what a user has whose ledger was lost: nothing is
// proven, and a scan ends that.
func TestLostLedger(t *testing.T) {
	h := newHarness(t)
	h.ledger.Lose()
	deposit := h.deposit(1_000)
	h.row(deposit, 1_000, int64(h.chain.height()))
	for range 2 {
		h.restart()
		require.False(t, h.view.Status().Unproven)
		require.Equal(t, [][]byte{static}, h.view.Status().Blind)
		h.sees(deposit)
		provisional, err := h.view.Provisional(t.Context())
		require.NoError(t, err)
		require.Len(t, provisional, 1)
	}

	h.scanned("run")
	require.Empty(t, h.view.Status().Blind)
	h.sees(deposit)
}

// TestLostLedgerWithoutAddress checks that a user without a static address
// hears nothing of it.
func TestLostLedgerWithoutAddress(t *testing.T) {
	h := newHarness(t)
	h.ledger.Lose()
	h.restart()
	h.inPlace()
	require.Equal(t, lndview.Status{}, h.view.Status())
	h.sees()
}

// TestPublishedWhileLost checks that a scan covers its scripts although nobody
// has named them.
func TestPublishedWhileLost(t *testing.T) {
	h := newHarness(t)
	h.ledger.Lose()
	h.restart()
	deposit := h.deposit(1_000)
	h.scanned("run")
	h.sees(deposit)

	h.inPlace(static)
	require.Empty(t, h.view.Status().Blind)
	h.sees(deposit)
}
