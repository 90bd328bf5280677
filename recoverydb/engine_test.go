package recoverydb

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// quiet returns actions that do nothing, but for those given.
func quiet(special map[states.State]actions.Action) func(
	string) map[states.State]actions.Action {

	set := make(map[states.State]actions.Action)
	for _, state := range states.RestoreTable().Path {
		set[state] = func(_ context.Context, facts actions.Facts) (
			actions.Outcome, error) {

			return actions.Outcome{
				Event: states.Done, Facts: facts,
			}, nil
		}
		if special[state] != nil {
			set[state] = special[state]
		}
	}

	return func(string) map[states.State]actions.Action { return set }
}

// TestRunOverRestarts takes a run through the database file over three
// processes: one that is closed under a working action, one that is stopped in
// order, one that ends the run.
func TestRunOverRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	var (
		id      atomic.Value
		engine  *recoveryfsm.Engine
		entered = make(chan struct{}, 1)
	)
	hang := quiet(map[states.State]actions.Action{
		states.ScanDeposits: func(ctx context.Context,
			facts actions.Facts) (actions.Outcome, error) {

			engine.SaveProgress(id.Load().(string),
				chainscan.Progress{Height: 5, Tip: 9})
			facts.Birthday = 5
			entered <- struct{}{}
			<-ctx.Done()

			return actions.Outcome{Facts: facts}, ctx.Err()
		},
	})

	first, err := Open(path)
	require.NoError(t, err)
	engine = recoveryfsm.New(recoveryfsm.Config{
		Journal: first.Journal(), Actions: hang,
	})
	id.Store("")
	run, err := engine.Start(ctx, states.Restore, actions.Request{})
	require.NoError(t, err)
	id.Store(run.ID)
	<-entered
	require.NoError(t, first.Close())
	engine.Stop()

	second := open(t, path)
	engine = recoveryfsm.New(recoveryfsm.Config{
		Journal: second.Journal(), Actions: hang,
	})
	require.NoError(t, engine.Continue(ctx))
	<-entered
	left, err := engine.Get(ctx, run.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, left.Crashes)
	engine.Stop()

	third := open(t, path)
	engine = recoveryfsm.New(recoveryfsm.Config{
		Journal: third.Journal(), Actions: quiet(nil),
	})
	defer engine.Stop()
	require.NoError(t, engine.Continue(ctx))
	end, err := engine.Wait(ctx, run.ID)
	require.NoError(t, err)
	require.True(t, end.Finished)
	require.EqualValues(t, 5, end.Facts.Birthday)
	require.EqualValues(t, 5, end.Progress.Height)

	events, err := engine.Events(ctx, run.ID, 0)
	require.NoError(t, err)
	resumes := 0
	for _, event := range events {
		if event.Event == states.Resume {
			require.Equal(t, states.ScanDeposits, event.To)
			resumes++
		}
	}
	require.Equal(t, 2, resumes)
}

// TestRunOnDamagedJournal checks that damage in the middle of a run hangs
// nobody: the run is halted by the first save that fails, if one does (SQLite
// need not read again what it has read), and the next process goes on with what
// is left.
func TestRunOnDamagedJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	db, err := Open(path)
	require.NoError(t, err)
	fill(t, db)
	_, err = db.writer.Exec("UPDATE runs SET finished = 1")
	require.NoError(t, err)
	engine := recoveryfsm.New(recoveryfsm.Config{
		Journal: db.Journal(),
		Actions: quiet(map[states.State]actions.Action{
			states.VerifyNetwork: func(_ context.Context,
				facts actions.Facts) (actions.Outcome, error) {

				damagePages(t, path)

				return actions.Outcome{
					Event: states.Done, Facts: facts,
				}, nil
			},
		}),
	})
	run, err := engine.Start(ctx, states.Restore, actions.Request{})
	require.NoError(t, err)
	end, err := engine.Wait(ctx, run.ID)
	require.NoError(t, ctx.Err())
	if err == nil && !end.Finished {
		require.Equal(t, states.JournalFailed, end.Halted.Reason)
	}
	engine.Stop()
	_ = db.Close()

	next := open(t, path)
	require.Len(t, next.Report().Unsettled(), 1)
	engine = recoveryfsm.New(recoveryfsm.Config{
		Journal: next.Journal(), Actions: quiet(nil),
	})
	defer engine.Stop()
	require.NoError(t, engine.Continue(ctx))
}
