package recoveryfsm_test

import (
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// scanning returns an engine whose run is in its scan, on a clock of the test.
func scanning(t *testing.T) (*world, *recoveryfsm.Engine, string,
	func(time.Duration)) {

	t.Helper()
	w := newWorld(t)
	testClock, _ := newClock()
	entered := make(chan struct{}, 1)
	w.set(states.ScanDeposits, hang(entered))
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		cfg.Clock = testClock
	})
	run := start(t, engine)
	receive(t, entered)

	return w, engine, run.ID, func(passed time.Duration) {
		testClock.SetTime(testClock.Now().Add(passed))
	}
}

// TestProgressIsThrottled checks that progress is shown at once, and saved
// twice a second at most unless it is a reorganisation or the end.
func TestProgressIsThrottled(t *testing.T) {
	w, engine, id, pass := scanning(t)
	before := w.journal.Saves()

	for height := range int32(100) {
		engine.SaveProgress(id, chainscan.Progress{
			Height: height, Birthday: 1, Tip: 1_000,
		})
		shown, err := engine.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, height, shown.Progress.Height)
		pass(10 * time.Millisecond)
	}
	require.Equal(t, 2, w.journal.Saves()-before)

	engine.SaveProgress(id, chainscan.Progress{
		Height: 90, Tip: 1_000,
		Reorg: &chainscan.BlockStamp{Height: 89},
	})
	require.Equal(t, 3, w.journal.Saves()-before)
	engine.SaveProgress(id, chainscan.Progress{Height: 1_000, Tip: 1_000})
	require.Equal(t, 4, w.journal.Saves()-before)

	// The last one is there for the next process, and says that there was
	// a reorganisation.
	stored, err := w.journal.Run(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, 1_000, stored.Progress.Height)
	require.EqualValues(t, 89, stored.Progress.Reorg.Height)
}

// TestProgressOfOthers checks that progress of a run that is not at work is
// ignored.
func TestProgressOfOthers(t *testing.T) {
	w, engine, _, _ := scanning(t)
	before := w.journal.Saves()
	engine.SaveProgress("none", chainscan.Progress{Height: 1})
	require.Equal(t, before, w.journal.Saves())
}

// TestProgressFails checks that a progress that cannot be saved does not stop a
// scan.
func TestProgressFails(t *testing.T) {
	w, engine, id, _ := scanning(t)
	w.dieAt(1, false)
	engine.SaveProgress(id, chainscan.Progress{Height: 7, Tip: 9})
	w.revive()

	shown, err := engine.Get(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, 7, shown.Progress.Height)
	require.Nil(t, shown.Halted)
}

// TestRate checks rate and time to the end.
func TestRate(t *testing.T) {
	_, engine, id, pass := scanning(t)
	report := func(number uint32, height int32) *recoveryfsm.Progress {
		engine.SaveProgress(id, chainscan.Progress{
			Pass: number, Height: height, Tip: 10_000,
		})
		run, err := engine.Get(t.Context(), id)
		require.NoError(t, err)

		return run.Progress
	}

	first := report(0, 1_000)
	require.Zero(t, first.BlocksPerSecond)
	require.Zero(t, first.ETA)

	pass(2 * time.Second)
	second := report(0, 1_400)
	require.InDelta(t, 200, second.BlocksPerSecond, 0.1)
	require.Equal(t, 43*time.Second, second.ETA)
	require.Equal(t, first.Started, second.Started)

	// It follows a change, but not at once.
	pass(time.Second)
	third := report(0, 1_500)
	require.InDelta(t, 170, third.BlocksPerSecond, 0.1)

	// The step back to a new pass is no negative rate.
	pass(time.Second)
	require.InDelta(t, 170, report(1, 10).BlocksPerSecond, 0.1)
	pass(time.Second)
	require.InDelta(t, 149, report(1, 110).BlocksPerSecond, 0.1)
}
