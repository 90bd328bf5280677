package states

import (
	"errors"
	"fmt"
)

// PermanentError is an error that does not go away by asking again: somebody
// has to change something first. Code of ours returns it where such an error
// enters from outside (a file, a database, lnd); every other error is
// transient. Nothing retries a permanent error except for a read-only look, at
// a rate that is bounded.
type PermanentError struct {
	// Reason is the machine-readable code.
	Reason Reason

	// Detail names the thing concerned: a path, an address, a permission.
	// It holds nothing secret.
	Detail string

	// Err is the cause, if there is one.
	Err error
}

// Error implements error.
func (e *PermanentError) Error() string {
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
func (e *PermanentError) Unwrap() error {
	return e.Err
}

// PermanentReason returns the reason of a permanent error, or false if the
// error is transient.
func PermanentReason(err error) (Reason, bool) {
	var permanent *PermanentError
	if !errors.As(err, &permanent) {
		return "", false
	}

	return permanent.Reason, true
}
