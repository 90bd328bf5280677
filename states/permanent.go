package states

// PermanentError is an error that does not go away by asking again: somebody
// has to change something first. Code of ours returns it where such an error
// enters from outside (a file, a database, lnd); every other error is
// transient. Nothing retries a permanent error except for a read-only look, at
// a rate that is bounded.
type PermanentError Cause

// Error implements error.
func (e *PermanentError) Error() string {
	return Cause(*e).String()
}

// Unwrap returns the error behind it.
func (e *PermanentError) Unwrap() error {
	return e.Err
}

// PermanentReason returns the reason of a permanent error, or false if the
// error is transient.
func PermanentReason(err error) (Reason, bool) {
	cause, permanent := CauseOf(err)
	if !permanent {
		return "", false
	}

	return cause.Reason, true
}
