package states

// TransientError is an error that may go away by itself: lnd is locked, a
// server is being restarted. Code of ours returns it where such an error enters
// from outside and a person should be told the reason; an error that is of
// neither type is transient too, and has no reason.
type TransientError Cause

// Error implements error.
func (e *TransientError) Error() string {
	return Cause(*e).String()
}

// Unwrap returns the error behind it.
func (e *TransientError) Unwrap() error {
	return e.Err
}

// TransientReason returns the reason of an error that may go away by itself,
// or false if the error is permanent or has no reason.
func TransientReason(err error) (Reason, bool) {
	cause, permanent := CauseOf(err)
	if permanent || cause.Reason == "" {
		return "", false
	}

	return cause.Reason, true
}
