package recoveryfsm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// refusal returns the reason of a *RefusedError.
func refusal(t *testing.T, err error) states.Reason {
	t.Helper()

	var refused *recoveryfsm.RefusedError
	require.ErrorAs(t, err, &refused)
	require.NotEmpty(t, refused.RunID)

	return refused.Reason
}

// TestUndisturbed checks the history of a run that nothing disturbs, and that
// each event is durable before anybody is told.
func TestUndisturbed(t *testing.T) {
	for _, table := range []states.Table{
		states.RestoreTable(), states.RescanTable(),
	} {
		t.Run(string(table.Kind), func(t *testing.T) {
			w := newWorld(t)
			var told []recoveryfsm.Event
			engine := w.engine(func(cfg *recoveryfsm.Config) {
				cfg.OnEvent = func(run recoveryfsm.Run,
					event recoveryfsm.Event) {

					stored, err := w.journal.Run(
						t.Context(), run.ID,
					)
					require.NoError(t, err)
					require.Equal(t, event.Seq,
						stored.LastSeq)
					require.Equal(t, run.State,
						stored.State)
					told = append(told, event)
				}
			})

			run, err := engine.Start(
				t.Context(), table.Kind, actions.Request{},
			)
			require.NoError(t, err)
			require.Len(t, run.ID, 32)
			end := wait(t, engine, run.ID)
			w.checkEnd(end)

			// Begin, one Done for each state, nothing else.
			path := append([]states.State{states.Start},
				table.Path...)
			path = append(path, states.Reconciled)
			events, err := engine.Events(t.Context(), run.ID, 0)
			require.NoError(t, err)
			require.Len(t, events, len(table.Path)+1)
			for i, event := range events {
				require.Equal(t, path[i], event.From)
				require.Equal(t, path[i+1], event.To)
			}
			engine.Stop()
			require.Equal(t, events, told)
		})
	}
}

// TestStartIsDurable checks that an accepted run is there for the next process,
// even if this one dies at once.
func TestStartIsDurable(t *testing.T) {
	w := newWorld(t)
	w.dieAt(2, false)
	dead := w.engine()
	run := start(t, dead)
	require.Equal(t, states.Start, run.State)
	wait(t, dead, run.ID)
	w.revive()

	engine := w.engine()
	require.NoError(t, engine.Continue(t.Context()))
	end := wait(t, engine, run.ID)
	w.checkEnd(end)
	require.Equal(t, "aa", end.Facts.Request.TokenID)
}

// TestStartStoredAndFailed checks that a run which was stored although its
// creation was reported to have failed is not left without anybody who works on
// it: it tells why, and goes on once it is resumed.
func TestStartStoredAndFailed(t *testing.T) {
	w := newWorld(t)
	engine := w.engine()
	w.journal.SetHooks(nil, func(int, recoveryfsm.Save) error {
		return errDead
	})
	_, err := engine.Start(
		t.Context(), states.Restore, actions.Request{},
	)
	require.ErrorIs(t, err, errDead)
	w.journal.SetHooks(nil, nil)

	stored, err := engine.Latest(t.Context())
	require.NoError(t, err)
	require.NotNil(t, stored.Halted)
	require.Equal(t, states.JournalFailed, stored.Halted.Reason)

	_, err = engine.Resume(t.Context(), stored.ID)
	require.NoError(t, err)
	run := wait(t, engine, stored.ID)
	require.True(t, run.Finished)
	w.checkEnd(run)
}

// TestStartFails checks that a run that could not be saved does not begin.
func TestStartFails(t *testing.T) {
	w := newWorld(t)
	engine := w.engine()
	w.dieAt(1, false)
	_, err := engine.Start(t.Context(), states.Restore, actions.Request{})
	require.ErrorIs(t, err, errDead)
	w.revive()

	run, err := engine.Latest(t.Context())
	require.NoError(t, err)
	require.Nil(t, run)
	require.Zero(t, w.allCalls())

	_, err = engine.Start(t.Context(), "other", actions.Request{})
	require.Error(t, err)
}

// TestOneAtATime checks that of many who start a run at once one succeeds, and
// the others are told which run stands in the way.
func TestOneAtATime(t *testing.T) {
	w := newWorld(t)
	entered := make(chan struct{}, 1)
	w.set(states.LocateBackup, hang(entered))
	engine := w.engine()

	var (
		group   sync.WaitGroup
		mutex   sync.Mutex
		started []string
		refused []string
	)
	for range 10 {
		group.Go(func() {
			run, err := engine.Start(t.Context(), states.Restore,
				actions.Request{})
			mutex.Lock()
			defer mutex.Unlock()
			var refusedError *recoveryfsm.RefusedError
			if errors.As(err, &refusedError) {
				refused = append(refused, refusedError.RunID)
				return
			}
			started = append(started, run.ID)
		})
	}
	group.Wait()
	require.Len(t, started, 1)
	require.Len(t, refused, 9)
	for _, id := range refused {
		require.Equal(t, started[0], id)
	}

	receive(t, entered)
	_, err := engine.Cancel(t.Context(), started[0])
	require.NoError(t, err)
	w.set(states.LocateBackup, nil)
	w.checkEnd(wait(t, engine, start(t, engine).ID))

	runs, err := engine.List(t.Context())
	require.NoError(t, err)
	require.Len(t, runs, 2)
	require.Equal(t, started[0], runs[1].ID)
}

// countSaves returns the number of saves of an undisturbed run.
func countSaves(t *testing.T) int {
	w := newWorld(t)
	engine := w.engine()
	w.checkEnd(wait(t, engine, start(t, engine).ID))

	return w.journal.Saves()
}

// TestDeathAtEverySave lets the process die before and after every save of a
// run. After each death nothing is done any more; the next process ends the run
// as if nothing had happened.
func TestDeathAtEverySave(t *testing.T) {
	saves := countSaves(t)
	require.Equal(t, 17, saves)
	for save := 2; save <= saves; save++ {
		for _, stored := range []bool{false, true} {
			name := fmt.Sprintf("save %d, stored %v", save, stored)
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				engine := w.engine()
				w.dieAt(save, stored)
				run := start(t, engine)
				halted := wait(t, engine, run.ID)
				if halted.Halted != nil {
					require.Equal(t, states.JournalFailed,
						halted.Halted.Reason)
				}
				engine.Stop()
				calls := w.allCalls()
				w.revive()

				engine = w.engine()
				if !halted.Finished {
					require.Equal(t, calls, w.allCalls())
					require.NoError(t, engine.Continue(
						t.Context(),
					))
				}
				w.checkEnd(wait(t, engine, run.ID))
				require.LessOrEqual(t, w.allCalls(), 8)
			})
		}
	}
}

// TestFailedSave lets one save of a run fail, at every save: the action that
// would follow is not called, the run says why it stands still, and goes on at
// the user's word in the same process.
func TestFailedSave(t *testing.T) {
	for save := 2; save <= countSaves(t); save++ {
		t.Run(fmt.Sprintf("save %d", save), func(t *testing.T) {
			w := newWorld(t)
			engine := w.engine()
			w.dieAt(save, false)
			run := start(t, engine)
			halted := wait(t, engine, run.ID)
			require.Equal(t, states.JournalFailed,
				halted.Halted.Reason)
			require.Contains(t, halted.Halted.Error,
				errDead.Error())
			calls := w.allCalls()

			// Begin has two saves, each state an intent, the call
			// and an outcome.
			require.Equal(t, max(0, (save-3)/2), calls)

			// While saves fail, resuming fails too.
			_, err := engine.Resume(t.Context(), run.ID)
			require.ErrorIs(t, err, errDead)
			require.Equal(t, calls, w.allCalls())

			w.revive()
			_, err = engine.Resume(t.Context(), run.ID)
			require.NoError(t, err)
			w.checkEnd(wait(t, engine, run.ID))
		})
	}
}

// TestBlocked checks that a blocked run says why, stays blocked over restarts,
// and goes on where it was.
func TestBlocked(t *testing.T) {
	for _, state := range states.RestoreTable().Path {
		t.Run(string(state), func(t *testing.T) {
			w := newWorld(t)
			w.set(state, func(_ context.Context, call int) error {
				if call > 1 {
					return nil
				}

				return fmt.Errorf("wrapped: %w",
					&actions.BlockError{
						Reason: states.OtherSeed,
						Detail: "/backup",
						Err:    errors.New("cause"),
					})
			})
			engine := w.engine()
			run := start(t, engine)
			stopped := wait(t, engine, run.ID)
			require.Equal(t, states.Blocked, stopped.State)
			require.Equal(t, state, stopped.BlockedFrom)
			require.Equal(t, states.OtherSeed, stopped.Reason)
			require.Equal(t, "/backup", stopped.Detail)
			require.Equal(t, "cause", stopped.LastError)
			require.False(t, stopped.Acting)
			engine.Stop()

			engine = w.engine()
			require.NoError(t, engine.Continue(t.Context()))
			again, err := engine.Get(t.Context(), run.ID)
			require.NoError(t, err)
			require.Equal(t, stopped, again)

			resumed, err := engine.Resume(t.Context(), run.ID)
			require.NoError(t, err)
			require.Equal(t, state, resumed.State)
			require.Empty(t, resumed.Reason)
			w.checkEnd(wait(t, engine, run.ID))

			_, err = engine.Resume(t.Context(), run.ID)
			require.Equal(
				t, states.AlreadyFinished, refusal(t, err),
			)
		})
	}
}

// TestReorg checks that a reorganisation leads back to the scan, and that the
// run ends after it.
func TestReorg(t *testing.T) {
	w := newWorld(t)
	w.reorgs = 2
	engine := w.engine()
	run := start(t, engine)
	w.checkEnd(wait(t, engine, run.ID))
	require.Equal(t, 3, w.calls[states.ScanDeposits])
	require.Equal(t, 1, w.calls[states.RecreateAddress])

	events, err := engine.Events(t.Context(), run.ID, 0)
	require.NoError(t, err)
	reorgs := 0
	for _, event := range events {
		if event.Event == states.Reorged {
			reorgs++
			require.Equal(t, states.ScanDeposits, event.To)
		}
	}
	require.Equal(t, 2, reorgs)
}

// TestCancel checks that a run can be given up while any of its actions is at
// work, at once and for good.
func TestCancel(t *testing.T) {
	for _, state := range states.RestoreTable().Path {
		t.Run(string(state), func(t *testing.T) {
			w := newWorld(t)
			entered := make(chan struct{}, 1)
			w.set(state, hang(entered))
			engine := w.engine()
			run := start(t, engine)
			receive(t, entered)

			ended, err := engine.Cancel(t.Context(), run.ID)
			require.NoError(t, err)
			require.Equal(t, states.Cancelled, ended.State)
			require.True(t, ended.Finished)
			require.False(t, ended.Acting)
			w.checkHistory(ended, states.RestoreTable())

			again, err := engine.Cancel(t.Context(), run.ID)
			require.NoError(t, err)
			require.Equal(t, ended, again)
			_, err = engine.Resume(t.Context(), run.ID)
			require.Equal(
				t, states.AlreadyFinished, refusal(t, err),
			)

			engine.Stop()
			next := w.engine()
			require.NoError(t, next.Continue(t.Context()))
			stays, err := next.Get(t.Context(), run.ID)
			require.NoError(t, err)
			require.Equal(t, ended, stays)
		})
	}
}

// TestCancelIdle checks that a run can be given up that nobody works on: one
// that is blocked, halted, not yet taken up, or of an unknown table.
func TestCancelIdle(t *testing.T) {
	block := func(context.Context, int) error {
		return &actions.BlockError{Reason: states.OtherSeed}
	}

	tests := map[string]func(*testing.T, *world) *recoveryfsm.Engine{
		"blocked": func(t *testing.T, w *world) *recoveryfsm.Engine {
			w.set(states.Decrypt, block)
			engine := w.engine()
			wait(t, engine, start(t, engine).ID)

			return engine
		},
		"halted": func(t *testing.T, w *world) *recoveryfsm.Engine {
			engine := w.engine()
			w.dieAt(5, false)
			wait(t, engine, start(t, engine).ID)
			w.revive()

			return engine
		},
		"not taken up": func(t *testing.T,
			w *world) *recoveryfsm.Engine {

			engine := w.engine()
			w.dieAt(5, false)
			wait(t, engine, start(t, engine).ID)
			engine.Stop()
			w.revive()

			return w.engine()
		},
		"unknown": func(t *testing.T, w *world) *recoveryfsm.Engine {
			engine := w.engine()
			createUnknown(t, w)
			require.NoError(t, engine.Continue(t.Context()))

			return engine
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			engine := prepare(t, w)
			run, err := engine.Unfinished(t.Context())
			require.NoError(t, err)

			calls := w.allCalls()
			ended, err := engine.Cancel(t.Context(), run.ID)
			require.NoError(t, err)
			require.Equal(t, states.Cancelled, ended.State)
			require.True(t, ended.Finished)
			require.Empty(t, ended.Reason)
			require.Equal(t, calls, w.allCalls())
		})
	}
}

// TestCancelRefused checks who cannot be cancelled.
func TestCancelRefused(t *testing.T) {
	w := newWorld(t)
	engine := w.engine()
	run := start(t, engine)
	wait(t, engine, run.ID)

	_, err := engine.Cancel(t.Context(), run.ID)
	require.Equal(t, states.AlreadyFinished, refusal(t, err))
	_, err = engine.Cancel(t.Context(), "none")
	require.Equal(t, states.NoSuchRun, refusal(t, err))
	_, err = engine.Resume(t.Context(), "none")
	require.Equal(t, states.NoSuchRun, refusal(t, err))
	_, err = engine.Get(t.Context(), "none")
	require.Equal(t, states.NoSuchRun, refusal(t, err))
	_, err = engine.Events(t.Context(), "none", 0)
	require.Equal(t, states.NoSuchRun, refusal(t, err))
}

// TestCancelAfterWorkWasDone checks that work that was done when the user's
// word came is recorded before the run ends.
func TestCancelAfterWorkWasDone(t *testing.T) {
	w := newWorld(t)
	entered := make(chan struct{}, 1)
	w.set(states.ImportToken, func(ctx context.Context, _ int) error {
		entered <- struct{}{}
		<-ctx.Done()

		return nil
	})
	engine := w.engine()
	run := start(t, engine)
	receive(t, entered)
	ended, err := engine.Cancel(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, states.Cancelled, ended.State)

	events, err := engine.Events(t.Context(), run.ID, 0)
	require.NoError(t, err)
	last := events[len(events)-1]
	require.Equal(t, states.RecreateAddress, last.From)
	require.Equal(t, states.Cancel, last.Event)
	require.Zero(t, w.calls[states.RecreateAddress])
}

// TestCancelFails checks that a cancel that could not be saved is not
// acknowledged.
func TestCancelFails(t *testing.T) {
	w := newWorld(t)
	entered := make(chan struct{}, 1)
	w.set(states.Decrypt, hang(entered))
	engine := w.engine()
	run := start(t, engine)
	receive(t, entered)

	w.dieAt(1, false)
	_, err := engine.Cancel(t.Context(), run.ID)
	require.ErrorIs(t, err, errDead)
	w.revive()

	stays, err := engine.Get(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, states.Decrypt, stays.State)
	require.NotNil(t, stays.Halted)
	_, err = engine.Cancel(t.Context(), run.ID)
	require.NoError(t, err)
}

// TestStop checks that an orderly stop leaves a run where it was, in any state,
// and is not counted as a crash however often it happens.
func TestStop(t *testing.T) {
	for _, state := range states.RestoreTable().Path {
		t.Run(string(state), func(t *testing.T) {
			w := newWorld(t)
			entered := make(chan struct{}, 1)
			w.set(state, hang(entered))
			engine := w.engine()
			run := start(t, engine)

			for range recoveryfsm.DefaultCrashLimit + 2 {
				receive(t, entered)
				engine.Stop()
				left, err := w.journal.Run(t.Context(), run.ID)
				require.NoError(t, err)
				require.Equal(t, state, left.State)
				require.False(t, left.Acting)
				require.Zero(t, left.Crashes)

				engine = w.engine()
				require.NoError(t, engine.Continue(t.Context()))
				// A second call changes nothing.
				require.NoError(t, engine.Continue(t.Context()))
			}
			receive(t, entered)
			engine.Stop()

			w.set(state, nil)
			engine = w.engine()
			require.NoError(t, engine.Continue(t.Context()))
			w.checkEnd(wait(t, engine, run.ID))
		})
	}
}

// TestStopped checks that a stopped engine accepts nothing.
func TestStopped(t *testing.T) {
	w := newWorld(t)
	entered := make(chan struct{}, 1)
	w.set(states.Decrypt, hang(entered))
	engine := w.engine()
	run := start(t, engine)
	receive(t, entered)
	engine.Stop()
	engine.Stop()

	ctx := t.Context()
	_, err := engine.Start(ctx, states.Restore, actions.Request{})
	require.ErrorIs(t, err, recoveryfsm.ErrStopped)
	_, err = engine.Resume(ctx, run.ID)
	require.ErrorIs(t, err, recoveryfsm.ErrStopped)
	_, err = engine.Cancel(ctx, run.ID)
	require.ErrorIs(t, err, recoveryfsm.ErrStopped)
	_, err = engine.Wait(ctx, run.ID)
	require.ErrorIs(t, err, recoveryfsm.ErrStopped)
	require.ErrorIs(t, engine.Continue(ctx), recoveryfsm.ErrStopped)

	// What is stored can still be read.
	left, err := engine.Get(ctx, run.ID)
	require.NoError(t, err)
	require.Equal(t, states.Decrypt, left.State)
}

// TestStopLeavesBehind checks that an action that does not heed its context
// holds up neither Stop nor, later, the journal.
func TestStopLeavesBehind(t *testing.T) {
	w := newWorld(t)
	entered, release := make(chan struct{}), make(chan struct{})
	w.set(states.Decrypt, func(context.Context, int) error {
		close(entered)
		<-release

		return nil
	})
	engine := w.engine()
	run := start(t, engine)
	receive(t, entered)

	began := time.Now()
	engine.Stop()
	require.Less(t, time.Since(began), 3*time.Second)

	saves := w.journal.Saves()
	close(release)
	require.Eventually(t, func() bool {
		left, err := engine.Get(t.Context(), run.ID)
		return err == nil && left.Halted != nil
	}, testTimeout, time.Millisecond)
	require.Equal(t, saves, w.journal.Saves())
	require.Zero(t, w.calls[states.VerifyNetwork])
}

// createUnknown puts a run of a later version into the journal.
func createUnknown(t *testing.T, w *world) recoveryfsm.Run {
	t.Helper()

	run := recoveryfsm.Run{
		ID:      "00",
		Kind:    states.Restore,
		Version: 4_000,
		State:   "AskTheServer",
		Created: time.Unix(1, 0).UTC(),
		Updated: time.Unix(1, 0).UTC(),
	}
	require.NoError(t, w.journal.CreateRun(t.Context(), run))

	return run
}

// TestUnknownDefinition checks that a run of a table that this binary does not
// know is left as it is, and that everybody is told.
func TestUnknownDefinition(t *testing.T) {
	w := newWorld(t)
	engine := w.engine()
	created := createUnknown(t, w)
	require.NoError(t, engine.Continue(t.Context()))

	run := wait(t, engine, created.ID)
	require.Equal(t, states.UnknownDefinition, run.Halted.Reason)
	run.Halted = nil
	require.Equal(t, created, run)

	_, err := engine.Resume(t.Context(), run.ID)
	require.Equal(t, states.UnknownDefinition, refusal(t, err))
	_, err = engine.Start(t.Context(), states.Restore, actions.Request{})
	require.Equal(t, states.AlreadyRunning, refusal(t, err))
	require.Zero(t, w.allCalls())
	stored, err := w.journal.Run(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, created, stored)
}

// TestMissingAction checks that a run stands still, visibly, if the actions do
// not fit the table.
func TestMissingAction(t *testing.T) {
	w := newWorld(t)
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		cfg.Actions = func(id string) map[states.State]actions.Action {
			set := w.actions(id)
			delete(set, states.ScanDeposits)

			return set
		}
	})
	run := wait(t, engine, start(t, engine).ID)
	require.Equal(t, states.UnknownDefinition, run.Halted.Reason)
	require.Zero(t, w.allCalls())
}

// TestWrongEvent checks that an event that the table does not have at that
// place is a failed attempt and leads nowhere.
func TestWrongEvent(t *testing.T) {
	for _, event := range []states.Event{
		"", "Explode", states.Reorged, states.Cancel, states.Resume,
		states.Begin,
	} {
		t.Run(string(event), func(t *testing.T) {
			w := newWorld(t)
			engine := w.engine(func(cfg *recoveryfsm.Config) {
				cfg.Backoff.Min = time.Hour
				cfg.Backoff.Max = time.Hour
				w.swap(cfg, states.Decrypt, wrong(event))
			})
			run := start(t, engine)
			failed := until(t, engine, run.ID,
				func(run recoveryfsm.Run) bool {
					return run.Attempt == 1
				})
			require.Equal(t, states.Decrypt, failed.State)
			require.Contains(t, failed.LastError, "event")
		})
	}
}

// wrong returns an action that returns the given event.
func wrong(event states.Event) actions.Action {
	return func(_ context.Context, facts actions.Facts) (actions.Outcome,
		error) {

		return actions.Outcome{Event: event, Facts: facts}, nil
	}
}

// swap lets a state have another action.
func (w *world) swap(cfg *recoveryfsm.Config, state states.State,
	action actions.Action) {

	cfg.Actions = func(id string) map[states.State]actions.Action {
		set := w.actions(id)
		set[state] = action

		return set
	}
}

// TestFactsBesideAnError checks that effects that did happen are known after
// the attempt has failed, and while the run is blocked.
func TestFactsBesideAnError(t *testing.T) {
	attempts := 0
	action := func(_ context.Context, facts actions.Facts) (actions.Outcome,
		error) {

		attempts++
		if attempts == 1 {
			facts.Effects.SetAside = "/aside/1"
			return actions.Outcome{Facts: facts},
				errors.New("disk full")
		}
		require.Equal(t, "/aside/1", facts.Effects.SetAside)
		facts.Effects.TokenPlaced = true

		return actions.Outcome{Facts: facts}, &actions.BlockError{
			Reason: states.TokenPending,
		}
	}

	w := newWorld(t)
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		w.swap(cfg, states.ImportToken, action)
	})
	run := wait(t, engine, start(t, engine).ID)
	require.Equal(t, states.Blocked, run.State)
	require.Equal(t, "/aside/1", run.Facts.Effects.SetAside)
	require.True(t, run.Facts.Effects.TokenPlaced)
	require.Equal(t, 2, attempts)
}

// TestIDsSort checks that ids of later runs sort after earlier ones, though
// only a millisecond lies between.
func TestIDsSort(t *testing.T) {
	w := newWorld(t)
	testClock := clock.NewTestClock(time.Unix(2_000_000_000, 0))
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		cfg.Clock = testClock
	})
	var ids []string
	for range 20 {
		run := start(t, engine)
		wait(t, engine, run.ID)
		ids = append(ids, run.ID)
		testClock.SetTime(testClock.Now().Add(time.Millisecond))
	}
	require.True(t, slices.IsSorted(ids))
}
