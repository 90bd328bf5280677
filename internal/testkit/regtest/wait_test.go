package regtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEventually checks that a wait ends with the condition, and that a wait
// that ends without it says what was missing.
func TestEventually(t *testing.T) {
	t.Parallel()

	calls := 0
	err := Eventually(t.Context(), "three calls", time.Minute,
		func(context.Context) error {
			calls++
			if calls < 3 {
				return errors.New("too few")
			}

			return nil
		})
	require.NoError(t, err)
	require.Equal(t, 3, calls)

	missing := errors.New("the reason")
	err = Eventually(t.Context(), "the impossible", time.Millisecond,
		func(context.Context) error { return missing })
	require.ErrorIs(t, err, missing)
	require.ErrorContains(t, err, "the impossible")

	// A check that hangs is released by its context.
	err = Eventually(t.Context(), "a reply", time.Millisecond,
		func(ctx context.Context) error {
			<-ctx.Done()

			return ctx.Err()
		})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
