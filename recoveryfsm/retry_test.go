package recoveryfsm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// maxTicks is more than the number of timers of any test.
const maxTicks = 10_000

// newClock returns a clock that the test owns, and a channel that tells each
// timer that was set.
func newClock() (*clock.TestClock, chan time.Duration) {
	ticks := make(chan time.Duration, maxTicks)
	begin := time.Unix(2_000_000_000, 0).UTC()

	return clock.NewTestClockWithTickSignal(begin, ticks), ticks
}

// timer waits until a timer of the given length was set.
func timer(t *testing.T, ticks <-chan time.Duration, wanted time.Duration) {
	t.Helper()

	for receive(t, ticks) != wanted {
		continue
	}
}

// TestBackoff checks the waits between failed attempts: doubled, capped, less
// the jitter, and shown with the reason; and that an attempt is not made before
// its time.
func TestBackoff(t *testing.T) {
	w := newWorld(t)
	testClock, ticks := newClock()
	w.set(states.Decrypt, func(_ context.Context, call int) error {
		if call <= 6 {
			return fmt.Errorf("lnd is down, %d", call)
		}

		return nil
	})
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		cfg.Clock = testClock
		cfg.Random = func() float64 { return 0.5 }
		cfg.Backoff = recoveryfsm.Backoff{
			Min: 2 * time.Second, Max: 10 * time.Second,
			Jitter: 0.4,
		}
	})

	run := start(t, engine)
	for i, wanted := range []time.Duration{
		1600 * time.Millisecond, 3200 * time.Millisecond,
		6400 * time.Millisecond, 8 * time.Second, 8 * time.Second,
		8 * time.Second,
	} {
		timer(t, ticks, wanted)
		shown, err := engine.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, states.Decrypt, shown.State)
		require.EqualValues(t, i+1, shown.Attempt)
		require.Equal(t, fmt.Sprintf("lnd is down, %d", i+1),
			shown.LastError)
		due := testClock.Now().Add(wanted)
		require.Equal(t, due, shown.NextRetry)
		require.False(t, shown.Acting)

		testClock.SetTime(due.Add(-1))
		require.Equal(t, i+1, w.callsOf(states.Decrypt))
		testClock.SetTime(due)
	}
	w.checkEnd(wait(t, engine, run.ID))
	require.Equal(t, 7, w.callsOf(states.Decrypt))
}

// TestClockSetBack checks that a clock that is set back between a failed
// attempt and the wait for the next one does not make that wait longer than any
// can be, and that the next run is still the newest one.
func TestClockSetBack(t *testing.T) {
	w := newWorld(t)
	testClock, ticks := newClock()
	w.set(states.Decrypt, func(_ context.Context, call int) error {
		if call == 1 {
			return errors.New("not yet")
		}

		return nil
	})
	w.journal.SetHooks(nil, func(_ int, save recoveryfsm.Save) error {
		if save == recoveryfsm.SaveStatus {
			testClock.SetTime(testClock.Now().Add(-time.Hour))
		}

		return nil
	})
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		cfg.Clock = testClock
		cfg.Backoff = recoveryfsm.Backoff{
			Min: 2 * time.Second, Max: 10 * time.Second,
		}
	})

	first := start(t, engine)
	timer(t, ticks, 10*time.Second)
	testClock.SetTime(testClock.Now().Add(10 * time.Second))
	w.checkEnd(wait(t, engine, first.ID))

	second := start(t, engine)
	wait(t, engine, second.ID)
	latest, err := engine.Latest(t.Context())
	require.NoError(t, err)
	require.Equal(t, second.ID, latest.ID)
	require.Less(t, first.ID, second.ID)
}

// TestResumeEndsTheWait checks that a user who has repaired something need not
// wait, and that his word is not kept for a later wait.
func TestResumeEndsTheWait(t *testing.T) {
	w := newWorld(t)
	fail := func(_ context.Context, call int) error {
		if call <= 2 {
			return errors.New("not yet")
		}

		return nil
	}
	w.set(states.Decrypt, fail)
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		cfg.Backoff = recoveryfsm.Backoff{
			Min: time.Hour, Max: time.Hour,
		}
	})
	run := start(t, engine)
	for attempt := range uint32(2) {
		until(t, engine, run.ID, func(run recoveryfsm.Run) bool {
			return run.Attempt == attempt+1 &&
				!run.NextRetry.IsZero()
		})
		_, err := engine.Resume(t.Context(), run.ID)
		require.NoError(t, err)
	}
	w.checkEnd(wait(t, engine, run.ID))
}

// TestResumeAtWork checks that a run that is at work is not resumed.
func TestResumeAtWork(t *testing.T) {
	w := newWorld(t)
	entered := make(chan struct{}, 1)
	w.set(states.Decrypt, hang(entered))
	engine := w.engine()
	run := start(t, engine)
	receive(t, entered)

	_, err := engine.Resume(t.Context(), run.ID)
	require.Equal(t, states.NotBlocked, refusal(t, err))
}

// TestCancelAndStopWhileWaiting checks that a run that waits for its next
// attempt can be given up and stopped at once.
func TestCancelAndStopWhileWaiting(t *testing.T) {
	w := newWorld(t)
	w.set(states.Decrypt, func(context.Context, int) error {
		return errors.New("never")
	})
	slow := func(cfg *recoveryfsm.Config) {
		cfg.Backoff = recoveryfsm.Backoff{
			Min: time.Hour, Max: time.Hour,
		}
	}
	engine := w.engine(slow)
	run := start(t, engine)
	waiting := func(attempts uint32) func(recoveryfsm.Run) bool {
		return func(run recoveryfsm.Run) bool {
			return run.Attempt == attempts &&
				!run.NextRetry.IsZero()
		}
	}
	until(t, engine, run.ID, waiting(1))
	engine.Stop()
	left, err := w.journal.Run(t.Context(), run.ID)
	require.NoError(t, err)
	require.True(t, left.NextRetry.IsZero())
	require.Equal(t, "never", left.LastError)

	// The next process tries at once and goes on counting.
	engine = w.engine(slow)
	require.NoError(t, engine.Continue(t.Context()))
	until(t, engine, run.ID, waiting(2))
	ended, err := engine.Cancel(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, states.Cancelled, ended.State)
	require.True(t, ended.NextRetry.IsZero())
}

// TestDeadline checks that an attempt that hangs is given up and tried again,
// and that one that reports progress is not.
func TestDeadline(t *testing.T) {
	w := newWorld(t)
	testClock, ticks := newClock()
	entered := make(chan struct{}, 1)
	w.set(states.ScanDeposits, hang(entered))
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		cfg.Clock = testClock
		cfg.Backoff = recoveryfsm.Backoff{
			Min: time.Second, Max: time.Second,
		}
		cfg.Deadlines = map[states.State]time.Duration{
			states.ScanDeposits: time.Minute,
		}
	})
	run := start(t, engine)
	receive(t, entered)
	timer(t, ticks, time.Minute)

	// Progress after 50 s puts the end off until 110 s.
	testClock.SetTime(testClock.Now().Add(50 * time.Second))
	engine.SaveProgress(run.ID, chainscan.Progress{Height: 1, Tip: 2})
	testClock.SetTime(testClock.Now().Add(10 * time.Second))
	timer(t, ticks, 50*time.Second)
	shown, err := engine.Get(t.Context(), run.ID)
	require.NoError(t, err)
	require.Zero(t, shown.Attempt)

	testClock.SetTime(testClock.Now().Add(50 * time.Second))
	failed := until(t, engine, run.ID, func(run recoveryfsm.Run) bool {
		return run.Attempt == 1
	})
	require.Contains(t, failed.LastError, "no progress for 1m0s")

	w.set(states.ScanDeposits, nil)
	timer(t, ticks, time.Second)
	testClock.SetTime(testClock.Now().Add(time.Second))
	w.checkEnd(wait(t, engine, run.ID))
}

// TestPanic checks that an action that panics does not take the process down,
// tells nothing that could be secret, and blocks the run if it does not stop.
func TestPanic(t *testing.T) {
	w := newWorld(t)
	w.set(states.Decrypt, func(context.Context, int) error {
		panic("the preimage is 1234")
	})
	engine := w.engine()
	run := wait(t, engine, start(t, engine).ID)
	require.Equal(t, states.Blocked, run.State)
	require.Equal(t, states.CrashLoop, run.Reason)
	require.Equal(t, states.Decrypt, run.BlockedFrom)
	require.Equal(t, recoveryfsm.DefaultCrashLimit+1,
		w.callsOf(states.Decrypt))

	var nothing map[string]int
	w.set(states.Decrypt, func(context.Context, int) error {
		nothing["key"] = 1
		return nil
	})
	engine.Stop()
	engine = w.engine(func(cfg *recoveryfsm.Config) {
		cfg.Backoff.Min = time.Hour
		cfg.Backoff.Max = time.Hour
	})
	_, err := engine.Resume(t.Context(), run.ID)
	require.NoError(t, err)
	failed := until(t, engine, run.ID, func(run recoveryfsm.Run) bool {
		return run.Attempt == 1
	})
	require.Contains(t, failed.LastError, "assignment to entry in nil map")
	require.EqualValues(t, 1, failed.Crashes)

	w.set(states.Decrypt, nil)
	_, err = engine.Resume(t.Context(), run.ID)
	require.NoError(t, err)
	w.checkEnd(wait(t, engine, run.ID))
}

// TestPanicIsNotTold checks that the value of a panic is kept nowhere.
func TestPanicIsNotTold(t *testing.T) {
	w := newWorld(t)
	w.set(states.Decrypt, func(context.Context, int) error {
		panic(errors.New("the preimage is 1234"))
	})
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		cfg.Backoff.Min = time.Hour
		cfg.Backoff.Max = time.Hour
	})
	run := start(t, engine)
	failed := until(t, engine, run.ID, func(run recoveryfsm.Run) bool {
		return run.Attempt == 1
	})
	require.NotContains(t, failed.LastError, "1234")
	require.Contains(t, failed.LastError, "panic")
}

// dieInside lets the process die when a state has its intent saved and nothing
// more, and returns when that has happened.
func (w *world) dieInside(t *testing.T, engine *recoveryfsm.Engine,
	state states.State, enter func()) {

	t.Helper()
	died := make(chan struct{}, 1)
	w.set(state, func(context.Context, int) error {
		w.dieAt(1, false)
		died <- struct{}{}

		return errors.New("not told to anybody")
	})
	enter()
	receive(t, died)
	engine.Stop()
	w.revive()
}

// TestCrashLoop checks that a state that kills the process again and again
// blocks the run, in every state, and that a user can let it go on.
func TestCrashLoop(t *testing.T) {
	for _, state := range states.RestoreTable().Path {
		t.Run(string(state), func(t *testing.T) {
			w := newWorld(t)
			engine := w.engine()
			var run recoveryfsm.Run
			w.dieInside(t, engine, state, func() {
				run = start(t, engine)
			})

			for i := range recoveryfsm.DefaultCrashLimit {
				engine = w.engine()
				w.dieInside(t, engine, state, func() {
					require.NoError(t, engine.Continue(
						t.Context(),
					))
				})
				left, err := w.journal.Run(t.Context(), run.ID)
				require.NoError(t, err)
				require.True(t, left.Acting)
				require.EqualValues(t, i+1, left.Crashes)
			}

			engine = w.engine()
			calls := w.allCalls()
			require.NoError(t, engine.Continue(t.Context()))
			stopped := wait(t, engine, run.ID)
			require.Equal(t, states.Blocked, stopped.State)
			require.Equal(t, states.CrashLoop, stopped.Reason)
			require.Equal(t, state, stopped.BlockedFrom)
			require.Equal(t, calls, w.allCalls())

			w.set(state, nil)
			_, err := engine.Resume(t.Context(), run.ID)
			require.NoError(t, err)
			w.checkEnd(wait(t, engine, run.ID))
		})
	}
}

// TestCrashesWithProgress checks that a long scan on a machine that often dies
// is not blocked as long as it comes on.
func TestCrashesWithProgress(t *testing.T) {
	const deaths = recoveryfsm.DefaultCrashLimit + 3

	w := newWorld(t)
	engine := w.engine()
	id, height := "", int32(0)
	scan := func() {
		died := make(chan struct{}, 1)
		w.set(states.ScanDeposits, func(context.Context, int) error {
			run, err := w.journal.Unfinished(context.Background())
			if err != nil {
				return err
			}
			engine.SaveProgress(run.ID, chainscan.Progress{
				Height: height, Tip: 1_000,
			})
			w.dieAt(1, false)
			died <- struct{}{}

			return errors.New("not told to anybody")
		})
		if id == "" {
			id = start(t, engine).ID
		} else {
			require.NoError(t, engine.Continue(t.Context()))
		}
		receive(t, died)
		engine.Stop()
		w.revive()
		engine = w.engine()
	}

	for range deaths {
		height += 10
		scan()
		run, err := engine.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, states.ScanDeposits, run.State)
		require.LessOrEqual(t, run.Crashes, uint32(1))
	}

	// Without progress it is.
	for range recoveryfsm.DefaultCrashLimit {
		scan()
	}
	require.NoError(t, engine.Continue(t.Context()))
	require.Equal(t, states.CrashLoop, wait(t, engine, id).Reason)
}

// TestLongErrors checks that an error text is kept in part only, and that what
// is kept is text.
func TestLongErrors(t *testing.T) {
	w := newWorld(t)
	w.set(states.Decrypt, func(context.Context, int) error {
		return &actions.BlockError{
			Reason: states.BackupCorrupt,
			Err:    errors.New(strings.Repeat("ü", 2_000)),
		}
	})
	engine := w.engine()
	run := wait(t, engine, start(t, engine).ID)
	require.LessOrEqual(t, len(run.LastError), 1_000)
	require.Contains(t, run.LastError, "üü")
	require.NotContains(t, run.LastError, "\ufffd")
}
