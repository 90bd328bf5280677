package loopd

import (
	"context"
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// neverStarted is a gate whose daemon is not started, in a database with the
// given task under way.
func neverStarted(task *string, holders ...gate.Holder) *gate.Gate[*embedded] {
	return gate.New(gate.Config[*embedded]{
		Start: func(ctx context.Context) (*embedded, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
		Busy: func(context.Context, *embedded, bool) (string, error) {
			return *task, nil
		},
	}, holders...)
}

// TestLateReleaseOpensNothing checks that a decision that was taken before a
// run took its hold does not open the gate under it.
func TestLateReleaseOpensNothing(t *testing.T) {
	task := ""
	g := neverStarted(&task)
	hold := &runHold{gate: g}
	require.NoError(t, hold.Close(t.Context()))
	seen := hold.current()

	// The run blocks and is resumed, and takes its hold again.
	require.NoError(t, hold.Close(t.Context()))
	hold.release(seen)
	require.Len(t, g.Status().Holders, 1)
	require.Equal(t, states.RecoveryActive, g.Status().Reason)

	hold.Open()
	require.Empty(t, g.Status().Holders)
}

// TestHoldThatWasRefused checks that swaps in flight block the run with what is
// in flight, and that nothing stays held.
func TestHoldThatWasRefused(t *testing.T) {
	task := "swap 01"
	g := neverStarted(&task)
	hold := &runHold{gate: g}

	var blocked *actions.BlockError
	require.ErrorAs(t, hold.Close(t.Context()), &blocked)
	require.Equal(t, states.SwapsInFlight, blocked.Reason)
	require.Equal(t, task, blocked.Detail)
	require.Empty(t, g.Status().Holders)
	require.Empty(t, hold.current())
}

// TestHalfwayIsNotAskedAgain checks that a run between token and row goes on
// although the database knows of a swap: the swap client could not end it.
func TestHalfwayIsNotAskedAgain(t *testing.T) {
	task := "swap 01"
	g := neverStarted(&task, gate.Holder{Name: holdStart})
	hold := &runHold{gate: g}
	hold.join()
	hold.join()
	require.NoError(t, hold.Close(t.Context()))
	g.Release(holdStart)
	require.Len(t, g.Status().Holders, 1)
	hold.Open()
	require.Empty(t, g.Status().Holders)
}
