package loopd

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// testTimeout bounds every wait of the tests.
const testTimeout = 10 * time.Second

// fakeDaemons starts embedded daemons that do nothing.
type fakeDaemons struct {
	started chan *fakeDaemon
	task    string
}

// fakeDaemon is one of them.
type fakeDaemon struct {
	cycle  *cycle
	exited chan error
}

// start is gate.start.
func (f *fakeDaemons) start(context.Context) (*cycle, error) {
	daemon := &fakeDaemon{exited: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	daemon.cycle = &cycle{
		stop:   func() { daemon.exited <- nil },
		exited: daemon.exited,
		ctx:    ctx,
		cancel: cancel,
	}
	f.started <- daemon

	return daemon.cycle, nil
}

// next returns the next daemon that is started.
func (f *fakeDaemons) next(t *testing.T) *fakeDaemon {
	t.Helper()

	select {
	case daemon := <-f.started:
		return daemon

	case <-time.After(testTimeout):
		require.Fail(t, "the daemon was not started")
		return nil
	}
}

// startGate runs a gate until the test ends.
func startGate(t *testing.T) (*gate, *fakeDaemons) {
	t.Helper()

	daemons := &fakeDaemons{started: make(chan *fakeDaemon, 10)}
	g := newGate()
	g.start = daemons.start
	g.busy = func(context.Context, *cycle) (string, error) {
		return daemons.task, nil
	}

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})

	return g, daemons
}

// waitUp waits until the gate reports a running daemon.
func waitUp(t *testing.T, g *gate) {
	t.Helper()

	require.Eventually(t, func() bool {
		_, err := g.current()
		return err == nil
	}, testTimeout, time.Millisecond)
}

// TestGateHoldsUntilOpened checks that nothing runs while a restore writes, so
// that no token is bought in the middle of one.
func TestGateHoldsUntilOpened(t *testing.T) {
	g, daemons := startGate(t)

	_, err := g.current()
	reason, ok := recoveryrpc.ReasonOf(err)
	require.True(t, ok)
	require.Equal(t, states.Starting, reason)
	require.NoError(t, g.Close(t.Context()))
	require.Empty(t, daemons.started)

	g.setReason(states.RecoveryActive)
	_, err = g.current()
	reason, _ = recoveryrpc.ReasonOf(err)
	require.Equal(t, states.RecoveryActive, reason)

	g.Open()
	first := daemons.next(t)
	waitUp(t, g)

	// Closing returns only after the daemon is down, and its requests'
	// contexts have ended.
	require.NoError(t, g.Close(t.Context()))
	require.Error(t, first.cycle.ctx.Err())
	_, err = g.current()
	reason, _ = recoveryrpc.ReasonOf(err)
	require.Equal(t, states.RecoveryActive, reason)
	require.Empty(t, daemons.started)

	// And right after it is started again.
	g.Open()
	daemons.next(t)
	waitUp(t, g)
}

// TestGateRefusesWhileBusy checks that swaps in flight are not interrupted.
func TestGateRefusesWhileBusy(t *testing.T) {
	g, daemons := startGate(t)
	g.Open()
	running := daemons.next(t)
	waitUp(t, g)

	daemons.task = "swap 01"
	err := g.Close(t.Context())
	var blocked *actions.BlockError
	require.ErrorAs(t, err, &blocked)
	require.Equal(t, states.SwapsInFlight, blocked.Reason)
	require.Equal(t, "swap 01", blocked.Detail)

	require.NoError(t, running.cycle.ctx.Err())
	waitUp(t, g)
}

// TestGateRestarts checks that the daemon comes back after it stopped by
// itself, as it does when lnd goes away.
func TestGateRestarts(t *testing.T) {
	g, daemons := startGate(t)
	g.Open()
	first := daemons.next(t)
	waitUp(t, g)

	first.exited <- errors.New("lnd went away")
	daemons.next(t)
	waitUp(t, g)
}

// TestGateGivesUp checks that a daemon that cannot be kept up ends the process,
// so that whoever supervises it takes notice.
func TestGateGivesUp(t *testing.T) {
	g := newGate()
	g.start = func(context.Context) (*cycle, error) {
		return nil, errors.New("no database")
	}
	g.Open()
	require.ErrorContains(t, g.run(t.Context()), "no database")
}

// TestCloseHonoursContext checks that a cancelled restore does not hang on a
// daemon that does not stop.
func TestCloseHonoursContext(t *testing.T) {
	g := newGate()
	g.cycle = &cycle{}

	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("cancelled")
	cancel(cause)
	require.ErrorIs(t, g.Close(ctx), cause)
}

// key is the type of context keys in the tests.
type key struct{}

// TestOutlive checks that a call that notices a deposit for the first time
// leaves a state machine behind that lives as long as the daemon.
func TestOutlive(t *testing.T) {
	cycleCtx, stopCycle := context.WithCancel(t.Context())
	defer stopCycle()
	request, endRequest := context.WithCancel(
		context.WithValue(t.Context(), key{}, "value"),
	)

	ctx := (&cycle{ctx: cycleCtx}).outlive(request)
	endRequest()
	require.NoError(t, ctx.Err())
	require.Equal(t, "value", ctx.Value(key{}))

	child, cancel := context.WithCancel(ctx)
	defer cancel()
	stopCycle()
	select {
	case <-child.Done():
	case <-time.After(testTimeout):
		require.Fail(t, "the context outlived the daemon")
	}
}
