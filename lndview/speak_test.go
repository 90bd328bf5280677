package lndview_test

import (
	"testing"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/require"
)

// TestWithoutAddress checks that a user without a static address gets lnd's own
// answers, and that nobody is asked for anything else.
func TestWithoutAddress(t *testing.T) {
	h := newHarness(t)
	h.inPlace()
	h.rows.err, h.chain.err = errDown, errDown
	h.lnd.fail("GetBestBlock", errDown)
	h.lnd.fail("ListTransactions", errDown)
	h.sees()
	require.Equal(t, lndview.Status{}, h.view.Status())
}

// TestSeeingWalletIsLeftAlone checks that a healthy user gets upstream's
// behaviour: a replaced or reorged deposit goes away. Of lnd no more is asked
// than whether it lists all that is there, and a node that lost its blocks, or
// is behind, refuses this user nothing.
func TestSeeingWalletIsLeftAlone(t *testing.T) {
	h, _ := newGuarded(t)
	h.scanned("run")
	deposit := h.pay(1_000)
	h.row(wire.OutPoint{Hash: deposit.TxHash()}, 1_000, 0)
	h.sees()

	h.chain.mine(deposit)
	h.learns(deposit, 0, h.chain.height())
	h.lnd.fail("ListTransactions", errDown)
	asked := 0
	h.lnd.hook("ListUnspent", func() { asked++ })
	h.sees(wire.OutPoint{Hash: deposit.TxHash()})
	require.Equal(t, 1, asked)
	h.lnd.hook("ListUnspent", nil)
	h.lnd.fail("ListTransactions", nil)

	// lnd's filters are kept.
	for confs, count := range map[int32]int{0: 0, 1: 1, 2: 0} {
		utxos, err := h.seen.WalletKit.ListUnspent(
			t.Context(), confs, max(confs, 1),
		)
		if confs == 0 {
			utxos, err = h.seen.WalletKit.ListUnspent(
				t.Context(), 0, 0,
				lndclient.WithUnspentUnconfirmedOnly(),
			)
		}
		require.NoError(t, err)
		require.Len(t, utxos, count)
	}

	for name, hurt := range map[string]func(){
		"no blocks": func() { h.chain.err = errNoBlock },
		"behind":    func() { h.chain.disconnect(1) },
	} {
		h.chain.mineEmpty(1)
		hurt()
		h.sees(wire.OutPoint{Hash: deposit.TxHash()})
		require.NoError(t, h.cosigns(clientKey), name)
		h.chain.err = nil
	}
}

// TestRowsStandInUntilScanned checks that a user who rebuilt lnd sees every
// live deposit at once, with the height of the database, and not one twice.
func TestRowsStandInUntilScanned(t *testing.T) {
	h := newBlind(t)
	first := h.deposit(1_000)
	height := int64(h.chain.height())
	h.chain.mineEmpty(9)

	listed := h.pay(2_000)
	h.chain.mine(listed)
	second := wire.OutPoint{Hash: listed.TxHash()}
	unconfirmed := wire.OutPoint{Hash: h.pay(3_000).TxHash()}

	// Upstream's table has no unique constraint.
	h.row(first, 1_000, height)
	h.row(first, 1_000, height)
	h.row(second, 2_000, int64(h.chain.height()))
	h.row(unconfirmed, 3_000, 0)
	h.learns(listed, 0, h.chain.height())

	h.sees(first, second, unconfirmed)
	for _, utxo := range h.unspent() {
		switch utxo.OutPoint {
		case first:
			require.EqualValues(t, 1_000, utxo.Value)
			require.EqualValues(t, 11, utxo.Confirmations)

		case unconfirmed:
			require.Zero(t, utxo.Confirmations)
		}
	}

	// Those without proof can be told apart, so that a call that would
	// spend them can be refused.
	provisional, err := h.view.Provisional(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(
		t, []wire.OutPoint{first, unconfirmed}, provisional,
	)
	require.Equal(t, 2, h.view.Status().Provisional)
	require.Equal(t, [][]byte{static}, h.view.Status().Blind)
}

// TestNoMemoryProvesNothing checks that a deposit does not vanish whatever the
// ledger holds or lacks: what no scan has proven is provisional.
func TestNoMemoryProvesNothing(t *testing.T) {
	for name, remember := range map[string]func(*harness){
		"nothing": func(*harness) {},
		"an import that was no news": func(h *harness) {
			h.remember(lndview.Script{PkScript: static})
		},
		"an import under way": func(h *harness) {
			h.remember(lndview.Script{
				PkScript: static, Pending: true,
			})
		},
		"another address": func(h *harness) {
			require.NoError(h.t, h.view.Publish(
				h.t.Context(), "run", [][]byte{other},
				h.chain.scan(other),
			))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			remember(h)
			deposit := h.deposit(1_000)
			h.row(deposit, 1_000, int64(h.chain.height()))
			h.sees(deposit)
			h.restart()
			h.sees(deposit)
			require.Equal(t, [][]byte{static},
				h.view.Unproven())
		})
	}
}

// remember puts a script in the ledger as an older version did.
func (h *harness) remember(script lndview.Script) {
	h.t.Helper()

	require.NoError(h.t, h.ledger.Commit(h.t.Context(), lndview.Change{
		Scripts: []lndview.Script{script},
	}))
	h.restart()
}

// TestScanSettlesRows checks what becomes of the rows once a scan has ended:
// unspent with the chain's height, spent, and gone.
func TestScanSettlesRows(t *testing.T) {
	h := newBlind(t)

	unspent := h.deposit(1_000)
	height := h.chain.height()
	spent := h.deposit(2_000)
	h.chain.mine(h.spend(spent))
	gone := wire.OutPoint{Hash: h.pay(3_000).TxHash()}
	unknown := h.deposit(4_000)

	// The database has the unspent one 20 blocks too low and does not
	// know one deposit.
	h.row(unspent, 1_000, int64(height-20))
	h.row(spent, 2_000, int64(height))
	h.row(gone, 3_000, int64(height))
	h.sees(unspent, spent, gone)

	h.scanned("run")
	h.sees(unspent, unknown)
	h.chain.mineEmpty(3)
	for _, utxo := range h.unspent() {
		if utxo.OutPoint == unspent {
			require.EqualValues(
				t, h.chain.height()-height+1,
				utxo.Confirmations,
			)
		}
	}

	provisional, err := h.view.Provisional(t.Context())
	require.NoError(t, err)
	require.Empty(t, provisional)

	status := h.view.Status()
	require.Empty(t, status.Blind)
	require.Equal(t, [][]byte{static}, status.Covered)
	require.Equal(t, 2, status.Unspent)
	require.EqualValues(t, 5_000, status.UnspentValue)
	require.Equal(t, 1, status.Spent)
	require.Zero(t, status.Provisional)
	require.Equal(t, h.chain.tip(), *status.Followed)

	// A restart forgets nothing, and needs no new scan.
	h.restart()
	h.sees(unspent, unknown)
}

// TestPublishTwice checks that a run whose process died after it published can
// publish again, without taking back what was followed since.
func TestPublishTwice(t *testing.T) {
	h := newBlind(t)
	first := h.deposit(1_000)
	result := h.chain.scan(static)
	scripts := [][]byte{static}
	require.NoError(t, h.view.Publish(t.Context(), "run", scripts, result))

	second := h.deposit(2_000)
	h.chain.mine(h.spend(first))
	h.sees(second)
	followed := h.view.Status().Followed

	h.restart()
	require.NoError(t, h.view.Publish(t.Context(), "run", scripts, result))
	require.Equal(t, followed, h.view.Status().Followed)
	h.sees(second)

	// A scan that ended below what was followed takes nothing back either.
	require.NoError(t, h.view.Publish(t.Context(), "two", scripts, result))
	h.sees(second)

	// Without the scripts nobody knows what was proven.
	err := h.view.Publish(t.Context(), "three", nil, result)
	require.ErrorIs(t, err, lndview.ErrNoScripts)
}

// TestLndLearnsLater checks that an output which lnd's wallet learns of after
// all, for example by a reset of its transactions, is reported once, and is
// lnd's to report from then on.
func TestLndLearnsLater(t *testing.T) {
	h := newBlind(t)
	tx := h.pay(1_000)
	h.chain.mine(tx)
	deposit := wire.OutPoint{Hash: tx.TxHash()}
	height := h.chain.height()
	h.scanned("run")
	h.sees(deposit)

	h.learns(tx, 0, height)
	h.sees(deposit)

	// Leased or spent as far as lnd knows.
	delete(h.lnd.native, deposit)
	h.sees()
}

// TestKnownFundingIsNotKnownOutput checks a deposit that was paid by the lost
// lnd itself: the rebuilt wallet lists the transaction, because it spends its
// coins, but does not hold the output.
func TestKnownFundingIsNotKnownOutput(t *testing.T) {
	h := newBlind(t)
	tx := h.pay(1_000)
	h.chain.mine(tx)
	h.lnd.list(tx, h.chain.height())
	deposit := wire.OutPoint{Hash: tx.TxHash()}
	h.row(deposit, 1_000, int64(h.chain.height()))

	h.sees(deposit)
	h.scanned("run")
	h.sees(deposit)
}

// TestSecondLoss checks that what a scan proved is still reported after lnd was
// rebuilt once more, together with what came in between and while nobody was
// there, at the right depth; and that what was spent stays so, although the new
// lnd knows of none of the spends.
func TestSecondLoss(t *testing.T) {
	h := newBlind(t)
	first, spent := h.deposit(1_000), h.deposit(3_000)
	h.scanned("run")

	tx := h.pay(2_000)
	h.chain.mine(tx)
	second := wire.OutPoint{Hash: tx.TxHash()}
	h.learns(tx, 0, h.chain.height())
	h.chain.mine(h.spend(spent))
	h.sees(first, second)

	// Neither the old lnd nor the new one sees these: the script is imported
	// when they have confirmed.
	away := h.deposit(4_000)
	h.chain.mine(h.spend(first))
	h.lnd = newFakeLnd(h.chain)
	h.restart()
	h.sees(second, away)
	for _, utxo := range h.unspent() {
		depth := map[wire.OutPoint]int64{second: 4, away: 2}
		require.Equal(t, depth[utxo.OutPoint], utxo.Confirmations)
	}

	// A new scan proves the same.
	h.scanned("again")
	h.sees(second, away)
	require.Equal(t, 2, h.view.Status().Spent)
}

// TestTwoScripts checks that a scan of one address neither covers nor disturbs
// another one, whichever of the two scans ended at the higher block.
func TestTwoScripts(t *testing.T) {
	for name, higher := range map[string]bool{"below": false,
		"above": true} {

		t.Run(name, func(t *testing.T) {
			h := newBlind(t)
			h.inPlace(static, other)
			ctx := t.Context()

			first := h.deposit(1_000)
			early := h.chain.scan(other)

			late := h.pay(2_000)
			late.TxOut[0].PkScript = other
			h.chain.mine(late)
			second := wire.OutPoint{Hash: late.TxHash()}
			if higher {
				h.scanned("one")
				h.chain.mine(h.spend(first))
				early = h.chain.scan(other)
			} else {
				h.chain.mine(h.spend(first))
				h.scanned("one")
			}
			require.NoError(t, h.view.Publish(
				ctx, "two", [][]byte{other}, early,
			))

			utxos := h.unspent()
			require.Len(t, utxos, 1)
			require.Equal(t, second, utxos[0].OutPoint)
			require.Equal(t, other, utxos[0].PkScript)
			require.Equal(t, 1, h.view.Status().Spent)
		})
	}
}

// TestHigherScanIsCut checks that what a scan found above the blocks that are
// followed for another address is taken from the blocks once these are walked,
// and not from the scan: a reorg can have taken it back.
func TestHigherScanIsCut(t *testing.T) {
	h := newBlind(t)
	h.inPlace(static, other)
	require.NoError(t, h.view.Publish(
		t.Context(), "one", [][]byte{other}, h.chain.scan(other),
	))

	kept := h.deposit(1_000)
	require.NoError(t, h.view.CatchUp(t.Context()))
	h.chain.mine(h.spend(kept))
	h.deposit(2_000)
	h.scanned("two")

	h.chain.disconnect(2)
	h.chain.mineEmpty(3)
	h.sees(kept)
}

// TestFilters checks that what is added passes the filters that lnd applies to
// its own list.
func TestFilters(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.chain.mineEmpty(5)
	h.scanned("run")

	unconfirmedOnly := lndclient.WithUnspentUnconfirmedOnly()
	for name, test := range map[string]struct {
		low, high int32
		opts      []lndclient.ListUnspentOption
		wanted    bool
	}{
		"all":           {0, 0, nil, true},
		"exactly":       {6, 6, nil, true},
		"young":         {0, 5, nil, false},
		"old":           {7, 0, nil, false},
		"unconfirmed":   {0, 0, opts(unconfirmedOnly), false},
		"account":       {0, 0, account("default"), false},
		"imported":      {0, 0, account("imported"), true},
		"every account": {0, 0, account(""), true},
	} {
		t.Run(name, func(t *testing.T) {
			utxos, err := h.seen.WalletKit.ListUnspent(
				t.Context(), test.low, test.high, test.opts...,
			)
			require.NoError(t, err)
			if !test.wanted {
				require.Empty(t, utxos)

				return
			}
			require.Len(t, utxos, 1)
			require.Equal(t, deposit, utxos[0].OutPoint)
		})
	}

	// A row that never confirmed is among the unconfirmed ones.
	h = newBlind(t)
	pending := wire.OutPoint{Hash: h.pay(1_000).TxHash()}
	h.row(pending, 1_000, 0)
	utxos, err := h.seen.WalletKit.ListUnspent(
		t.Context(), 0, 0, unconfirmedOnly,
	)
	require.NoError(t, err)
	require.Len(t, utxos, 1)
}

// opts returns options as a list.
func opts(list ...lndclient.ListUnspentOption) []lndclient.ListUnspentOption {
	return list
}

// account returns the option that asks for an account.
func account(name string) []lndclient.ListUnspentOption {
	return opts(lndclient.WithUnspentAccount(name))
}

// TestCoinbase checks that a block reward to the static address is reported
// when consensus allows to spend it, and not before.
func TestCoinbase(t *testing.T) {
	h := newBlind(t)
	reward := wire.OutPoint{Hash: h.chain.mineTo(static).TxHash()}
	h.scanned("run")
	h.chain.mineEmpty(98)
	h.sees()
	h.chain.mineEmpty(1)
	h.sees(reward)
}

// TestDepositAboveTip checks that a deposit is there, and its height is not
// lost for good, while a rebuilt lnd's node is still catching up.
func TestDepositAboveTip(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.row(deposit, 1_000, int64(h.chain.height()))
	above := h.chain.best
	h.chain.disconnect(2)
	h.sees(deposit)
	require.EqualValues(t, 1, h.unspent()[0].Confirmations)

	h.chain.best = above
	h.chain.mineEmpty(2)
	require.EqualValues(t, 3, h.unspent()[0].Confirmations)
}

// TestLedgerLost checks that a user who lost loopd's directory a second time,
// and with it the ledger, has every deposit after the second restore. The lnd
// that was rebuilt before is as blind as ever, and knows the script by now.
func TestLedgerLost(t *testing.T) {
	h := newHarness(t)
	deposit := h.deposit(1_000)
	h.chain.mineEmpty(3)
	known := h.pay(2_000)
	h.chain.mine(known)
	h.learns(known, 0, h.chain.height())
	listed := wire.OutPoint{Hash: known.TxHash()}
	h.sees(listed)

	require.NoError(t, h.view.AddPlace(t.Context(), static))
	require.Equal(t, [][]byte{static}, h.view.Status().Blind)
	h.row(deposit, 1_000, int64(h.chain.height()))
	h.sees(deposit, listed)

	// What lnd's wallet holds stays lnd's to report, absence included.
	h.scanned("run")
	require.Empty(t, h.view.Status().Blind)
	h.sees(deposit, listed)
	h.restart()
	h.sees(deposit, listed)
}
