package recoveryfsm_test

import (
	"context"
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// blockAt makes the action of a state block, as a file that is no backup does.
func blockAt(w *world, state states.State) {
	w.set(state, func(context.Context, int) error {
		return &actions.BlockError{Reason: states.NotABackup}
	})
}

// TestSuperseded checks that a run which blocked before it changed anything
// does not stand in the way of the next one, and that its history is kept.
func TestSuperseded(t *testing.T) {
	w := newWorld(t)
	engine := w.engine()
	blockAt(w, states.Decrypt)
	first := wait(t, engine, start(t, engine).ID)
	require.Equal(t, states.Blocked, first.State)

	w.set(states.Decrypt, nil)
	second := start(t, engine)
	w.effects = make(map[states.State]int)
	w.checkEnd(wait(t, engine, second.ID))

	first, err := engine.Get(t.Context(), first.ID)
	require.NoError(t, err)
	require.True(t, first.Finished)
	require.Equal(t, states.Cancelled, first.State)
	require.Equal(t, states.Superseded, first.Reason)
	require.Equal(t, second.ID, first.Detail)

	events, err := engine.Events(t.Context(), first.ID, 0)
	require.NoError(t, err)
	last := events[len(events)-1]
	require.Equal(t, states.Cancel, last.Event)
	require.Equal(t, states.Superseded, last.Reason)
	require.Equal(t, second.ID, last.Detail)
	require.Equal(t, states.NotABackup, events[len(events)-2].Reason)
	w.checkHistory(first, states.RestoreTable())
}

// TestNotSuperseded checks that a run which changed something, or may have, is
// finished or given up by a person, and by nothing else.
func TestNotSuperseded(t *testing.T) {
	for name, change := range map[string]func(*recoveryfsm.Run){
		"a token was placed": func(run *recoveryfsm.Run) {
			run.Facts.Effects.TokenPlaced = true
		},
		"a file was set aside": func(run *recoveryfsm.Run) {
			run.Facts.Effects.SetAside = "set-aside/x"
		},
		"the script was imported": func(run *recoveryfsm.Run) {
			run.Facts.Effects.ScriptImported = true
		},
		"the row was written": func(run *recoveryfsm.Run) {
			run.Facts.Effects.RowCreated = true
		},
		"keys were derived": func(run *recoveryfsm.Run) {
			run.Facts.Effects.KeysAdvanced = map[int32]uint32{1: 1}
		},
		"nobody knows": func(run *recoveryfsm.Run) {
			run.Facts.Effects.Unsaved = true
		},
		"it was interrupted": func(run *recoveryfsm.Run) {
			run.State, run.Acting = states.ImportToken, true
		},
		"it is not blocked": func(run *recoveryfsm.Run) {
			run.State = states.LocateBackup
		},
		"it has ended": func(run *recoveryfsm.Run) {
			run.Finished = true
		},
	} {
		run := stopped(states.LocateBackup, false)
		require.True(t, run.GivesWay(actions.Request{}), name)
		change(&run)
		require.False(t, run.GivesWay(actions.Request{}), name)
	}
}

// TestPersonFirst checks that the daemon does not end by itself what a person
// began, while a person's run takes the place of the daemon's.
func TestPersonFirst(t *testing.T) {
	automatic := actions.Request{Automatic: true}
	persons := stopped(states.LocateBackup, false)
	require.False(t, persons.GivesWay(automatic))
	require.True(t, persons.GivesWay(actions.Request{}))

	daemons := stopped(states.LocateBackup, true)
	require.True(t, daemons.GivesWay(automatic))
	require.True(t, daemons.GivesWay(actions.Request{}))
}

// TestRefusedAfterEffect checks that the next run is refused while one that
// changed something is not finished, and that nothing is changed by that.
func TestRefusedAfterEffect(t *testing.T) {
	w := newWorld(t)
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		right := cfg.Actions
		cfg.Actions = func(id string) map[states.State]actions.Action {
			set := right(id)
			set[states.RecreateAddress] = func(_ context.Context,
				facts actions.Facts) (actions.Outcome, error) {

				facts.Effects.TokenPlaced = true

				return actions.Outcome{Facts: facts},
					&actions.BlockError{
						Reason: states.AddressConflict,
					}
			}

			return set
		}
	})
	first := wait(t, engine, start(t, engine).ID)
	_, err := engine.Start(t.Context(), states.Restore, actions.Request{})
	require.Equal(t, states.AlreadyRunning, refusal(t, err))

	again, err := engine.Get(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, first, again)
}

// TestSupersedeNotSaved checks that nothing is begun if the end of the run
// before could not be saved.
func TestSupersedeNotSaved(t *testing.T) {
	w := newWorld(t)
	engine := w.engine()
	blockAt(w, states.LocateBackup)
	first := wait(t, engine, start(t, engine).ID)

	w.dieAt(0, false)
	_, err := engine.Start(t.Context(), states.Restore, actions.Request{})
	require.ErrorIs(t, err, errDead)
	w.revive()

	runs, err := engine.List(t.Context())
	require.NoError(t, err)
	require.Len(t, runs, 1)
	require.Equal(t, first, runs[0])
}

// TestUnsaved checks that a run whose action was interrupted, in a state that
// has effects, says for good that it may have done more than it tells; in a
// state without effects there is nothing to tell.
func TestUnsaved(t *testing.T) {
	for state, unsaved := range map[states.State]bool{
		states.Decrypt: false, states.ImportToken: true,
	} {
		w := newWorld(t)
		entered := make(chan struct{}, 1)
		w.set(state, hang(entered))
		engine := w.engine()
		run := start(t, engine)
		receive(t, entered)
		w.dieAt(0, false)
		engine.Stop()
		w.revive()

		next := w.engine()
		ended, err := next.Cancel(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, states.Cancelled, ended.State)
		require.Equal(t, unsaved, ended.Facts.Effects.Unsaved, state)
		require.Equal(t, unsaved, ended.Changed(), state)
	}
}

// TestUnsavedAfterPanic checks that a panic in a state with effects counts as
// an interruption, too.
func TestUnsavedAfterPanic(t *testing.T) {
	w := newWorld(t)
	w.set(states.RecreateAddress, func(_ context.Context, call int) error {
		if call == 1 {
			panic("broken")
		}

		return nil
	})
	engine := w.engine()
	run := wait(t, engine, start(t, engine).ID)
	require.True(t, run.Finished)
	require.True(t, run.Facts.Effects.Unsaved)
}
