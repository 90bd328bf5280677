package states

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTransientReason checks that a passing error keeps its reason and its
// cause through wrapping, and that a permanent one inside it wins: a daemon
// that waited for what does not pass would wait for ever.
func TestTransientReason(t *testing.T) {
	cause := errors.New("connection refused")
	err := fmt.Errorf("lnd: %w", &TransientError{
		Reason: LndDown, Detail: "localhost:10009", Err: cause,
	})
	reason, ok := TransientReason(err)
	require.True(t, ok)
	require.Equal(t, LndDown, reason)
	require.ErrorIs(t, err, cause)
	require.EqualError(t, err,
		"lnd: LND_DOWN: localhost:10009: connection refused")
	require.EqualError(t, &TransientError{Reason: LndLocked}, "LND_LOCKED")

	given, permanent := CauseOf(err)
	require.False(t, permanent)
	require.Equal(t, Cause{
		Reason: LndDown, Detail: "localhost:10009", Err: cause,
	}, given)

	given, permanent = CauseOf(cause)
	require.False(t, permanent)
	require.Zero(t, given)

	_, ok = TransientReason(cause)
	require.False(t, ok)
	_, ok = TransientReason(&TransientError{
		Reason: LndDown, Err: &PermanentError{Reason: WrongLnd},
	})
	require.False(t, ok)
}
