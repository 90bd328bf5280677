package recoveryfsm_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// collect returns the events of a subscription that ends by itself.
func collect(ctx context.Context, engine *recoveryfsm.Engine, id string,
	after uint64, each func()) ([]recoveryfsm.Event, error) {

	var events []recoveryfsm.Event
	for update, err := range engine.Subscribe(ctx, id, after) {
		if err != nil {
			return events, err
		}
		if update.Event == nil {
			continue
		}
		if update.Run.LastSeq < update.Event.Seq {
			return events, errors.New("the run is older than the " +
				"event")
		}
		events = append(events, *update.Event)
		each()
	}

	return events, nil
}

// TestSubscribers checks that fast, slow and late subscribers all get every
// event once and in order, and that their streams end with the run.
func TestSubscribers(t *testing.T) {
	w := newWorld(t)

	// A long run: many reorganisations.
	w.reorgs = 150
	entered, release := make(chan struct{}), make(chan struct{})
	w.set(states.LocateBackup, func(context.Context, int) error {
		close(entered)
		<-release

		return nil
	})
	engine := w.engine()
	run := start(t, engine)
	receive(t, entered)

	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	var (
		group   sync.WaitGroup
		mutex   sync.Mutex
		results [][]recoveryfsm.Event
		first   error
	)
	subscribe := func(each func()) {
		events, err := collect(ctx, engine, run.ID, 0, each)
		mutex.Lock()
		defer mutex.Unlock()
		results = append(results, events)
		first = errors.Join(first, err)
	}

	// The slow one takes its second event only when the run has ended.
	ended := make(chan struct{})
	waits := sync.OnceFunc(func() { <-ended })
	group.Go(func() { subscribe(func() {}) })
	group.Go(func() { subscribe(waits) })
	close(release)
	w.checkEnd(wait(t, engine, run.ID))
	close(ended)
	group.Wait()
	subscribe(func() {})
	require.NoError(t, first)

	wanted, err := engine.Events(ctx, run.ID, 0)
	require.NoError(t, err)
	require.Greater(t, len(wanted), 300)
	require.Len(t, results, 3)
	for _, events := range results {
		require.Equal(t, wanted, events)
	}

	rest, err := collect(ctx, engine, run.ID, 298, func() {})
	require.NoError(t, err)
	require.Equal(t, wanted[298:], rest)
}

// TestSubscribeSnapshots checks that the first update comes at once, that
// changes without an event are told, and that the stream stays open while the
// run is blocked.
func TestSubscribeSnapshots(t *testing.T) {
	w := newWorld(t)
	entered, release := make(chan struct{}), make(chan struct{})
	w.set(states.ScanDeposits, func(_ context.Context, call int) error {
		if call == 2 {
			return nil
		}
		close(entered)
		<-release

		return &actions.BlockError{Reason: states.BlocksUnavailable}
	})
	engine := w.engine()
	run := start(t, engine)
	receive(t, entered)

	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	var told []string
	for update, err := range engine.Subscribe(ctx, run.ID, 6) {
		require.NoError(t, err)
		progress := update.Run.Progress
		switch {
		// The snapshot that comes at once.
		case len(told) == 0:
			require.Nil(t, update.Event)
			told = append(told, "first")
			engine.SaveProgress(run.ID, chainscan.Progress{
				Height: 77, Tip: 100,
			})

		case len(told) == 1 && progress != nil:
			require.EqualValues(t, 77, progress.Height)
			told = append(told, "progress")
			close(release)

		case update.Event != nil && update.Event.Event == states.Block:
			told = append(told, "blocked")
			_, err := engine.Resume(ctx, run.ID)
			require.NoError(t, err)

		case update.Event != nil:
			told = append(told, string(update.Event.Event))
		}
	}
	require.Equal(t, []string{
		"first", "progress", "blocked", "Resume", "Done", "Done",
	}, told)
}

// TestSubscribeEnds checks the other ends of a stream.
func TestSubscribeEnds(t *testing.T) {
	w := newWorld(t)
	entered := make(chan struct{}, 1)
	w.set(states.Decrypt, hang(entered))
	engine := w.engine()
	run := start(t, engine)
	receive(t, entered)

	// The subscriber hangs up.
	ctx, cancel := context.WithCancel(t.Context())
	_, err := collect(ctx, engine, run.ID, 0, cancel)
	require.ErrorIs(t, err, context.Canceled)

	// The subscriber has seen enough.
	for _, err := range engine.Subscribe(t.Context(), run.ID, 0) {
		require.NoError(t, err)
		break
	}

	// There is no such run.
	_, err = collect(t.Context(), engine, "none", 0, func() {})
	require.Equal(t, states.NoSuchRun, refusal(t, err))

	// The process ends.
	_, err = collect(t.Context(), engine, run.ID, 1, func() {
		go engine.Stop()
	})
	require.ErrorIs(t, err, recoveryfsm.ErrStopped)
}

// TestStatusDoesNotWait checks that a status is answered while an action is at
// work that heeds nothing.
func TestStatusDoesNotWait(t *testing.T) {
	w := newWorld(t)
	entered, release := make(chan struct{}), make(chan struct{})
	w.set(states.ScanDeposits, func(context.Context, int) error {
		close(entered)
		<-release

		return nil
	})
	engine := w.engine()
	run := start(t, engine)
	receive(t, entered)
	defer close(release)

	for range 100 {
		shown, err := engine.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, states.ScanDeposits, shown.State)
		require.True(t, shown.Acting)
	}
	latest, err := engine.Latest(t.Context())
	require.NoError(t, err)
	require.Equal(t, run.ID, latest.ID)

	// A caller's patience bounds the wait for a cancel, which is still
	// done later.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = engine.Cancel(ctx, run.ID)
	require.ErrorIs(t, err, context.DeadlineExceeded, fmt.Sprint(err))
}
