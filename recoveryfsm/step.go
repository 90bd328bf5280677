package recoveryfsm

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/states"
)

// maxErrorText is the longest error text that is kept, in bytes.
const maxErrorText = 1_000

// transition is a step that a run is about to make.
type transition struct {
	// event and to are what leads where.
	event states.Event
	to    states.State

	// reason and detail are told with the event.
	reason states.Reason
	detail string

	// change, if set, makes the further changes to the run.
	change func(run *Run)
}

// step saves a transition, and only then makes it in *run and tells about it.
// It asserts that the table has the transition; Cancel is allowed in any state,
// also of a table that this binary does not know.
func (e *Engine) step(run *Run, table states.Table, t transition) error {
	if t.event != states.Cancel && !table.Allows(run.State, t.event, t.to) {
		return fmt.Errorf("%w: %s %d, from %s to %s on %s",
			errNoTransition, table.Kind, table.Version, run.State,
			t.to, t.event)
	}

	now := at(e.cfg.Clock.Now())
	next := *run
	next.State = t.to
	next.LastSeq++
	next.Updated = now
	next.Acting = false
	next.NextRetry = time.Time{}
	if t.change != nil {
		t.change(&next)
	}

	event := Event{
		Seq:    next.LastSeq,
		Time:   now,
		From:   run.State,
		To:     t.to,
		Event:  t.event,
		Reason: t.reason,
		Detail: t.detail,
	}
	err := e.saving(func(ctx context.Context) error {
		return e.cfg.Journal.SaveStep(ctx, next, event)
	})
	if err != nil {
		return err
	}

	*run = next
	e.notify()
	if e.cfg.OnEvent != nil {
		e.cfg.OnEvent(next, event)
	}

	return nil
}

// advanced is the step after an action that has done its work.
func advanced(table states.Table, state states.State,
	outcome actions.Outcome) transition {

	var to states.State
	if targets := table.Transitions[state][outcome.Event]; len(
		targets,
	) == 1 {
		to = targets[0]
	}

	return transition{
		event: outcome.Event,
		to:    to,
		change: func(run *Run) {
			run.forget()
			run.Facts = outcome.Facts
			run.Finished = table.Ends(state, outcome.Event)
		},
	}
}

// blocked is the step of a run that needs a person.
func blocked(run Run, block *actions.BlockError) transition {
	return transition{
		event:  states.Block,
		to:     states.Blocked,
		reason: block.Reason,
		detail: block.Detail,
		change: func(next *Run) {
			next.forget()
			next.BlockedFrom = run.State
			next.Reason = block.Reason
			next.Detail = block.Detail
			if block.Err != nil {
				next.LastError = errorText(block.Err)
			}
		},
	}
}

// resumed is the step of a run that a person lets go on.
func resumed(run Run) transition {
	to := run.State
	if run.State == states.Blocked {
		to = run.BlockedFrom
	}

	return transition{
		event:  states.Resume,
		to:     to,
		change: (*Run).forget,
	}
}

// cancelled is the step of a run that the user gave up.
func cancelled() transition {
	return transition{
		event: states.Cancel,
		to:    states.Cancelled,
		change: func(run *Run) {
			run.forget()
			run.Finished = true
		},
	}
}

// forget removes what is true of one stay in one state only.
func (r *Run) forget() {
	r.BlockedFrom = ""
	r.Reason = ""
	r.Detail = ""
	r.Attempt = 0
	r.LastError = ""
	r.Crashes = 0
	r.CrashMark = Mark{}
}

// countCrash counts a death of the process in the run's state. A scan that came
// on since the last one starts a new count: it would end in time.
func countCrash(run *Run) {
	mark := run.Progress.mark()
	if mark.beyond(run.CrashMark) {
		run.Crashes = 0
	}
	run.CrashMark = mark
	run.Crashes++
}

// crashLoop returns the error of a run that killed the process too often.
func crashLoop(run Run) *actions.BlockError {
	return &actions.BlockError{
		Reason: states.CrashLoop,
		Detail: fmt.Sprintf("%s, %d times in a row", run.State,
			run.Crashes),
	}
}

// errorText returns the text of an error as it is kept for display.
func errorText(err error) string {
	text := err.Error()
	if len(text) > maxErrorText {
		text = text[:maxErrorText]
	}

	return strings.ToValidUTF8(text, "?")
}
