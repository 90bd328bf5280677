package actions

import (
	"context"

	"github.com/looprecovery/looprecovery/states"
)

// Action does the work of one state. It is called by the engine, on one
// goroutine, after the intent was saved. It returns the facts as they are
// after its work together with the event that leads on, or an error:
//
//   - *BlockError: a person is needed; the run goes to Blocked.
//   - the context's error: the run stops as it is, to be resumed.
//   - anything else: passing; the engine tries again with backoff.
//
// Facts returned beside an error are saved too, so that effects that did
// happen are reported.
type Action func(ctx context.Context, facts Facts) (Outcome, error)

// Outcome is the result of an action.
type Outcome struct {
	// Event is states.Done or states.Reorged.
	Event states.Event

	// Facts replace the run's facts.
	Facts Facts
}

// BlockError stops a run until a person resumes or cancels it. No other error
// of a port does, not even a permanent one: that keeps the swap client down
// until lnd or the database is mended, and the run waits with it.
type BlockError states.Cause

// Error implements error.
func (e *BlockError) Error() string {
	return states.Cause(*e).String()
}

// Unwrap returns the error behind it.
func (e *BlockError) Unwrap() error {
	return e.Err
}
