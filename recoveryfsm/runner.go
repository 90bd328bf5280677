package recoveryfsm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/lightninglabs/loop/fsm"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/states"
)

// runner works on one run, in one goroutine, until the run comes to a stop.
type runner struct {
	engine   *Engine
	table    states.Table
	activity *activity

	// run is the run as it was last saved.
	run Run

	// halted says that a save failed: nothing may be done any more.
	halted bool
}

// panicError is the error of an action that panicked.
type panicError struct {
	text string
}

// Error implements error.
func (e *panicError) Error() string {
	return e.text
}

// main leads the run from the saved state to its next stop.
func (r *runner) main(ctx context.Context) {
	machineStates, err := r.machineStates()
	if err != nil {
		r.mismatch(err)
		return
	}

	machine := fsm.NewStateMachineWithState(
		machineStates, fsm.StateType(r.run.State), 0,
	)
	err = machine.SendEvent(ctx, fsm.EventType(states.Resume), nil)
	if err != nil {
		r.mismatch(err)
		return
	}

	// SendEvent returns nil whatever the actions did.
	stopped := r.run.Finished || r.run.State == states.Blocked ||
		ctx.Err() != nil || r.halted
	if !stopped {
		r.mismatch(fmt.Errorf("the run stopped in %s", r.run.State))
	}
}

// machineStates turns the table into the states of loop/fsm, each with its
// action in the one wrapper. In Blocked and Cancelled nothing is done: a
// blocked run is resumed on a new machine.
func (r *runner) machineStates() (fsm.States, error) {
	work := r.engine.cfg.Actions(r.run.ID)
	machineStates := make(fsm.States, len(r.table.Transitions))
	for state, events := range r.table.Transitions {
		transitions := make(fsm.Transitions, len(events))
		for event, targets := range events {
			if len(targets) == 1 {
				transitions[fsm.EventType(event)] =
					fsm.StateType(targets[0])
			}
		}
		machineStates[fsm.StateType(state)] = fsm.State{
			Action:      fsm.NoOpAction,
			Transitions: transitions,
		}
	}

	for _, state := range r.table.Path {
		if work[state] == nil {
			return nil, fmt.Errorf("state %s has no action", state)
		}
		r.give(machineStates, state, work[state])
	}
	r.give(machineStates, states.Start, begin)

	return machineStates, nil
}

// give gives a state of loop/fsm its action, in the wrapper.
func (r *runner) give(machineStates fsm.States, state states.State,
	action actions.Action) {

	name := fsm.StateType(state)
	machineState := machineStates[name]
	machineState.Action = r.work(state, action)
	machineStates[name] = machineState
}

// begin is the action of Start: there is nothing to do but to begin.
func begin(_ context.Context, facts actions.Facts) (actions.Outcome, error) {
	return actions.Outcome{Event: states.Begin, Facts: facts}, nil
}

// work wraps the action of a state. This is the one place where actions are
// called: it saves the intent, acts, and saves what came of it, again and again
// until the run leaves the state or stops. It returns the event that was saved,
// or NoOp if the run stays where it is.
func (r *runner) work(state states.State, action actions.Action) fsm.Action {
	return func(ctx context.Context, _ fsm.EventContext) fsm.EventType {
		if state != r.run.State {
			r.mismatch(fmt.Errorf("the machine is in %s, the "+
				"journal in %s", state, r.run.State))

			return fsm.NoOp
		}

		for {
			if ctx.Err() != nil {
				return r.leave(ctx, r.run.Facts)
			}
			if !r.saveIntent() {
				return fsm.NoOp
			}
			failpoint.HitIntent(state)

			outcome, err := r.act(ctx, action)
			failpoint.HitOutcome(state)

			event, again := r.conclude(ctx, outcome, err)
			if !again {
				return event
			}
			r.wait(ctx)
		}
	}
}

// saveIntent saves that the action is about to act. It returns false if that
// failed, and then the action must not.
func (r *runner) saveIntent() bool {
	next := r.run
	next.Acting = true
	next.NextRetry = time.Time{}

	return r.save(next, r.engine.cfg.Journal.SaveIntent)
}

// act calls the action. A panic becomes an error, and so does an event that the
// table does not have.
func (r *runner) act(ctx context.Context, action actions.Action) (
	outcome actions.Outcome, err error) {

	facts := r.run.Facts
	defer func() {
		if reason := recover(); reason != nil {
			unsaved := r.run
			unsaved.noteUnsaved()
			outcome = actions.Outcome{Facts: unsaved.Facts}
			err = panicked(r.run, reason)
		}
	}()

	ctx, release := r.guard(ctx)
	defer release()

	outcome, err = action(ctx, facts)
	if err == nil {
		return outcome, r.checkEvent(outcome.Event)
	}
	if errors.Is(context.Cause(ctx), errStalled) {
		err = fmt.Errorf("%w for %v: %w", errStalled, r.deadline(), err)
	}

	return outcome, err
}

// checkEvent returns an error if an action must not return the event.
func (r *runner) checkEvent(event states.Event) error {
	_, known := r.table.Transitions[r.run.State][event]
	switch event {
	case states.Begin, states.Done, states.Reorged:
		if known {
			return nil
		}
	}

	return fmt.Errorf("the action of %s returned the event %q",
		r.run.State, event)
}

// panicked returns the error of an action that panicked. The stack goes to the
// log. A value that the runtime did not make is not told: it could be anything.
func panicked(run Run, reason any) error {
	text := fmt.Sprintf("%T", reason)
	if runtimeError, ok := reason.(runtime.Error); ok {
		text = runtimeError.Error()
	}
	log.Criticalf("Recovery %s panicked in %s: %s\n%s", run.ID, run.State,
		text, debug.Stack())

	return &panicError{text: "panic: " + text}
}

// conclude saves what came of an attempt. It returns the event to go on with,
// or whether the state is to be tried again.
func (r *runner) conclude(ctx context.Context, outcome actions.Outcome,
	err error) (fsm.EventType, bool) {

	var (
		block *actions.BlockError
		crash *panicError
	)
	switch {
	case err == nil:
		return r.advance(outcome), false

	case ctx.Err() != nil:
		return r.leave(ctx, outcome.Facts), false

	case errors.As(err, &block):
		r.run.Facts = outcome.Facts

		return r.step(blocked(r.run, block)), false

	case errors.As(err, &crash):
		r.run.Facts = outcome.Facts
		r.run.Progress = r.activity.progress.latest()
		countCrash(&r.run)
		if r.run.Crashes > r.engine.cfg.CrashLimit {
			return r.step(blocked(r.run, crashLoop(r.run))), false
		}
	}

	return fsm.NoOp, r.saveRetry(outcome.Facts, err)
}

// advance saves the outcome of an action that has done its work. A run that
// has reached its end stays where it is.
func (r *runner) advance(outcome actions.Outcome) fsm.EventType {
	event := r.step(advanced(r.table, r.run.State, outcome))
	if r.run.Finished {
		return fsm.NoOp
	}

	return event
}

// leave ends the work on a run whose context has ended: a cancelled run ends, a
// stopped one stays as it is.
func (r *runner) leave(ctx context.Context, facts actions.Facts) fsm.EventType {
	next := r.run
	next.Facts = facts
	if errors.Is(context.Cause(ctx), errCancelled) {
		r.run = next
		return r.step(cancelled())
	}

	// Without this the next process would count a crash.
	next.Acting = false
	next.NextRetry = time.Time{}
	r.save(next, r.engine.cfg.Journal.SaveStatus)

	return fsm.NoOp
}

// saveRetry saves that an attempt failed and when the next one is due. It
// returns false if that failed.
func (r *runner) saveRetry(facts actions.Facts, err error) bool {
	// Somebody who wanted the attempt that just failed does not want to
	// skip the wait that now begins.
	select {
	case <-r.activity.wake:
	default:
	}

	next := r.run
	next.Facts = facts
	next.Acting = false
	next.Attempt++
	next.LastError = errorText(err)
	next.NextRetry = at(r.engine.cfg.Clock.Now().Add(
		r.engine.cfg.Backoff.delay(
			next.Attempt, r.engine.cfg.Random(),
		),
	))
	log.Warnf("Recovery %s: attempt %d at %s failed: %s; next at %v",
		next.ID, next.Attempt, next.State, next.LastError,
		next.NextRetry)

	return r.save(next, r.engine.cfg.Journal.SaveStatus)
}

// wait returns when the next attempt is due, or wanted now, or the context has
// ended. A clock that was set back meanwhile does not make the wait longer than
// any can be.
func (r *runner) wait(ctx context.Context) {
	clock := r.engine.cfg.Clock
	due := min(
		r.run.NextRetry.Sub(clock.Now()), r.engine.cfg.Backoff.Max,
	)
	select {
	case <-clock.TickAfter(due):
	case <-r.activity.wake:
	case <-ctx.Done():
	}
}

// step saves a transition and returns its event, or NoOp if that failed.
func (r *runner) step(t transition) fsm.EventType {
	err := r.engine.step(&r.run, r.table, t)
	switch {
	case errors.Is(err, errNoTransition):
		r.mismatch(err)
		return fsm.NoOp

	case err != nil:
		r.saveFailed(err)
		return fsm.NoOp
	}

	return fsm.EventType(t.event)
}

// save saves the run without an event. It returns false if that failed.
func (r *runner) save(next Run,
	method func(context.Context, Run) error) bool {

	next.Updated = at(r.engine.cfg.Clock.Now())
	err := r.engine.saving(func(ctx context.Context) error {
		return method(ctx, next)
	})
	if err != nil {
		r.saveFailed(err)
		return false
	}
	r.run = next
	r.engine.notify()

	return true
}

// saveFailed halts the run: nothing proceeds on an unsaved step.
func (r *runner) saveFailed(err error) {
	r.halted = true
	r.engine.halt(r.run.ID, &Halt{
		Reason: states.JournalFailed,
		Error:  errorText(err),
	})
}

// mismatch halts a run whose table, actions and journal do not fit together.
func (r *runner) mismatch(err error) {
	r.halted = true
	r.engine.halt(r.run.ID, &Halt{
		Reason: states.UnknownDefinition,
		Error:  errorText(err),
	})
}
