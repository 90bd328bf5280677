package twin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

var (
	// ErrLndDown is returned by every call that needs lnd while it is
	// down.
	ErrLndDown = errors.New("lnd is down")

	// ErrLndLocked is returned by every call that needs lnd while its
	// wallet is locked.
	ErrLndLocked = errors.New("lnd is locked")

	// ErrCrashed ends the process if a hook returns it: until Restart every
	// call of every port returns it, and none has an effect.
	ErrCrashed = errors.New("the process has ended")
)

// Point is one side of the effect of a port's call.
type Point struct {
	// Call is the port and the method, for example "node.AdvanceKey".
	Call string

	// After says on which side of the effect the point lies.
	After bool
}

// String returns the point as it is printed for a reproduction.
func (p Point) String() string {
	if p.After {
		return "after " + p.Call
	}

	return "before " + p.Call
}

// Hook is called at every point. An error is what the caller of the port gets.
// The context is the caller's, or the background context for ports without one.
// No lock of the twin is held during the call, so that a hook may disturb the
// world or wait. It is called from several goroutines at once during a scan.
type Hook func(ctx context.Context, point Point) error

// calls is what all ports share: the hook, the log of calls, lnd's state and
// the violations.
type calls struct {
	mu         sync.Mutex
	hook       Hook
	log        []string
	lndErr     error
	violations []string

	// crashed is closed when the process ends, and replaced when the next
	// one starts.
	crashed chan struct{}
}

// newCalls returns the state of a process that has just started.
func newCalls() *calls {
	return &calls{crashed: make(chan struct{})}
}

// do makes one call of a port.
func (c *calls) do(ctx context.Context, call string,
	effect func() error) error {

	err := c.at(ctx, Point{Call: call})
	if err != nil {
		return err
	}

	c.mu.Lock()
	c.log = append(c.log, call)
	c.mu.Unlock()

	err = effect()
	if err != nil {
		return err
	}

	return c.at(ctx, Point{Call: call, After: true})
}

// doLnd makes one call of a port that needs lnd.
func (c *calls) doLnd(ctx context.Context, call string,
	effect func() error) error {

	return c.do(ctx, call, func() error {
		err := ctx.Err()
		if err != nil {
			return err
		}

		c.mu.Lock()
		err = c.lndErr
		c.mu.Unlock()
		if err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}

		return effect()
	})
}

// at calls the hook, and notes if it ends the process.
func (c *calls) at(ctx context.Context, point Point) error {
	c.mu.Lock()
	hook := c.hook
	c.mu.Unlock()

	switch {
	case c.dead():
		return ErrCrashed

	case hook == nil:
		return nil
	}

	err := hook(ctx, point)
	if errors.Is(err, ErrCrashed) {
		c.die()
	}

	return err
}

// die ends the process.
func (c *calls) die() {
	c.mu.Lock()
	defer c.mu.Unlock()

	select {
	case <-c.crashed:
	default:
		close(c.crashed)
	}
}

// dead reports whether the process has ended.
func (c *calls) dead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	select {
	case <-c.crashed:
		return true

	default:
		return false
	}
}

// process returns a context that ends with the process: what waits or tries
// again does not outlive it. The function releases it.
func (c *calls) process(ctx context.Context) (context.Context, func()) {
	c.mu.Lock()
	crashed := c.crashed
	c.mu.Unlock()

	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-crashed:
			cancel(ErrCrashed)

		case <-ctx.Done():
		}
	}()

	return ctx, func() { cancel(nil) }
}

// violate records something that must never happen.
func (c *calls) violate(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// SetHook sets the hook, or removes it with nil.
func (w *World) SetHook(hook Hook) {
	w.calls.mu.Lock()
	defer w.calls.mu.Unlock()

	w.calls.hook = hook
}

// SetLnd makes every call that needs lnd fail with the given error, for example
// ErrLndDown, until it is called with nil.
func (w *World) SetLnd(err error) {
	w.calls.mu.Lock()
	defer w.calls.mu.Unlock()

	w.calls.lndErr = err
}

// Calls returns the calls that reached their effect, in order.
func (w *World) Calls() []string {
	w.calls.mu.Lock()
	defer w.calls.mu.Unlock()

	return slices.Clone(w.calls.log)
}

// Count returns how often a call reached its effect.
func (w *World) Count(call string) int {
	var count int
	for _, made := range w.Calls() {
		if made == call {
			count++
		}
	}

	return count
}

// Violations returns what was done that must never be done.
func (w *World) Violations() []string {
	w.calls.mu.Lock()
	defer w.calls.mu.Unlock()

	return slices.Clone(w.calls.violations)
}

// FailAt returns a hook that makes one call fail with an error, the nth time
// that the point is reached, counted from one, and lets all others pass.
func FailAt(point Point, nth int, err error) Hook {
	var (
		mu   sync.Mutex
		seen int
	)

	return func(_ context.Context, at Point) error {
		mu.Lock()
		defer mu.Unlock()

		if at != point {
			return nil
		}

		seen++
		if seen == nth {
			return err
		}

		return nil
	}
}

// Crash ends the process from outside of any call of a port.
func (w *World) Crash() {
	w.calls.die()
}

// Crashed reports whether the process has ended.
func (w *World) Crashed() bool {
	return w.calls.dead()
}

// Context returns a context that ends when the process does, and a function
// that releases it.
func (w *World) Context(ctx context.Context) (context.Context, func()) {
	return w.calls.process(ctx)
}

// Restart starts the next process. The gate, which is the process's own, is
// closed or open as the daemon decides.
func (w *World) Restart(closed bool) {
	w.calls.mu.Lock()
	w.calls.crashed = make(chan struct{})
	w.calls.mu.Unlock()

	w.Gate.Set(closed)
}
