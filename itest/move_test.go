package itest

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// move selects TestMove, which needs the programs of an old version and takes
// minutes: see `make move`.
var move = flag.Bool("move", false, "run TestMove")

// moved is the last line of `make move`, once TestMove has passed.
var moved string

// moveExpiry is the timeout of the static address here: each try mines blocks,
// and the deposits must outlast all of them.
const moveExpiry = 3_000

// TestMove moves directories of an old version to this one, each in another
// condition: a restore that was killed or stopped in each state, a blind wallet
// whose outputs were proven, a spend that nobody has confirmed yet. This
// version lists the same deposits and ends what was begun. Then the old one is
// started on the same directory, which it refuses and leaves as it is. If this
// breaks, an update loses sight of coins, or somebody who goes back to what he
// had before damages what the new version wrote.
func TestMove(t *testing.T) {
	if !*move {
		t.Skip("takes minutes: make move")
	}
	w := newCrashWorld(newLongStory(t, moveExpiry))
	challenges := w.Swap.Challenges()
	w.reset()
	w.startListening(w.loopd)
	undisturbed := w.remains()

	left := 0
	for _, state := range states.RestoreTable().Path {
		for how, leave := range w.waysToLeave(state) {
			w.reset()
			leave()
			w.startListening(w.loopd)
			require.Equal(t, undisturbed, w.remains(), "%s %s", how,
				state)
			w.goBack()
			left++
			t.Logf("%s %s: equal", how, state)
		}
	}
	w.moveBlind()
	w.movePending()
	require.Equal(t, challenges, w.Swap.Challenges(), "bought a token")
	moved = fmt.Sprintf("move: %d runs left in %d states, a blind wallet, "+
		"a pending spend: the same deposits; the way back refused",
		left, len(states.RestoreTable().Path))
}

// waysToLeave are the ways in which the old version leaves a restore in a
// state: killed before the work of the state, killed after it, and stopped in
// good order while lnd does not answer.
func (w *crashWorld) waysToLeave(state states.State) map[string]func() {
	kill := func(point string) func() {
		return func() {
			w.killAt(w.loopd, regtest.OldFailpointBinary, point)
		}
	}

	return map[string]func(){
		"killed before": kill(failpoint.Intent(state)),
		"killed after":  kill(failpoint.Outcome(state)),
		"stopped in":    func() { w.stopOldIn(state) },
	}
}

// stopOldIn lets the old version begin the restore, and ends it in good order
// in a state.
func (w *crashWorld) stopOldIn(state states.State) {
	w.Helper()

	proxy, err := w.lnd.NewProxy()
	require.NoError(w, err)
	defer func() { require.NoError(w, proxy.Stop()) }()
	proxy.Hold(holdsFor(state))
	w.loopd.SetBinary(regtest.OldBinary)
	require.NoError(w, w.loopd.StartListening(w.Context(), append(
		slices.Clone(ourArgs), "--lnd.host="+proxy.Address(),
	)...))
	run := w.holdIn(w.loopd, proxy, state)
	require.False(w, run.Finished)
	w.stop(w.loopd)
}

// startOld starts the old version and lets it restore.
func (w *crashWorld) startOld() {
	w.Helper()

	w.loopd.SetBinary(regtest.OldBinary)
	require.NoError(w, w.loopd.StartListening(w.Context(), ourArgs...))
	w.waitReconciled(w.loopd)
	w.waitRestored(w.loopd, w.live...)
}

// moveBlind moves a directory whose outputs only the old version's proofs show:
// lnd's wallet sees none of them. Then this version is killed: the old one
// finds its journal as it was left, and may tidy it up, but takes nothing away.
func (w *crashWorld) moveBlind() {
	w.Helper()

	w.reset()
	w.startOld()
	w.stop(w.loopd)

	w.start(w.loopd)
	w.waitDeposits(w.loopd, w.live...)
	w.requireBlind()
	w.waitRestored(w.loopd, w.live...)
	w.stop(w.loopd)
	w.goBack()

	w.start(w.loopd)
	runs := fmt.Sprint(w.runs(w.loopd))
	require.NoError(w, w.loopd.Kill())
	w.refuseOld()
	w.start(w.loopd)
	require.Equal(w, runs, fmt.Sprint(w.runs(w.loopd)))
	w.waitDeposits(w.loopd, w.live...)
	w.stop(w.loopd)
}

// requireBlind checks that lnd's wallet itself sees none of the deposits.
func (w *crashWorld) requireBlind() {
	w.Helper()

	services, err := w.lnd.Services(w.Context())
	require.NoError(w, err)
	defer services.Close()
	seen, err := services.WalletKit.ListUnspent(
		w.Context(), 0, math.MaxInt32,
	)
	require.NoError(w, err)
	for _, utxo := range seen {
		for _, d := range w.live {
			require.NotEqual(w, d.outpoint, utxo.OutPoint)
		}
	}
}

// movePending moves a directory of which a deposit is being spent, and confirms
// the spend then.
func (w *crashWorld) movePending() {
	w.Helper()

	w.reset()
	w.startOld()
	txid := w.publishWithdrawal(w.loopd, w.live[0], "")
	before := w.lines(w.loopd)
	require.Len(w, before, len(w.live))
	w.stop(w.loopd)

	w.start(w.loopd)
	require.Equal(w, before, w.lines(w.loopd))
	w.stop(w.loopd)
	w.goBack()

	w.start(w.loopd)
	require.Equal(w, before, w.lines(w.loopd))
	w.confirmWithdrawal(txid)
	w.waitDeposits(w.loopd, w.live[1:]...)
	w.stop(w.loopd)
}

// lines are the deposits that are not at their end, with their states.
func (s *story) lines(loopd *regtest.Loopd) []string {
	s.Helper()

	listed, err := listDeposits(s.Context(), loopd)
	require.NoError(s, err)
	var lines []string
	for _, d := range listed {
		lines = append(lines, depositLine(
			d.Outpoint, d.Value, d.ConfirmationHeight, d.State,
		))
	}
	slices.Sort(lines)

	return lines
}

// goBack starts the old version on the directory of this one, which has ended.
// It refuses, says which version is needed, and changes nothing.
func (w *crashWorld) goBack() {
	w.Helper()

	before := w.digest(w.loopd)
	w.refuseOld()
	require.Equal(w, before, w.digest(w.loopd), "changed something")
}

// refuseOld starts the old version, which refuses the directory.
func (w *crashWorld) refuseOld() {
	w.Helper()

	w.loopd.SetBinary(regtest.OldBinary)
	logged := logSize(w.loopd)
	require.NoError(w, w.loopd.Launch(nil, ourArgs...))
	require.NoError(w, w.loopd.WaitExit(regtest.DefaultTimeout))
	require.Equal(w, 1, w.loopd.ExitCode())
	require.Regexp(w, `recovery database has schema \d+, and this version `+
		`knows schemas up to \d+ only`, w.logSince(w.loopd, logged))
}

// digest returns the hash of each file in the data directory.
func (s *story) digest(loopd *regtest.Loopd) map[string][sha256.Size]byte {
	s.Helper()

	hashes := make(map[string][sha256.Size]byte)
	root := loopd.DataDir()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry,
		err error) error {

		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		hashes[path] = sha256.Sum256(data)

		return nil
	})
	require.NoError(s, err)

	return hashes
}
