package actions

import (
	"context"
	"fmt"

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

// BlockError stops a run until a person resumes or cancels it.
type BlockError struct {
	// Reason is the machine-readable code.
	Reason states.Reason

	// Detail names the thing concerned: a path, a token id, a height. It
	// holds nothing secret.
	Detail string

	// Err is the cause, if there is one.
	Err error
}

// Error implements error.
func (e *BlockError) Error() string {
	text := string(e.Reason)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += fmt.Sprintf(": %v", e.Err)
	}

	return text
}

// Unwrap returns the cause.
func (e *BlockError) Unwrap() error {
	return e.Err
}
