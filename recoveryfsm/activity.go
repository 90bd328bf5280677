package recoveryfsm

import (
	"context"

	"github.com/looprecovery/looprecovery/states"
)

// activity is the goroutine of a run, as others see it.
type activity struct {
	// id is the id of the run.
	id string

	// cancel ends the context of the run with a cause.
	cancel context.CancelCauseFunc

	// done is closed when the goroutine has ended.
	done chan struct{}

	// wake ends a wait between attempts.
	wake chan struct{}

	// progress is what the scan reports.
	progress progressKeeper
}

// launch lets a goroutine work on a run, whose halt is forgotten.
func (e *Engine) launch(run Run, table states.Table) error {
	ctx, cancel := context.WithCancelCause(e.life)
	active := &activity{
		id:     run.ID,
		cancel: cancel,
		done:   make(chan struct{}),
		wake:   make(chan struct{}, 1),
	}
	if !e.admit(active) {
		cancel(nil)
		return ErrStopped
	}

	worker := &runner{
		engine:   e,
		table:    table,
		run:      run,
		activity: active,
	}
	go func() {
		worker.main(ctx)
		cancel(nil)
		e.retire(active)
	}()

	return nil
}

// admit makes a goroutine the active one. It waits for the one before, whose
// run has ended but which could still be about to return. It returns false if
// the engine was stopped.
func (e *Engine) admit(active *activity) bool {
	for {
		e.mutex.Lock()
		before := e.active
		if before == nil && e.life.Err() == nil {
			e.active = active
			delete(e.halted, active.id)
			e.mutex.Unlock()

			return true
		}
		e.mutex.Unlock()
		if before == nil {
			return false
		}

		select {
		case <-before.done:
		case <-e.life.Done():
			return false
		}
	}
}

// retire forgets a goroutine that has ended.
func (e *Engine) retire(active *activity) {
	e.mutex.Lock()
	e.active = nil
	e.mutex.Unlock()

	close(active.done)
	e.notify()
}

// poke ends the wait of a run between two attempts.
func (a *activity) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// current returns the goroutine of a run, or nil.
func (e *Engine) current(id string) *activity {
	e.mutex.Lock()
	defer e.mutex.Unlock()

	if e.active == nil || e.active.id != id {
		return nil
	}

	return e.active
}
