package loopd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// stableAfter is how long the embedded daemon must have been up for
	// its death not to count as a failure in a row.
	stableAfter = time.Minute

	// maxFailures is how often in a row the embedded daemon may die before
	// this process gives up and leaves it to whoever supervises it.
	maxFailures = 5

	// restartPause is the time between two attempts to start it.
	restartPause = 2 * time.Second
)

// cycle is one life of the embedded daemon: it starts only once.
type cycle struct {
	// daemon is upstream's daemon, started as a subserver.
	daemon *upstream.Daemon

	// stop asks it to end; exited receives its one error, or nil, when it
	// has ended.
	stop   func()
	exited <-chan error

	// ctx ends with the embedded daemon.
	ctx context.Context

	// cancel ends ctx.
	cancel context.CancelFunc
}

// outlive returns a context that carries the values of a request but ends with
// the embedded daemon instead of with the request.
func (c *cycle) outlive(request context.Context) context.Context {
	return outliving{Context: c.ctx, request: request}
}

// outliving is a context with the life of one and the values of another.
type outliving struct {
	context.Context

	// request has the values.
	request context.Context
}

// Value implements context.Context.
func (o outliving) Value(key any) any {
	if value := o.request.Value(key); value != nil {
		return value
	}

	return o.Context.Value(key)
}

// gate decides when the embedded daemon may run, and runs it. The embedded
// daemon is never up while a recovery writes the token file or the address
// row; nothing else holds it back for long, since swaps have deadlines.
type gate struct {
	// start starts the embedded daemon; it waits until lnd is synced.
	start func(ctx context.Context) (*cycle, error)

	// busy says what the embedded daemon must not be interrupted in, or
	// the empty string.
	busy func(ctx context.Context, running *cycle) (string, error)

	mu sync.Mutex

	// held: a recovery keeps the embedded daemon down.
	held bool

	// cycle is the running daemon, or nil.
	cycle *cycle

	// reason says why there is none.
	reason states.Reason

	// barred, if not empty, says why this process must not run it at all:
	// it does not own the database.
	barred states.Reason

	// changed is closed and replaced whenever something above changes.
	changed chan struct{}
}

// newGate returns a gate that is held: nothing starts before Open.
func newGate() *gate {
	return &gate{
		held:    true,
		reason:  states.Starting,
		changed: make(chan struct{}),
	}
}

// A compile-time check of the port.
var _ actions.Gate = (*gate)(nil)

// Close implements actions.Gate.
func (g *gate) Close(ctx context.Context) error {
	g.mu.Lock()
	running := g.cycle
	wasHeld := g.held
	g.set(func() { g.held = true })
	g.mu.Unlock()

	// Calls are refused from here on; what is under way already decides.
	if running != nil && !wasHeld {
		task, err := g.busy(ctx, running)
		if err == nil && task != "" {
			err = &actions.BlockError{
				Reason: states.SwapsInFlight, Detail: task,
			}
		}
		if err != nil {
			g.Open()
			return err
		}
	}

	for {
		g.mu.Lock()
		down, changed := g.cycle == nil, g.changed
		g.mu.Unlock()
		if down {
			return nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// task names what the embedded daemon must not be interrupted in now, or
// returns the empty string.
func (g *gate) task(ctx context.Context) (string, error) {
	g.mu.Lock()
	running, held := g.cycle, g.held
	g.mu.Unlock()

	if running == nil || held {
		return "", nil
	}

	return g.busy(ctx, running)
}

// Open implements actions.Gate.
func (g *gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()

	g.set(func() { g.held = false })
}

// current returns the running daemon, or a gRPC status with the reason why
// there is none.
func (g *gate) current() (*cycle, error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	switch {
	case g.barred != "":
		return nil, recoveryrpc.StatusError(g.barred, "")

	case g.held && g.reason != states.Starting:
		return nil, recoveryrpc.StatusError(states.RecoveryActive, "")

	case g.held || g.cycle == nil:
		return nil, recoveryrpc.StatusError(g.reason, "")

	default:
		return g.cycle, nil
	}
}

// status returns whether a recovery holds the daemon back, whether it is up,
// and the reason if it is not.
func (g *gate) status() (held, up bool, reason states.Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.barred != "" {
		return false, false, g.barred
	}

	return g.held, g.cycle != nil, g.reason
}

// bar records why this process must not run the embedded daemon; the empty
// reason lifts that.
func (g *gate) bar(reason states.Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.barred != reason && reason != "" {
		log.Infof("Waiting: %s", states.Explain(reason).Sentence)
	}
	g.set(func() { g.barred = reason })
}

// setReason records why the embedded daemon is down.
func (g *gate) setReason(reason states.Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()

	g.set(func() { g.reason = reason })
}

// set changes the state and tells everybody who waits. mu is held.
func (g *gate) set(change func()) {
	change()
	close(g.changed)
	g.changed = make(chan struct{})
}

// errHeld ends an attempt to start the embedded daemon.
var errHeld = errors.New("held back by a recovery")

// run starts the embedded daemon whenever the gate is open, and stops it when
// the gate closes or the context ends. It returns nil at the end of the
// context, and an error if the embedded daemon cannot be kept up.
func (g *gate) run(ctx context.Context) error {
	failures := 0
	for {
		if err := g.waitHeld(ctx, false); err != nil {
			return nil
		}

		running, err := g.startCycle(ctx)
		switch {
		case ctx.Err() != nil:
			if running != nil {
				return g.stopCycle(running)
			}
			return nil

		case errors.Is(err, errHeld):
			continue

		case err != nil:
			return fmt.Errorf("swap client does not start: %w", err)
		}

		up := time.Now()
		err = g.watch(ctx, running)
		if ctx.Err() != nil {
			return err
		}
		if err == nil {
			continue
		}

		log.Errorf("The swap client stopped: %v", err)
		if time.Since(up) > stableAfter {
			failures = 0
		}
		if failures++; failures >= maxFailures {
			return fmt.Errorf("swap client stopped %d times: %w",
				failures, err)
		}
		if pause(ctx, restartPause) != nil {
			return nil
		}
	}
}

// startCycle starts the embedded daemon unless the gate closes meanwhile.
func (g *gate) startCycle(ctx context.Context) (*cycle, error) {
	startCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	stopWatching := make(chan struct{})
	go func() {
		defer close(stopWatching)
		if g.waitHeld(startCtx, true) == nil {
			cancel(errHeld)
		}
	}()

	running, err := g.start(startCtx)
	held := errors.Is(context.Cause(startCtx), errHeld)
	cancel(nil)
	<-stopWatching

	switch {
	case err != nil && held:
		return nil, errHeld

	case err != nil:
		return nil, err
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	g.set(func() {
		g.cycle = running
		g.reason = states.RecoveryActive
	})

	return running, nil
}

// watch returns when the embedded daemon is down: nil if it was stopped
// because the gate closed, its error if it stopped by itself.
func (g *gate) watch(ctx context.Context, running *cycle) error {
	watchCtx, cancel := context.WithCancel(ctx)
	defer cancel()

	stop := make(chan struct{})
	go func() {
		if g.waitHeld(watchCtx, true) == nil || ctx.Err() != nil {
			close(stop)
		}
	}()

	select {
	case <-stop:
		return g.stopCycle(running)

	case err := <-running.exited:
		g.down(running, states.LndDown)
		if err == nil {
			err = errors.New("stopped by itself")
		}

		return err
	}
}

// stopCycle stops the embedded daemon and waits until it is down.
func (g *gate) stopCycle(running *cycle) error {
	running.stop()
	err := <-running.exited
	g.down(running, states.RecoveryActive)

	return err
}

// down records that the embedded daemon is down.
func (g *gate) down(running *cycle, reason states.Reason) {
	running.cancel()

	g.mu.Lock()
	defer g.mu.Unlock()
	g.set(func() {
		g.cycle = nil
		g.reason = reason
	})
}

// waitHeld returns nil as soon as the gate is held, or is not.
func (g *gate) waitHeld(ctx context.Context, held bool) error {
	for {
		g.mu.Lock()
		reached, changed := g.held == held, g.changed
		g.mu.Unlock()
		if reached {
			return nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
