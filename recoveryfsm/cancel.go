package recoveryfsm

import (
	"context"
	"fmt"

	"github.com/looprecovery/looprecovery/states"
)

// maxCancels is how often Cancel looks again at a run that went on while it was
// asked to end.
const maxCancels = 3

// Cancel ends a run: in every state, while it is blocked and while it waits.
// It returns the run when that is durable, which is as soon as the action
// under way heeds its context. A run that was cancelled before is returned as
// it is. If the run has reached its end it returns a *RefusedError with
// states.AlreadyFinished.
func (e *Engine) Cancel(ctx context.Context, id string) (Run, error) {
	for range maxCancels {
		active := e.current(id)
		if active == nil {
			run, ended, err := e.cancelIdle(ctx, id)
			if err != nil || ended {
				return run, err
			}
			continue
		}

		active.cancel(errCancelled)
		select {
		case <-active.done:
		case <-ctx.Done():
			return Run{}, ctx.Err()
		}
	}

	return Run{}, fmt.Errorf("recovery %s was resumed %d times while it "+
		"was cancelled; it goes on", id, maxCancels)
}

// cancelIdle ends a run that no goroutine works on. It reports false, and does
// nothing, if there is one.
func (e *Engine) cancelIdle(ctx context.Context, id string) (Run, bool, error) {
	e.ops.Lock()
	defer e.ops.Unlock()

	if err := e.usable(ctx); err != nil {
		return Run{}, false, err
	}
	if e.current(id) != nil {
		return Run{}, false, nil
	}

	run, err := e.stored(ctx, id)
	if err != nil {
		return Run{}, false, err
	}
	switch {
	case run.State == states.Cancelled:
		return run, true, nil

	case run.Finished:
		return Run{}, false, refuse(states.AlreadyFinished, id)
	}

	// A run of an unknown table can be given up too: no table forbids it.
	table, _ := states.Lookup(run.Kind, run.Version)
	run.noteUnsaved()
	err = e.step(&run, table, cancelled())

	return run, err == nil, err
}
