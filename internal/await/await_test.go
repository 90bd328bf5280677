package await

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btclog/v2"
	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// newLog returns a log and its lines.
func newLog() (btclog.Logger, func() []string) {
	var buffer bytes.Buffer
	handler := btclog.NewDefaultHandler(&buffer, btclog.WithNoTimestamp())

	return btclog.NewSLogger(handler), func() []string {
		text := strings.TrimSpace(buffer.String())
		if text == "" {
			return nil
		}

		return strings.Split(text, "\n")
	}
}

// refused is permanent, and away is transient.
var (
	refused = &states.PermanentError{
		Reason: states.WrongLnd, Detail: "localhost:10009",
	}
	away = &states.TransientError{
		Reason: states.LndDown, Detail: "localhost:10009",
	}
)

// TestPermanentIsLookedAt checks that what does not pass by itself is looked at
// again less and less often, but each minute, is logged once, and goes on by
// itself when somebody mended it: otherwise a daemon floods the log and the
// server it asks, or never starts again.
func TestPermanentIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		var (
			began    = time.Now()
			looks    []time.Duration
			reported []State
		)
		loop := &Loop{Log: log, OnState: func(state State) {
			reported = append(reported, state)
		}}
		err := loop.Until(t.Context(), "lnd", func(
			context.Context) error {

			looks = append(looks, time.Since(began))
			if len(looks) == 10 {
				return nil
			}

			return fmt.Errorf("looking: %w", refused)
		})
		require.NoError(t, err)
		for i, seconds := range []int{
			0, 1, 3, 7, 15, 31, 63, 123, 183, 243,
		} {
			require.Equal(t, time.Duration(seconds)*time.Second,
				looks[i])
		}
		require.Len(t, reported, 9)
		for _, state := range reported {
			require.True(t, state.Permanent)
			require.Equal(t, states.WrongLnd, state.Reason)
			require.Equal(t, refused.Detail, state.Detail)
			require.Equal(t, began, state.Since)
		}
		require.Len(t, lines(), 2)
		require.Contains(t, lines()[0], "[ERR]")
		require.Contains(t, lines()[0], "WRONG_LND")
		require.Contains(t, lines()[1], "ready, after 4m3s")
	})
}

// TestTransientIsRetried checks that what passes by itself is tried each
// second, and that each change of the cause is one line.
func TestTransientIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		began := time.Now()
		failures := []error{away, away, refused, refused, away, nil}
		step := 0
		loop := &Loop{Log: log}
		err := loop.Until(t.Context(), "lnd", func(
			context.Context) error {

			step++

			return failures[step-1]
		})
		require.NoError(t, err)
		require.Equal(t, 6*time.Second, time.Since(began))
		require.Len(t, lines(), 4)
	})
}

// TestNoReason checks that errors of which only the text differs do not flood
// the log, and that a lasting change of the text is seen all the same.
func TestNoReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		step := 0
		loop := &Loop{Log: log}
		err := loop.Until(t.Context(), "lnd", func(
			context.Context) error {

			if step++; step == 150 {
				return nil
			}

			return fmt.Errorf("from port %d", step)
		})
		require.NoError(t, err)
		require.Len(t, lines(), 4)
	})
}

// TestEnd checks that the end of the context ends the loop with its cause, in a
// step and in a pause.
func TestEnd(t *testing.T) {
	stopped := errors.New("stopped")
	for _, during := range []string{"step", "pause"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		loop := &Loop{OnState: func(State) { cancel(stopped) }}
		err := loop.Until(ctx, "lnd", func(context.Context) error {
			if during == "step" {
				cancel(stopped)
			}

			return away
		})
		require.ErrorIs(t, err, stopped, during)
	}
}

// TestClock checks that the clock that was given is the one that is used.
func TestClock(t *testing.T) {
	began := time.Unix(1_000, 0)
	hands := clock.NewTestClock(began)
	account := Account{Clock: hands}
	require.Equal(t, began, account.Note(away).Since)
	hands.SetTime(began.Add(time.Hour))
	require.Equal(t, began, account.Note(away).Since)
	require.Equal(t, began, account.State().Since)
	require.Equal(t, State{}, account.Note(nil))

	ended := make(chan error, 1)
	go func() { ended <- Pause(t.Context(), hands, time.Minute) }()
	require.Eventually(t, func() bool {
		hands.SetTime(hands.Now().Add(time.Minute))
		return len(ended) == 1
	}, time.Minute, time.Millisecond)
	require.NoError(t, <-ended)
}
