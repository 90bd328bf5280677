package itest

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// crashRepeats is how often each point is tried.
	crashRepeats = 3

	// crashExpiry is the timeout of the static address here: each try
	// mines blocks, and the deposits must outlast all of them.
	crashExpiry = 2_000

	// lndDies is what the death of lnd in a state is called.
	lndDies = "lnd dies in "
)

// crash selects TestCrash, which takes minutes: see `make crash`.
var crash = flag.Bool("crash", false, "run TestCrash")

// crashed is the last line of `make crash`, once TestCrash has passed.
var crashed string

// crashPoints are all points at which a restore is disturbed.
func crashPoints() []string {
	points := failpoint.All()
	for _, state := range states.RestoreTable().Path {
		points = append(points, lndDies+string(state))
	}

	return points
}

// crashWorld is what every try of TestCrash begins with: a directory with
// nothing but the backup, and an lnd that was rebuilt from its seed.
type crashWorld struct {
	*story

	loopd *regtest.Loopd
	lnd   *regtest.Lnd
	blind string
	saved file
	live  []deposit
}

// remains is an outcome and what else is in the directory.
type remains struct {
	outcome

	// files are the names of the files in the data directory.
	files []string
}

// TestCrash kills one restore at each failpoint and takes lnd away from one in
// each state, three times each. However it was disturbed, a restore ends with
// the same bytes as the one that was left alone, and with each effect once. If
// this breaks, whoever pulls the plug at the wrong moment ends with a second
// token, keys that are handed out twice, or half a client.
func TestCrash(t *testing.T) {
	if !*crash {
		t.Skip("takes minutes: make crash")
	}
	w := newCrashWorld(newLongStory(t, crashExpiry))
	challenges := w.Swap.Challenges()
	w.reset()
	w.startListening(w.loopd)
	undisturbed := w.remains()
	require.Contains(t, undisturbed.files, "l402.token")

	points := crashPoints()
	for number, point := range points {
		for range crashRepeats {
			w.reset()
			w.disturb(point)
			require.Equal(t, undisturbed, w.remains(), point)
			require.Equal(t, challenges, w.Swap.Challenges(),
				"%s: bought a token", point)
		}
		t.Logf("%2d/%d %s: equal", number+1, len(points), point)
	}
	crashed = fmt.Sprintf("crash: %d points x %d, all equal", len(points),
		crashRepeats)
}

// newCrashWorld makes a client with deposits, one of them spent, and loses it
// and its lnd.
func newCrashWorld(s *story) *crashWorld {
	s.Helper()

	lost := s.newClient("lnd")
	loopd := s.newLoopd(regtest.LoopdConfig{Lnd: lost})
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000, 300_000, 400_000)
	s.waitDeposits(loopd, deposits...)
	s.withdraw(loopd, deposits[0])
	w := &crashWorld{
		story: s, loopd: loopd, saved: s.backup(loopd),
		live: deposits[1:],
	}
	s.lose(loopd)
	w.lnd = s.rebuild(lost, "lnd-rebuilt")
	loopd.SetLnd(w.lnd)
	w.blind = s.saveLnd(w.lnd)

	return w
}

// reset puts everything back to what it was after the loss.
func (w *crashWorld) reset() {
	w.Helper()

	w.lose(w.loopd)
	w.revertLnd(w.lnd, w.blind)
	w.plant(w.loopd, w.saved)
}

// disturb begins the restore, disturbs it at a point, and lets it go on.
func (w *crashWorld) disturb(point string) {
	w.Helper()

	state, dies := strings.CutPrefix(point, lndDies)
	if dies {
		w.killLnd(states.State(state))
		return
	}
	w.killAt(w.loopd, regtest.FailpointBinary, point)
	w.startListening(w.loopd)
}

// killLnd kills lnd while the restore stands in a state, and starts it again.
func (w *crashWorld) killLnd(state states.State) {
	w.Helper()

	proxy, err := w.lnd.NewProxy()
	require.NoError(w, err)
	proxy.Hold(holdsFor(state))
	w.loopd.SetBinary(regtest.LoopdBinary)
	args := append(
		slices.Clone(ourArgs), "--lnd.host="+proxy.Address(),
	)
	require.NoError(w, w.loopd.StartListening(w.Context(), args...))
	w.holdIn(w.loopd, proxy, state)

	require.NoError(w, w.lnd.Kill())
	run := w.recovery(w.loopd).Run
	require.Equal(w, string(state), run.State, "lnd died too late")
	require.False(w, run.Finished, "lnd died too late")
	proxy.Open()
	require.NoError(w, w.lnd.Start(w.Context()))
	w.Cleanup(func() { require.NoError(w, proxy.Stop()) })
}

// remains waits for the end of the restore and returns all that it left behind.
func (w *crashWorld) remains() remains {
	w.Helper()

	result := remains{outcome: w.outcome(w.loopd, w.lnd, w.live)}
	paths, err := filepath.Glob(filepath.Join(w.loopd.DataDir(), "*"))
	require.NoError(w, err)
	for _, path := range paths {
		result.files = append(result.files, filepath.Base(path))
	}

	return result
}
