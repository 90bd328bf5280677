package recoveryfsm_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// record writes the history of a table that has none yet. A history that is
// there is never written again: journals of that version are out in the world.
var record = flag.Bool("record", false, "write missing histories")

// moment is a transition of a recorded history, with the run after it.
type moment struct {
	Event recoveryfsm.Event
	Run   recoveryfsm.Run
}

// historyFile returns the file with the history of a table.
func historyFile(table states.Table) string {
	return filepath.Join("testdata", fmt.Sprintf(
		"history-%s-v%d.json", table.Kind, table.Version,
	))
}

// recordHistory runs a table through a block and a reorganisation and returns
// all that was saved.
func recordHistory(t *testing.T, table states.Table) []moment {
	w := newWorld(t)
	w.reorgs = 1
	w.set(states.ScanDeposits, func(_ context.Context, call int) error {
		if call > 1 {
			return nil
		}

		return &actions.BlockError{
			Reason: states.BlocksUnavailable, Detail: "height 7",
		}
	})

	var history []moment
	engine := w.engine(func(cfg *recoveryfsm.Config) {
		cfg.Clock = clock.NewTestClock(time.Unix(2_000_000_000, 0))
		cfg.OnEvent = func(run recoveryfsm.Run,
			event recoveryfsm.Event) {

			history = append(
				history, moment{Event: event, Run: run},
			)
		}
	})
	run, err := engine.Start(t.Context(), table.Kind, actions.Request{})
	require.NoError(t, err)
	require.Equal(t, states.Blocked, wait(t, engine, run.ID).State)
	_, err = engine.Resume(t.Context(), run.ID)
	require.NoError(t, err)
	require.True(t, wait(t, engine, run.ID).Finished)
	engine.Stop()

	return history
}

// TestHistories takes the recorded histories of every table, lets the process
// die after each of their events, and brings the run to its end: a run that was
// begun by the version that wrote the history goes on with this one.
func TestHistories(t *testing.T) {
	for _, table := range []states.Table{
		states.RestoreTable(), states.RescanTable(),
	} {
		file := historyFile(table)
		if *record {
			writeHistory(t, file, recordHistory(t, table))
		}

		text, err := os.ReadFile(file)
		require.NoError(t, err, "a new table needs a history: "+
			"go test ./recoveryfsm -run Histories -record")
		var history []moment
		require.NoError(t, json.Unmarshal(text, &history))
		require.Greater(t, len(history), len(table.Path)+3)

		for died := range history {
			name := fmt.Sprintf("%s, event %d", table.Kind, died+1)
			t.Run(name, func(t *testing.T) {
				replay(t, table, history[:died+1])
			})
		}
	}
}

// replay puts the beginning of a history into a journal and lets an engine go
// on from there.
func replay(t *testing.T, table states.Table, history []moment) {
	w := newWorld(t)
	run := history[0].Run
	run.State = states.Start
	run.LastSeq = 0
	require.NoError(t, w.journal.CreateRun(t.Context(), run))
	for _, step := range history {
		event := step.Event
		require.True(t, table.Allows(event.From, event.Event, event.To))
		require.NoError(t, w.journal.SaveStep(
			t.Context(), step.Run, event,
		))
	}

	// What the actions before did is there.
	last := history[len(history)-1].Run
	for _, state := range table.Path {
		w.effects[state] = 1
	}

	engine := w.engine()
	require.NoError(t, engine.Continue(t.Context()))
	if last.State == states.Blocked {
		_, err := engine.Resume(t.Context(), run.ID)
		require.NoError(t, err)
	}
	w.checkEnd(wait(t, engine, run.ID))
}

// writeHistory writes a history unless there is one.
func writeHistory(t *testing.T, file string, history []moment) {
	t.Helper()

	text, err := json.MarshalIndent(history, "", "  ")
	require.NoError(t, err)
	out, err := os.OpenFile(
		file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644,
	)
	if os.IsExist(err) {
		return
	}
	require.NoError(t, err)
	_, err = out.Write(append(text, '\n'))
	require.NoError(t, err)
	require.NoError(t, out.Close())
}
