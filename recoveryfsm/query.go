package recoveryfsm

import (
	"context"
	"errors"

	"github.com/looprecovery/looprecovery/states"
)

const (
	// maxListed is the largest number of runs that List returns.
	maxListed = 100

	// eventsAtOnce is how many events are read from the journal at once.
	eventsAtOnce = 100
)

// Get returns a run, or a *RefusedError with states.NoSuchRun. It never waits
// for a run that is at work.
func (e *Engine) Get(ctx context.Context, id string) (Run, error) {
	run, err := e.stored(ctx, id)
	if err != nil {
		return Run{}, err
	}

	return e.present(run), nil
}

// Unfinished returns the one run that is not finished, or nil.
func (e *Engine) Unfinished(ctx context.Context) (*Run, error) {
	run, err := e.cfg.Journal.Unfinished(ctx)
	if err != nil || run == nil {
		return nil, err
	}
	shown := e.present(*run)

	return &shown, nil
}

// Latest returns the newest run, or nil if there never was one.
func (e *Engine) Latest(ctx context.Context) (*Run, error) {
	runs, err := e.list(ctx, 1)
	if err != nil || len(runs) == 0 {
		return nil, err
	}

	return &runs[0], nil
}

// List returns the newest runs, newest first, one hundred at most.
func (e *Engine) List(ctx context.Context) ([]Run, error) {
	return e.list(ctx, maxListed)
}

// list returns the newest runs, newest first.
func (e *Engine) list(ctx context.Context, limit int) ([]Run, error) {
	runs, err := e.cfg.Journal.Runs(ctx, limit)
	if err != nil {
		return nil, err
	}
	for i := range runs {
		runs[i] = e.present(runs[i])
	}

	return runs, nil
}

// Events returns all events of a run with a number greater than after, in
// order.
func (e *Engine) Events(ctx context.Context, id string, after uint64) ([]Event,
	error) {

	if _, err := e.stored(ctx, id); err != nil {
		return nil, err
	}

	var all []Event
	for {
		events, err := e.cfg.Journal.Events(
			ctx, id, after, eventsAtOnce,
		)
		if err != nil {
			return nil, err
		}
		if len(events) == 0 {
			return all, nil
		}
		all = append(all, events...)
		after = events[len(events)-1].Seq
	}
}

// Wait returns a run when it does not go on by itself: it is finished, blocked
// or halted. It returns ErrStopped if the engine is stopped first.
func (e *Engine) Wait(ctx context.Context, id string) (Run, error) {
	for {
		changed := e.changes()
		run, err := e.Get(ctx, id)
		if err != nil {
			return Run{}, err
		}
		if run.Finished || run.State == states.Blocked ||
			run.Halted != nil {

			return run, nil
		}
		if err := e.await(ctx, changed); err != nil {
			return Run{}, err
		}
	}
}

// await returns when something has changed since the channel was taken, or with
// an error when the caller or the engine has ended.
func (e *Engine) await(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil

	case <-ctx.Done():
		return ctx.Err()

	case <-e.life.Done():
		return ErrStopped
	}
}

// changes returns a channel that is closed at the next change of any run.
func (e *Engine) changes() <-chan struct{} {
	e.mutex.Lock()
	defer e.mutex.Unlock()

	return e.changed
}

// stored returns a run as it is in the journal.
func (e *Engine) stored(ctx context.Context, id string) (Run, error) {
	run, err := e.cfg.Journal.Run(ctx, id)
	if errors.Is(err, ErrNoRun) {
		return Run{}, refuse(states.NoSuchRun, id)
	}

	return run, err
}

// present adds to a stored run what only this process knows.
func (e *Engine) present(run Run) Run {
	if !run.Finished {
		run.Halted = e.haltOf(run.ID)
	}
	if active := e.current(run.ID); active != nil {
		if progress := active.progress.latest(); progress != nil {
			run.Progress = progress
		}
	}

	return run
}
