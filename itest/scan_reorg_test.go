package itest

import (
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/staticaddr"
	"github.com/stretchr/testify/require"
)

// getBestBlock is the call to lnd with which a scan asks for the tip: at its
// begin, and again when it has walked to it.
const getBestBlock = "/chainrpc.ChainKit/GetBestBlock"

// reorgDepths are the depths of the reorgs of these stories, in blocks.
var reorgDepths = []int32{1, 6, 12}

// reorgWorld is a scanWorld on two nodes that can be made to disagree.
type reorgWorld struct {
	*scanWorld

	rivals *regtest.Rivals

	// next is the index of the next child that was never paid.
	next uint32

	// birthday is where scans begin here.
	birthday int32
}

// TestScanReorg: the best chain changes while a scan stands on the abandoned
// branch, while the daemon is dead, while a block of that branch is on its way,
// and after the scan; and it grows while the scan is at its end. On the
// abandoned branch deposits and spends were seen that are gone, that come back
// in another block, or that others replace. If this breaks, a recovery tells of
// money that is not there, or calls money spent that is not.
func TestScanReorg(t *testing.T) {
	s := newLongStory(t, scanExpiry)
	rivals, err := s.StartRivals(t.Context(), "btcd-rival")
	require.NoError(t, err)
	w := &reorgWorld{scanWorld: newScanWorld(s), rivals: rivals}
	s.start(w.loopd)
	w.rescan()
	w.birthday = s.waitReconciled(w.loopd).Coverage.Birthday

	moments := []struct {
		name string
		tell func()
	}{
		{"at the tip", w.reorgAtTip},
		{"in flight", w.reorgInFlight},
		{"while down", w.reorgWhileDown},
		{"afterwards", w.reorgAfterwards},
	}
	for _, depth := range reorgDepths {
		for _, moment := range moments {
			old := w.branches(depth)
			moment.tell()
			found := w.requireTruth(s.recovery(w.loopd).Run)
			require.NotContains(t, fmt.Sprint(found), old.String())
			t.Logf("reorg of depth %d %s: %d deposits, as on "+
				"the chain", depth, moment.name, len(found))
		}
	}
	w.tipMoves()
}

// tipMoves: while the scan asks whether it has come to the end, another block
// comes, with a deposit to a child whose predecessors were never paid.
func (w *reorgWorld) tipMoves() {
	w.Helper()

	w.holdAtTip()
	for range 10 {
		w.child()
	}
	coins := w.fund(w.Btcd, 400_000, w.child())
	_, err := w.Mine(w.Context(), 1)
	require.NoError(w, err)
	w.proxy.Open()
	found := w.requireTruth(w.waitReconciled(w.loopd))
	require.Contains(w, fmt.Sprint(found), coins[0].outpoint.String())
}

// child returns a child address that was never paid, of either family in turn.
func (w *reorgWorld) child() *owned {
	w.Helper()

	family := staticaddr.ReceiveFamily
	if w.next%2 == 1 {
		family = staticaddr.ChangeFamily
	}
	w.next++

	return w.own(family, (w.next-1)/2)
}

// branches splits the nodes and lets each mine a branch: the network's so many
// blocks, the rival one more. The scan finds deposits and spends that are on
// both branches, on one of them, or different ones on each. It returns the
// deposit transaction that is only on the network's.
func (w *reorgWorld) branches(depth int32) wire.OutPoint {
	w.Helper()
	main, rival := w.rivals.Main, w.rivals.Rival

	coins := w.fund(
		main, 100_000, w.legacy, w.child(), w.child(), w.child(),
	)
	_, err := w.Mine(w.Context(), scanExpiry+1)
	require.NoError(w, err)
	require.NoError(w, w.rivals.Split(w.Context()))

	both := w.spend(scanFee, coins[1])
	replaced, replacement := w.spend(scanFee, coins[2]),
		w.spend(2*scanFee, coins[2])
	rivalOnly := w.spend(scanFee, coins[3])
	shared := w.child()

	// The branch that will be abandoned: payments first, spends last.
	lost := w.fund(main, 200_000, w.legacy, shared, w.child())[1].outpoint
	w.mineBranch(main, depth, both, replaced)

	// The other one: a payment that takes the same coin, and a spend at
	// another height.
	require.NoError(w, rival.Send(both))
	w.fund(rival, 300_000, shared, w.child(), w.legacy)
	w.mineBranch(rival, depth+1, replacement, rivalOnly)
	require.NoError(w, w.WaitSynced(w.Context()))

	return lost
}

// mineBranch mines blocks at one node, the transactions in the last one.
func (w *reorgWorld) mineBranch(node *regtest.Btcd, blocks int32,
	last ...*wire.MsgTx) {

	w.Helper()

	_, err := node.Mine(w.Context(), uint32(blocks-1))
	require.NoError(w, err)
	for _, tx := range last {
		require.NoError(w, node.Send(tx))
	}
	_, err = node.Mine(w.Context(), 1)
	require.NoError(w, err)
}

// join lets the rival's branch win and waits until lnd follows it.
func (w *reorgWorld) join() {
	w.Helper()

	require.NoError(w, w.rivals.Join(w.Context()))
	require.NoError(w, w.WaitSynced(w.Context()))
}

// blocks is the number of blocks that a scan walks now.
func (w *reorgWorld) blocks() int {
	w.Helper()

	tip, err := w.Btcd.Height()
	require.NoError(w, err)

	return int(tip - w.birthday + 1)
}

// holdAtTip begins a scan and holds it when it has walked to the tip, has saved
// that, and asks whether there is more.
func (w *reorgWorld) holdAtTip() {
	w.Helper()

	blocks, fetched := w.blocks(), 0
	w.proxy.Hold(func(method string) bool {
		if method == getBlock {
			fetched++
		}

		return method == getBestBlock && fetched >= blocks
	})
	w.rescan()
	w.waitRecovery(w.loopd, "the scan at the tip",
		func(resp *recoveryrpc.GetRecoveryResponse) bool {
			progress := resp.GetRun().GetProgress()

			return int(progress.GetHeight()-w.birthday)+1 == blocks
		})
	require.NoError(w, w.proxy.WaitHeld(w.Context(), getBestBlock))
}

// reorgAtTip: the cursor stands on the tip of the abandoned branch.
func (w *reorgWorld) reorgAtTip() {
	w.holdAtTip()
	w.join()
	w.proxy.Open()
	w.waitReconciled(w.loopd)
}

// reorgInFlight: the last block of the abandoned branch was asked for.
func (w *reorgWorld) reorgInFlight() {
	blocks, fetched := w.blocks(), 0
	w.proxy.Hold(func(method string) bool {
		if method == getBlock {
			fetched++
		}

		return method == getBlock && fetched >= blocks
	})
	w.rescan()
	require.NoError(w, w.proxy.WaitHeld(w.Context(), getBlock))
	w.join()
	w.proxy.Open()
	w.waitReconciled(w.loopd)
}

// reorgWhileDown: the daemon was killed with its cursor on the abandoned branch
// and starts on the other one.
func (w *reorgWorld) reorgWhileDown() {
	w.holdAtTip()
	before := w.recovery(w.loopd).Run
	require.NoError(w, w.loopd.Kill())
	w.join()
	w.proxy.Open()
	w.startListening(w.loopd)
	run := w.waitReconciled(w.loopd)
	require.Equal(w, before.Id, run.Id)
	require.Less(w, run.Coverage.Blocks, uint64(w.blocks()),
		"began from the birthday again")
}

// reorgAfterwards: the scan was over. What it said was true of the abandoned
// branch, and the next one says what is true of the other.
func (w *reorgWorld) reorgAfterwards() {
	w.rescan()
	before := w.requireTruth(w.waitReconciled(w.loopd))
	w.join()
	w.rescan()
	run := w.waitReconciled(w.loopd)
	require.NotEqual(w, before, w.summary(run).Outputs)
}
