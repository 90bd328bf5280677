package itest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/staticaddr"
	"github.com/stretchr/testify/require"
)

const (
	// manyBlocks is the number of blocks that the scan takes at least.
	manyBlocks = 20_000

	// manyChildren is the number of child addresses of each family that
	// are paid, manyDeposits the number of deposits, and manyInTx how many
	// of them are in one transaction.
	manyChildren, manyDeposits, manyInTx = 100, 1_000, 20

	// manySpent is the number of deposits that are spent.
	manySpent = 300

	// chunkBlocks is the largest number of blocks of a chunk, and ahead is
	// the largest number that a scan has asked for and not walked.
	chunkBlocks, ahead = 500, 192

	// kills is how often the daemon is killed in one scan.
	kills = 3
)

// TestScanMany: a thousand deposits at two hundred child addresses and at the
// address itself, in no order, on a chain of twenty thousand blocks, some of
// them spent, are all found. Then the daemon is killed over and over in the
// middle of the same scan. If this breaks, a merchant's recovery misses
// payments, or never ends on a machine that is restarted now and then.
func TestScanMany(t *testing.T) {
	w := newScanWorld(newLongStory(t, scanExpiry))
	began := time.Now()
	w.payMany()
	t.Logf("%d deposits in %d blocks made in %v", manyDeposits, manyBlocks,
		time.Since(began).Round(time.Millisecond))

	w.start(w.loopd)
	began = time.Now()
	w.rescan()
	undisturbed := w.waitReconciled(w.loopd)
	t.Logf("%d blocks scanned in %v", undisturbed.Coverage.Blocks,
		time.Since(began).Round(time.Millisecond))

	found := w.requireTruth(undisturbed)
	require.Len(t, found, manyDeposits)
	spent := 0
	for _, output := range found {
		if output.SpendTxID != "" {
			spent++
		}
	}
	require.Equal(t, manySpent, spent)
	w.showsCoverage(undisturbed)

	disturbed, fetched := w.killInScan(int(undisturbed.Coverage.Blocks))
	require.Equal(t, undisturbed.Summary, disturbed.Summary)
	repeated := fetched - int(undisturbed.Coverage.Blocks)
	t.Logf("killed %d times: %d blocks fetched again", kills, repeated)
	require.LessOrEqual(t, repeated, kills*(chunkBlocks+ahead))
	w.keepsCoverage(undisturbed)
}

// payMany makes the deposits and the spends, and mines the blocks. The lnds are
// stopped meanwhile: to follow a burst of blocks one by one takes them minutes.
func (w *scanWorld) payMany() {
	w.Helper()

	to := w.shuffled()
	batch := func(i int) []*owned {
		return to[i*manyInTx : (i+1)*manyInTx]
	}
	const batches = manyDeposits / manyInTx
	var spends []*wire.MsgTx
	for i := range batches / 2 {
		coins := w.fund(w.Btcd, int64(20_000+1_000*i), batch(i)...)
		const each = manySpent / (batches / 2)
		spends = append(spends, w.spend(scanFee, coins[:each]...))
	}
	require.NoError(w, w.Server.Stop())
	require.NoError(w, w.Client.Stop())

	for i := range batches {
		if i < batches/2 {
			w.mineQuietly(manyBlocks / batches)
			require.NoError(w, w.Btcd.Send(spends[i]))
			continue
		}
		w.fund(w.Btcd, int64(20_000+1_000*i), batch(i)...)
		w.mineQuietly(manyBlocks / batches)
	}
	require.NoError(w, w.Client.Start(w.Context()))
	require.NoError(w, w.Client.WaitSynced(w.Context()))
}

// shuffled returns whom to pay: every address about as often, in no order, so
// that children are paid long before those that make them known.
func (w *scanWorld) shuffled() []*owned {
	w.Helper()

	addresses := []*owned{w.legacy}
	for index := range uint32(manyChildren) {
		addresses = append(
			addresses, w.own(staticaddr.ReceiveFamily, index),
			w.own(staticaddr.ChangeFamily, index),
		)
	}

	to := make([]*owned, manyDeposits)
	for i := range to {
		to[i] = addresses[i%len(addresses)]
	}
	rng := rand.New(rand.NewPCG(1, manyDeposits))
	rng.Shuffle(len(to), func(i, k int) { to[i], to[k] = to[k], to[i] })

	return to
}

// mineQuietly mines blocks that no lnd follows.
func (w *scanWorld) mineQuietly(blocks uint32) {
	w.Helper()

	_, err := w.Btcd.Mine(w.Context(), blocks)
	require.NoError(w, err)
}

// showsCoverage checks that the command line shows the evidence.
func (w *scanWorld) showsCoverage(run *recoveryrpc.Run) {
	w.Helper()

	result := w.cli(w.loopd, "recover", "--status")
	require.Zero(w, result.ExitCode, result.Stderr)
	for _, said := range []string{
		run.Coverage.TipHash, run.Coverage.Source,
		"the highest used index is 99",
	} {
		require.Contains(w, result.Stdout, said)
	}
	require.Equal(w, 2, strings.Count(
		result.Stdout, "the highest used index is 99",
	))
}

// keepsCoverage checks that a run's evidence is still the same, after another
// run and after the daemon was killed.
func (w *scanWorld) keepsCoverage(run *recoveryrpc.Run) {
	w.Helper()

	runs := w.runs(w.loopd)
	at := slices.IndexFunc(runs, func(r *recoveryrpc.Run) bool {
		return r.Id == run.Id
	})
	require.GreaterOrEqual(w, at, 0)
	require.Equal(w, run.Coverage.String(), runs[at].Coverage.String())
	require.Equal(w, run.Summary, runs[at].Summary)
}

// killInScan begins the scan again and kills the daemon in the middle of it,
// each time when another part of the blocks was fetched. It returns the run and
// the number of blocks that were fetched in all.
func (w *scanWorld) killInScan(blocks int) (*recoveryrpc.Run, int) {
	w.Helper()

	fetched, marks := 0, make(chan struct{}, kills)
	w.proxy.Hold(func(method string) bool {
		if method == getBlock {
			fetched++
			if mark := blocks / (kills + 1); fetched%mark == 0 &&
				fetched/mark <= kills {

				marks <- struct{}{}
			}
		}

		return false
	})
	w.rescan()
	for range kills {
		select {
		case <-marks:
		case <-w.Context().Done():
			require.Fail(w, "the scan does not come so far")
		}
		require.NoError(w, w.loopd.Kill())
		w.startListening(w.loopd)
	}
	run := w.waitReconciled(w.loopd)
	w.proxy.Open()

	return run, fetched
}
