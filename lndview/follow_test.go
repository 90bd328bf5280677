package lndview_test

import (
	"context"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNewOutput checks that a deposit which lnd's wallet does not list,
// although it confirmed after the scan, is found, and goes away with its block.
func TestNewOutput(t *testing.T) {
	h := newBlind(t)
	h.scanned("run")

	tx := h.pay(1_000, 2_000)
	h.chain.mine(tx)
	first := wire.OutPoint{Hash: tx.TxHash()}
	second := wire.OutPoint{Hash: tx.TxHash(), Index: 1}
	h.sees(first, second)

	// Made and spent in one block.
	fleeting := h.pay(3_000)
	h.chain.mine(fleeting, h.spend(
		wire.OutPoint{Hash: fleeting.TxHash()}, first,
	))
	h.sees(second)

	h.chain.disconnect(2)
	h.chain.mineEmpty(1)
	h.sees()
	h.chain.mine(tx)
	h.sees(first, second)
}

// TestReorgBelowScan checks a reorg that reaches below the tip of the published
// scan, by less and by more than the hashes that are kept.
func TestReorgBelowScan(t *testing.T) {
	for name, depth := range map[string]int{
		"one block": 1, "kept": 15, "deep": 60, "everything": 100,
	} {
		t.Run(name, func(t *testing.T) {
			h := newBlind(t)
			h.chain.disconnect(100)
			old := h.deposit(1_000)
			h.chain.mineEmpty(100 - depth)
			young := h.pay(2_000)
			spend := h.spend(old)
			h.chain.mine(young, spend)
			h.chain.mineEmpty(depth - 1)
			h.scanned("run")
			h.sees(wire.OutPoint{Hash: young.TxHash()})

			h.chain.disconnect(depth)
			h.chain.mineEmpty(depth + 1)
			h.sees(old)

			h.chain.mine(young)
			h.sees(old, wire.OutPoint{Hash: young.TxHash()})
			require.Equal(
				t, h.chain.tip(), *h.view.Status().Followed,
			)
		})
	}
}

// TestReorgBelowEverything checks a reorg below all that is known: the walk
// begins again at the birthday.
func TestReorgBelowEverything(t *testing.T) {
	h := newBlind(t)
	h.scanned("run")
	h.sees()

	h.chain.disconnect(60)
	deposit := h.deposit(1_000)
	h.chain.mineEmpty(70)
	h.sees(deposit)
}

// TestStaleScan checks that the result of a scan whose tip was reorged out
// before it was published does no harm.
func TestStaleScan(t *testing.T) {
	h := newBlind(t)
	kept := h.deposit(1_000)
	h.chain.mineEmpty(30)
	h.deposit(2_000)
	stale := h.chain.scan(static)
	h.chain.disconnect(1)
	h.chain.mineEmpty(2)

	err := h.view.Publish(t.Context(), "run", [][]byte{static}, stale)
	require.NoError(t, err)
	h.sees(kept)
}

// TestLowerTip checks that a node that is behind on the same chain takes
// nothing back, not even a spend above its tip: what was proven stays, and is
// not proven again. A node on another chain takes back what that lacks.
func TestLowerTip(t *testing.T) {
	for name, back := range map[string]bool{
		"the same blocks": true, "others": false,
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newGuarded(t)
			kept := h.deposit(2_000)
			deposit := h.deposit(1_000)
			h.scanned("run")
			h.chain.mine(h.spend(deposit))
			h.chain.mineEmpty(2)
			h.sees(kept)
			followed := *h.view.Status().Followed

			above := h.chain.best
			for range 3 {
				h.chain.disconnect(1)
				h.sees(kept)
				require.Equal(t, followed,
					*h.view.Status().Followed)
				require.Error(t, h.cosigns(clientKey))
			}
			reads := h.chain.reads
			if back {
				h.chain.best = above
				h.sees(kept)
				require.NoError(t, h.cosigns(clientKey))
				require.Equal(t, reads, h.chain.reads)

				return
			}
			h.chain.mineEmpty(4)
			h.sees(deposit, kept)
			require.NoError(t, h.cosigns(clientKey))
		})
	}
}

// TestBehind checks that a long time offline is made up for in steps that are
// kept and keep nobody waiting. Until it is, every deposit is there, and none
// can be spent.
func TestBehind(t *testing.T) {
	offline := func(t *testing.T) (*harness, wire.OutPoint, wire.OutPoint) {
		h, _ := newGuarded(t)
		spent, kept := h.deposit(1_000), h.deposit(2_000)
		h.scanned("run")
		h.chain.mine(h.spend(spent))
		h.chain.mineEmpty(400)

		return h, spent, kept
	}

	t.Run("in steps", func(t *testing.T) {
		h, spent, kept := offline(t)

		// A row of which nobody has walked the block yet.
		young := h.deposit(3_000)
		h.row(young, 3_000, int64(h.chain.height()))
		h.row(spent, 1_000, int64(startHeight))
		var followed int32
		for range 2 {
			h.sees(kept, young)
			var behind *lndview.BehindError
			require.ErrorAs(t, h.view.Status().Lagging, &behind)
			require.Greater(t, behind.Followed.Height, followed)
			require.Equal(t, h.chain.tip(), behind.Tip)
			require.Error(t, h.cosigns(clientKey))
			followed = behind.Followed.Height
		}
		h.sees(kept, young)
		require.NoError(t, h.view.Status().Lagging)
		require.NoError(t, h.cosigns(clientKey))
	})

	t.Run("at once", func(t *testing.T) {
		h, _, kept := offline(t)
		require.NoError(t, h.view.CatchUp(t.Context()))
		reads := h.chain.reads
		h.sees(kept)
		require.Equal(t, reads, h.chain.reads)
	})
}

// TestReorgWhileWalking checks a reorg in the middle of a walk.
func TestReorgWhileWalking(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.scanned("run")
	h.chain.mineEmpty(40)

	// The first blocks are fetched from the old chain, the others from the
	// new one, in which the second block has the spend.
	second, err := h.chain.BlockHash(t.Context(), h.chain.height()-38)
	require.NoError(t, err)
	replaced := make(chan struct{})
	h.chain.onBlock = func(hash chainhash.Hash) {
		if hash != second {
			<-replaced

			return
		}
		h.chain.disconnect(39)
		h.chain.mine(h.spend(deposit))
		h.chain.mineEmpty(50)
		close(replaced)
	}
	h.sees()
}

// TestReorgBetweenReads checks that a block which is not there while the node
// changes its chain is not taken for one that cannot be read: the daemon would
// be told of nothing.
func TestReorgBetweenReads(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.scanned("run")
	h.chain.mineEmpty(40)

	// The old chain is gone when the first of its blocks was read, and the
	// new one is there when the node is asked for its tip.
	var removed, replaced sync.Once
	gone := make(chan struct{})
	h.chain.onBlock = func(chainhash.Hash) {
		removed.Do(func() {
			h.chain.disconnect(30)
			close(gone)
		})
	}
	h.chain.onTip = func() {
		select {
		case <-gone:
			replaced.Do(func() { h.chain.mineEmpty(50) })

		default:
		}
	}
	h.sees(deposit)
}

// TestRestlessChain checks that everybody gets an answer while the tip never
// rests, and nobody takes it for proven.
func TestRestlessChain(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.scanned("run")
	h.lnd.hook("ListUnspent", func() { h.chain.mineEmpty(1) })
	h.sees(deposit)
	require.Equal(t, 1, h.view.Status().Provisional)
	h.lnd.hook("ListUnspent", nil)
	h.sees(deposit)
	require.Zero(t, h.view.Status().Provisional)
}

// TestNeverLess checks that whatever fails, the answer is an error and not a
// shorter list, and that the next one is complete.
func TestNeverLess(t *testing.T) {
	for name, test := range map[string]struct {
		fail  func(h *harness, err error)
		blind bool
	}{
		"list": {fail: func(h *harness, err error) {
			h.lnd.fail("ListUnspent", err)
		}},
		"transactions": {fail: func(h *harness, err error) {
			h.lnd.fail("ListTransactions", err)
		}},
		"tip": {fail: func(h *harness, err error) {
			h.lnd.fail("GetBestBlock", err)
		}},
		"rows": {blind: true, fail: func(h *harness, err error) {
			h.rows.err = err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newBlind(t)
			deposit := h.deposit(1_000)
			h.row(deposit, 1_000, int64(h.chain.height()))
			if !test.blind {
				h.scanned("run")
			}
			h.chain.mineEmpty(1)

			test.fail(h, errDown)
			_, err := h.seen.WalletKit.ListUnspent(
				t.Context(), 0, 0,
			)
			require.ErrorIs(t, err, errDown)
			_, err = h.seen.Client.ListTransactions(
				t.Context(), 0, -1,
			)
			require.ErrorIs(t, err, errDown)

			test.fail(h, nil)
			h.sees(deposit)
		})
	}
}

// TestNoBlocks checks that a node that does not give its blocks takes nothing
// away: what was proven is reported as it was, provisionally.
func TestNoBlocks(t *testing.T) {
	h, _ := newGuarded(t)
	deposit := h.deposit(1_000)
	h.scanned("run")
	h.chain.mine(h.spend(deposit))
	h.chain.err = errDown
	h.sees(deposit)
	require.ErrorIs(t, h.view.Status().Lagging, errDown)
	require.Error(t, h.cosigns(clientKey))

	h.chain.err = nil
	h.sees()
	require.NoError(t, h.cosigns(clientKey))
}

// TestWrongBlock checks that bytes which are not the block prove nothing.
func TestWrongBlock(t *testing.T) {
	for name, corrupt := range map[string]func([]byte) []byte{
		"header": func(raw []byte) []byte {
			raw[4] ^= 1

			return raw
		},
		"transaction": func(raw []byte) []byte {
			raw[len(raw)-1] ^= 1

			return raw
		},
		"cut":      func(raw []byte) []byte { return raw[:90] },
		"longer":   func(raw []byte) []byte { return append(raw, 0) },
		"empty":    func([]byte) []byte { return nil },
		"too long": func([]byte) []byte { return make([]byte, 5e6) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newBlind(t)
			deposit := h.deposit(1_000)
			h.scanned("run")
			h.chain.mine(h.spend(deposit))
			h.chain.corrupt = corrupt

			h.sees(deposit)
			var chainErr *lndview.ChainError
			require.ErrorAs(t, h.view.Status().Lagging, &chainErr)
			require.Equal(t, h.chain.height(), chainErr.Height)
		})
	}
}

// TestWaitingCanBeCancelled checks that a caller is not held beyond its context
// by another one's slow answer, and that the status does not wait at all.
func TestWaitingCanBeCancelled(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.scanned("run")

	entered, release := make(chan struct{}), make(chan struct{})
	h.lnd.hook("ListTransactions", func() {
		close(entered)
		<-release
	})
	done := make(chan error, 1)
	go func() {
		_, err := h.seen.WalletKit.ListUnspent(t.Context(), 0, 0)
		done <- err
	}()
	<-entered

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.seen.WalletKit.ListUnspent(ctx, 0, 0)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, h.view.Status().Unspent)

	// Somebody who publishes does not wait either, and the slow answer
	// takes the publication into account.
	h.lnd.unlisted = true
	h.publish(h.spend(deposit))

	h.lnd.hook("ListTransactions", nil)
	close(release)
	require.NoError(t, <-done)
	h.sees()
}

// TestConcurrentUse lets everything happen at the same time; the race detector
// judges.
func TestConcurrentUse(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.scanned("run")
	spend := h.spend(deposit)
	result := h.chain.scan(static)
	ctx := t.Context()

	var group sync.WaitGroup
	for _, do := range []func(int) error{
		func(int) error {
			_, err := h.seen.WalletKit.ListUnspent(ctx, 0, 0)

			return err
		},
		func(int) error {
			_, err := h.seen.Client.ListTransactions(ctx, 0, -1)

			return err
		},
		func(int) error {
			return h.seen.WalletKit.PublishTransaction(
				ctx, spend, "",
			)
		},
		func(int) error {
			_, err := h.view.Provisional(ctx)
			h.view.Status()

			return err
		},
		func(i int) error {
			return h.view.Publish(ctx, string(rune('a'+i)),
				[][]byte{static}, result)
		},
		func(int) error {
			return h.view.InPlace(ctx, [][]byte{static})
		},
	} {
		group.Go(func() {
			for i := range 20 {
				assert.NoError(t, do(i))
			}
		})
	}
	group.Wait()
	h.sees()
}
