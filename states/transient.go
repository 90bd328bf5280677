package states

import (
	"errors"
	"fmt"
)

// TransientError is an error that may go away by itself: lnd is locked, a
// server is being restarted. Code of ours returns it where such an error enters
// from outside and a person should be told the reason; an error that is of
// neither type is transient too, and has no reason.
type TransientError struct {
	// Reason is the machine-readable code.
	Reason Reason

	// Detail names the thing concerned: an address, a server. It holds
	// nothing secret, and stays the same as long as the cause does.
	Detail string

	// Err is the cause, if there is one.
	Err error
}

// Error implements error.
func (e *TransientError) Error() string {
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
func (e *TransientError) Unwrap() error {
	return e.Err
}

// TransientReason returns the reason of an error that may go away by itself,
// or false if the error is permanent or has no reason.
func TransientReason(err error) (Reason, bool) {
	if _, permanent := PermanentReason(err); permanent {
		return "", false
	}
	var transient *TransientError
	if !errors.As(err, &transient) {
		return "", false
	}

	return transient.Reason, true
}
