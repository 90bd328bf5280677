// Package journaltest holds the tests that every recoveryfsm.Journal must pass.
package journaltest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// start is the time of the tests, with nanoseconds that must not get lost.
var start = time.Date(2026, 11, 22, 23, 0, 0, 123_456_789, time.UTC)

// Store opens a journal, and opens it again as the next process would: what the
// first one has saved is there.
type Store struct {
	// Open returns the journal.
	Open func(t *testing.T) recoveryfsm.Journal

	// Reopen returns what the next process sees, without an orderly end of
	// the one before.
	Reopen func(t *testing.T) recoveryfsm.Journal
}

// Run runs the suite; each test gets a new store.
func Run(t *testing.T, newStore func(t *testing.T) Store) {
	tests := map[string]func(*testing.T, Store){
		"RoundTrip":       testRoundTrip,
		"Intent":          testIntent,
		"Step":            testStep,
		"Conflicts":       testConflicts,
		"OneUnfinished":   testOneUnfinished,
		"Progress":        testProgress,
		"Events":          testEvents,
		"List":            testList,
		"NoRun":           testNoRun,
		"EndedContext":    testEndedContext,
		"NothingIsShared": testNothingIsShared,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test(t, newStore(t))
		})
	}
}

// newRun returns a run that was just accepted.
func newRun(n int) recoveryfsm.Run {
	created := start.Add(time.Duration(n) * time.Second)

	return recoveryfsm.Run{
		ID:      fmt.Sprintf("%032x", n),
		Kind:    states.Restore,
		Version: 1,
		State:   states.Start,
		Created: created,
		Updated: created,
		Facts: actions.Facts{
			Request: actions.Request{
				BackupFile: "/b/ü", Automatic: true,
			},
		},
	}
}

// fullRun returns a run every field of which is set.
func fullRun() recoveryfsm.Run {
	run := newRun(1)
	run.State = states.Blocked
	run.BlockedFrom = states.ScanDeposits
	run.Reason = states.BlocksUnavailable
	run.Detail = "height 7"
	run.Attempt = 4_000_000_000
	run.LastError = "no block\n\x00'"
	run.NextRetry = start.Add(time.Minute)
	run.Updated = start.Add(time.Hour)
	run.Acting = true
	run.Crashes = 3
	run.CrashMark = recoveryfsm.Mark{Pass: 1, Height: 900_000}
	run.LastSeq = 1
	run.Facts.Node = "02aa"
	run.Facts.Birthday = 100
	run.Facts.Located = &actions.Located{
		Path: "/b/x", SHA256: "ff", TokenID: "ee",
		Others: []string{"a"},
	}
	run.Facts.Effects.KeysAdvanced = map[int32]uint32{42060: 17}
	run.Facts.Coverage = &chainscan.Coverage{
		Birthday: 100,
		Tip: chainscan.BlockStamp{
			Height: 900_000, Hash: chainhash.Hash{1, 2, 3},
		},
		Families: []chainscan.FamilyCoverage{{
			Family: 42060, Fixed: true, Used: 18, Tested: 18,
		}},
	}
	run.Facts.Summary = json.RawMessage(`{"outputs":[1,2]}`)

	return run
}

// step returns the event that leads from one saved run to the next.
func step(from, to recoveryfsm.Run, event states.Event) recoveryfsm.Event {
	return recoveryfsm.Event{
		Seq:    from.LastSeq + 1,
		Time:   to.Updated,
		From:   from.State,
		To:     to.State,
		Event:  event,
		Reason: to.Reason,
		Detail: to.Detail,
	}
}

// testRoundTrip checks that every field comes back as it was saved, in the next
// process too.
func testRoundTrip(t *testing.T, store Store) {
	ctx := t.Context()
	journal := store.Open(t)
	first := newRun(1)
	require.NoError(t, journal.CreateRun(ctx, first))

	found, err := journal.Run(ctx, first.ID)
	require.NoError(t, err)
	require.Equal(t, first, found)

	full := fullRun()
	event := step(first, full, states.Block)
	require.NoError(t, journal.SaveStep(ctx, full, event))

	full.Progress = &recoveryfsm.Progress{
		Height: 5, Birthday: 1, Tip: 9, Pass: 2, Outputs: 3,
		BlocksPerSecond: 1.5, ETA: time.Minute, Started: start,
		Updated: start.Add(1),
		Reorg:   &chainscan.BlockStamp{Height: 4},
	}
	require.NoError(t, journal.SaveProgress(ctx, full.ID, *full.Progress))

	for _, journal := range []recoveryfsm.Journal{
		journal, store.Reopen(t),
	} {
		found, err := journal.Run(ctx, full.ID)
		require.NoError(t, err)
		require.Equal(t, full, found)

		events, err := journal.Events(ctx, full.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, []recoveryfsm.Event{event}, events)
	}
}

// testIntent checks that an intent is there for the next process, and changes
// nothing else.
func testIntent(t *testing.T, store Store) {
	ctx := t.Context()
	journal := store.Open(t)
	run := newRun(1)
	run.Attempt = 2
	run.LastError = "earlier"
	run.NextRetry = start.Add(time.Minute)
	require.NoError(t, journal.CreateRun(ctx, run))

	intent := newRun(1)
	intent.Acting = true
	intent.Updated = start.Add(time.Hour)
	require.NoError(t, journal.SaveIntent(ctx, intent))

	found, err := store.Reopen(t).Run(ctx, run.ID)
	require.NoError(t, err)
	run.Acting = true
	run.NextRetry = time.Time{}
	run.Updated = intent.Updated
	require.Equal(t, run, found)

	// The failed attempt that follows ends the intent.
	run.Acting = false
	run.Attempt = 3
	require.NoError(t, journal.SaveStatus(ctx, run))
	found, err = store.Reopen(t).Run(ctx, run.ID)
	require.NoError(t, err)
	require.Equal(t, run, found)
}

// testStep checks that event and new state are stored together, or neither.
func testStep(t *testing.T, store Store) {
	ctx := t.Context()
	journal := store.Open(t)
	run := newRun(1)
	require.NoError(t, journal.CreateRun(ctx, run))

	next := run
	next.State = states.LocateBackup
	next.LastSeq = 1

	wrong := step(run, next, states.Begin)
	wrong.From = states.Decrypt
	require.ErrorIs(
		t, journal.SaveStep(ctx, next, wrong), recoveryfsm.ErrConflict,
	)
	reopened := store.Reopen(t)
	found, err := reopened.Run(ctx, run.ID)
	require.NoError(t, err)
	require.Equal(t, run, found)
	events, err := reopened.Events(ctx, run.ID, 0, 10)
	require.NoError(t, err)
	require.Empty(t, events)
}

// testConflicts checks that no save goes through that does not follow what is
// stored: two owners must not both believe that they write the run.
func testConflicts(t *testing.T, store Store) {
	ctx := t.Context()
	journal := store.Open(t)
	run := newRun(1)
	require.NoError(t, journal.CreateRun(ctx, run))

	next := run
	next.State = states.LocateBackup
	next.LastSeq = 1
	event := step(run, next, states.Begin)
	require.NoError(t, journal.SaveStep(ctx, next, event))

	// All saves of the one who has not seen the step.
	conflict := recoveryfsm.ErrConflict
	require.ErrorIs(t, journal.SaveStep(ctx, next, event), conflict)
	require.ErrorIs(t, journal.SaveIntent(ctx, run), conflict)
	require.ErrorIs(t, journal.SaveStatus(ctx, run), conflict)

	// A finished run is never changed again.
	end := next
	end.State = states.Cancelled
	end.Finished = true
	end.LastSeq = 2
	require.NoError(t, journal.SaveStep(
		ctx, end, step(next, end, states.Cancel),
	))
	require.ErrorIs(t, journal.SaveIntent(ctx, end), conflict)
	require.ErrorIs(t, journal.SaveStatus(ctx, end), conflict)
	again := end
	again.LastSeq = 3
	require.ErrorIs(t, journal.SaveStep(
		ctx, again, step(end, again, states.Cancel),
	), conflict)

	found, err := store.Reopen(t).Run(ctx, run.ID)
	require.NoError(t, err)
	require.Equal(t, end, found)
}

// testOneUnfinished checks that a second run is refused until the first one is
// finished.
func testOneUnfinished(t *testing.T, store Store) {
	ctx := t.Context()
	journal := store.Open(t)

	none, err := journal.Unfinished(ctx)
	require.NoError(t, err)
	require.Nil(t, none)

	first, second := newRun(1), newRun(2)
	require.NoError(t, journal.CreateRun(ctx, first))
	require.ErrorIs(
		t, journal.CreateRun(ctx, second), recoveryfsm.ErrUnfinished,
	)
	_, err = journal.Run(ctx, second.ID)
	require.ErrorIs(t, err, recoveryfsm.ErrNoRun)

	found, err := store.Reopen(t).Unfinished(ctx)
	require.NoError(t, err)
	require.Equal(t, &first, found)

	end := first
	end.State = states.Cancelled
	end.Finished = true
	end.LastSeq = 1
	require.NoError(t, journal.SaveStep(
		ctx, end, step(first, end, states.Cancel),
	))
	require.NoError(t, journal.CreateRun(ctx, second))

	found, err = journal.Unfinished(ctx)
	require.NoError(t, err)
	require.Equal(t, &second, found)
}

// testProgress checks that progress and the other saves leave each other alone:
// they come from two goroutines.
func testProgress(t *testing.T, store Store) {
	ctx := t.Context()
	journal := store.Open(t)
	run := newRun(1)
	require.NoError(t, journal.CreateRun(ctx, run))

	progress := recoveryfsm.Progress{
		Height: 7, Started: start, Updated: start,
	}
	require.NoError(t, journal.SaveProgress(ctx, run.ID, progress))

	// The engine's copy of the run knows nothing of it.
	run.Attempt = 1
	require.NoError(t, journal.SaveIntent(ctx, run))
	require.NoError(t, journal.SaveStatus(ctx, run))

	run.Progress = &progress
	found, err := store.Reopen(t).Run(ctx, run.ID)
	require.NoError(t, err)
	require.Equal(t, run, found)

	require.Error(t, journal.SaveProgress(ctx, "none", progress))
}

// testEvents checks that events come in order and can be read in parts.
func testEvents(t *testing.T, store Store) {
	const count = 25

	ctx := t.Context()
	journal := store.Open(t)
	run := newRun(1)
	require.NoError(t, journal.CreateRun(ctx, run))
	for range count {
		next := run
		next.LastSeq++
		require.NoError(t, journal.SaveStep(
			ctx, next, step(run, next, states.Resume),
		))
		run = next
	}

	journal = store.Reopen(t)
	var seen []uint64
	for {
		after := uint64(len(seen))
		events, err := journal.Events(ctx, run.ID, after, 7)
		require.NoError(t, err)
		require.LessOrEqual(t, len(events), 7)
		if len(events) == 0 {
			break
		}
		for _, event := range events {
			seen = append(seen, event.Seq)
		}
	}
	require.Len(t, seen, count)
	for i, seq := range seen {
		require.Equal(t, uint64(i+1), seq)
	}

	beyond, err := journal.Events(ctx, run.ID, 1_000, 7)
	require.NoError(t, err)
	require.Empty(t, beyond)
}

// testList checks the order of the list and its limit.
func testList(t *testing.T, store Store) {
	ctx := t.Context()
	journal := store.Open(t)

	none, err := journal.Runs(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, none)

	for n := range 4 {
		run := newRun(n)
		require.NoError(t, journal.CreateRun(ctx, run))
		end := run
		end.State = states.Cancelled
		end.Finished = true
		end.LastSeq = 1
		require.NoError(t, journal.SaveStep(
			ctx, end, step(run, end, states.Cancel),
		))
	}

	runs, err := store.Reopen(t).Runs(ctx, 3)
	require.NoError(t, err)
	require.Len(t, runs, 3)
	for i, run := range runs {
		require.Equal(t, newRun(3-i).ID, run.ID)
	}
}

// testNoRun checks what is said of a run that is not there.
func testNoRun(t *testing.T, store Store) {
	ctx := t.Context()
	journal := store.Open(t)

	_, err := journal.Run(ctx, "none")
	require.ErrorIs(t, err, recoveryfsm.ErrNoRun)
	run := newRun(1)
	require.ErrorIs(t, journal.SaveIntent(ctx, run), recoveryfsm.ErrNoRun)
	require.ErrorIs(t, journal.SaveStatus(ctx, run), recoveryfsm.ErrNoRun)
	next := run
	next.LastSeq = 1
	require.ErrorIs(t, journal.SaveStep(
		ctx, next, step(run, next, states.Begin),
	), recoveryfsm.ErrNoRun)

	events, err := journal.Events(ctx, "none", 0, 10)
	require.NoError(t, err)
	require.Empty(t, events)
}

// testEndedContext checks that a save whose time is over stores nothing.
func testEndedContext(t *testing.T, store Store) {
	journal := store.Open(t)
	run := newRun(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, journal.CreateRun(ctx, run))

	_, err := journal.Run(t.Context(), run.ID)
	require.ErrorIs(t, err, recoveryfsm.ErrNoRun)
}

// testNothingIsShared checks that changing what was saved, or what was read,
// does not change what is stored.
func testNothingIsShared(t *testing.T, store Store) {
	ctx := t.Context()
	journal := store.Open(t)
	run := newRun(1)
	run.Facts.Effects.KeysAdvanced = map[int32]uint32{1: 1}
	require.NoError(t, journal.CreateRun(ctx, run))
	run.Facts.Effects.KeysAdvanced[1] = 2

	found, err := journal.Run(ctx, run.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, found.Facts.Effects.KeysAdvanced[1])
	found.Facts.Effects.KeysAdvanced[1] = 3

	found, err = journal.Run(ctx, run.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, found.Facts.Effects.KeysAdvanced[1])
}
