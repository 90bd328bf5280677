package states

import (
	"errors"
	"fmt"
)

// Cause is what a typed error of ours tells: PermanentError and TransientError
// here, and the error that stops a recovery in package actions.
type Cause struct {
	// Reason is the machine-readable code.
	Reason Reason

	// Detail names the thing concerned: a path, an address, a permission.
	// It holds nothing secret, and stays the same as long as the cause
	// does.
	Detail string

	// Err is the error behind it, if there is one.
	Err error
}

// String returns the text of an error with this cause.
func (c Cause) String() string {
	text := string(c.Reason)
	if c.Detail != "" {
		text += ": " + c.Detail
	}
	if c.Err != nil {
		text += fmt.Sprintf(": %v", c.Err)
	}

	return text
}

// CauseOf returns the cause that an error gives, and whether it is permanent.
// An error of neither type may pass by itself and gives no reason. One that
// wraps both types is permanent.
func CauseOf(err error) (cause Cause, permanent bool) {
	var (
		stays  *PermanentError
		passes *TransientError
	)
	switch {
	case errors.As(err, &stays):
		return Cause(*stays), true

	case errors.As(err, &passes):
		return Cause(*passes), false

	default:
		return Cause{}, false
	}
}
