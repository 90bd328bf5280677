package recoveryfsm

import (
	"errors"
	"fmt"

	"github.com/looprecovery/looprecovery/states"
)

// ErrStopped is returned by an engine that was stopped.
var ErrStopped = errors.New("the engine was stopped")

// errCancelled is the cause with which the context of a run ends at the user's
// word.
var errCancelled = errors.New("the run was cancelled")

// errStalled is the cause with which the context of an attempt ends that made
// no progress for too long.
var errStalled = errors.New("no progress")

// errNoTransition is returned for a step that the run's table does not have.
var errNoTransition = errors.New("the table has no such transition")

// RefusedError says that a call was refused. Nothing was changed by it.
type RefusedError struct {
	// Reason is the machine-readable code.
	Reason states.Reason

	// RunID is the run that stands in the way, or that the call was about.
	RunID string
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s (recovery %s)",
		states.Explain(e.Reason).Sentence, e.RunID)
}

// refuse returns a *RefusedError.
func refuse(reason states.Reason, id string) error {
	return &RefusedError{Reason: reason, RunID: id}
}
