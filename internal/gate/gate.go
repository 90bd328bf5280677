package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/states"
)

// Instance is one life of the embedded daemon. A daemon starts only once.
type Instance interface {
	// Context ends with the daemon.
	Context() context.Context

	// Stop asks the daemon to end and does not wait. It is called at most
	// once, also on a daemon that is ending by itself.
	Stop()

	// Exited receives one value when the daemon has ended: its error, or
	// nil.
	Exited() <-chan error
}

// Holder is who keeps the daemon down, and why.
type Holder struct {
	// Name tells holders apart. A hold is released under its name.
	Name string

	// Reason is what callers are told meanwhile. If it is empty they are
	// told the reason of another holder, or the one that was noted.
	Reason states.Reason
}

// Config is what a gate needs. Start and Busy are set; the rest has defaults.
type Config[I Instance] struct {
	// Start starts the daemon, and waits before for what it needs. The
	// context ends if the start is called off; if that is why it returns,
	// before anything was started, its error wraps context.Cause of it.
	//
	// Any other error ends Run: it is never called again, since parts of a
	// daemon that failed to start may run on.
	Start func(ctx context.Context) (I, error)

	// Busy names something in flight that the daemon must not be stopped
	// in, or returns the empty string. It asks the running daemon if there
	// is one; else up is false, running the zero value, and it asks the
	// daemon's database. It is bounded by askLimit.
	Busy func(ctx context.Context, running I, up bool) (string, error)

	// Clock is the time; the system's if nil.
	Clock clock.Clock
}

const (
	// callLimit is how long a hold waits for the calls under way.
	callLimit = 10 * time.Second

	// askLimit bounds one question whether something is in flight.
	askLimit = 10 * time.Second
)

// ErrReleased is the error of a hold that was released while it was asked for.
var ErrReleased = errors.New("released before it was in force")

// ErrEnded is the error of a hold, a call or a question after the end of Run.
var ErrEnded = errors.New("the swap client was shut down")

// BusyError refuses a hold: something is in flight. Nothing was stopped.
type BusyError struct {
	// Task names it.
	Task string
}

// Error implements error.
func (e *BusyError) Error() string {
	return "in flight: " + e.Task
}

// AskError refuses a hold: it is not known whether something is in flight.
// Nothing was stopped. It is transient.
type AskError struct {
	// Err is why the question was not answered.
	Err error
}

// Error implements error.
func (e *AskError) Error() string {
	return fmt.Sprintf("unable to tell whether swaps are in flight: %v",
		e.Err)
}

// Unwrap returns the cause.
func (e *AskError) Unwrap() error {
	return e.Err
}

// DownError refuses a call: the daemon is not up, or about to be stopped.
type DownError struct {
	// Reason is why.
	Reason states.Reason
}

// Error implements error.
func (e *DownError) Error() string {
	return "the swap client is not up: " + string(e.Reason)
}

// Gate decides when the embedded daemon may run, and runs it. Its methods are
// safe for concurrent use.
type Gate[I Instance] struct {
	cfg Config[I]

	mu sync.Mutex

	// core is the state machine. mu guards it and what follows.
	core core

	// running is the daemon while the core is Up or Stopping.
	running I

	// streams ends when the daemon is stopped or has ended; endStreams
	// ends it.
	streams    context.Context
	endStreams context.CancelFunc

	// noted is why the daemon is down while nobody holds it.
	noted states.Reason

	// changed is closed and replaced after each event.
	changed chan struct{}
}

// New returns a gate whose daemon is down and held by the holders, whose names
// differ. They are not asked for: nothing can be in flight in a daemon that was
// never started, and the work that they stand for was begun in an earlier
// process.
func New[I Instance](cfg Config[I], holders ...Holder) *Gate[I] {
	if cfg.Clock == nil {
		cfg.Clock = clock.NewDefaultClock()
	}
	g := &Gate[I]{
		cfg:     cfg,
		noted:   states.Starting,
		changed: make(chan struct{}),
	}
	for _, holder := range holders {
		g.core.hold(holder)
	}

	return g
}

// Status is a gate at one moment.
type Status struct {
	// State is what the daemon is doing.
	State State

	// Holders are those who hold it or have asked to, the oldest first.
	Holders []Holder

	// Reason is why a call would be refused, or empty if it would not.
	Reason states.Reason
}

// Status returns the state of the gate. It never waits.
func (g *Gate[I]) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()

	status := Status{State: g.core.state}
	for _, claim := range g.core.claims {
		status.Holders = append(status.Holders, claim.Holder)
	}
	if !g.core.admits() {
		status.Reason = g.reason()
	}

	return status
}

// Note records why the daemon is not up. It is what callers are told while no
// holder gives a reason.
func (g *Gate[I]) Note(reason states.Reason) {
	g.event(func(*core) { g.noted = reason })
}

// Enter admits a call to the daemon. The daemon is not stopped for a hold
// before done is called, once or more. Without a daemon that can be called the
// error is a *DownError.
func (g *Gate[I]) Enter(ctx context.Context) (running I, done func(),
	err error) {

	if ctx.Err() != nil {
		return running, nil, context.Cause(ctx)
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.core.enter() {
		return running, nil, &DownError{Reason: g.reason()}
	}
	leave := func() { g.event((*core).leave) }

	return g.running, sync.OnceFunc(leave), nil
}

// EnterStream admits a call that goes on for long. It is not waited for: the
// context that is returned, which is made of the given one, ends as soon as the
// daemon is stopped or has ended. done ends it, too. Without a daemon that can
// be called the error is a *DownError.
func (g *Gate[I]) EnterStream(ctx context.Context) (running I,
	stream context.Context, done func(), err error) {

	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.core.admits() {
		return running, nil, nil, &DownError{Reason: g.reason()}
	}

	stream, cancel := context.WithCancel(ctx)
	stopped := context.AfterFunc(g.streams, cancel)

	return g.running, stream, func() {
		stopped()
		cancel()
	}, nil
}

// Task names something in flight, or returns the empty string. It holds
// nothing back.
func (g *Gate[I]) Task(ctx context.Context) (string, error) {
	g.mu.Lock()
	running, up := g.running, g.core.state == Up
	if up {
		g.core.inquire()
		defer g.event((*core).inquired)
	}
	g.mu.Unlock()

	return g.busy(ctx, running, up)
}

// busy asks, within askLimit.
func (g *Gate[I]) busy(ctx context.Context, running I, up bool) (string,
	error) {

	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()

	task, err := g.cfg.Busy(ctx, running, up)
	if err != nil {
		return "", &AskError{Err: err}
	}

	return task, nil
}

// reason returns why calls are refused. mu is held.
func (g *Gate[I]) reason() states.Reason {
	if reason := g.core.reason(); reason != "" {
		return reason
	}

	return g.noted
}

// event moves the core and tells everybody who waits.
func (g *Gate[I]) event(move func(*core)) {
	g.mu.Lock()
	defer g.mu.Unlock()

	move(&g.core)
	g.tell()
}

// tell wakes everybody who waits for the core to move. mu is held.
func (g *Gate[I]) tell() {
	if g.core.state != Up && g.endStreams != nil {
		g.endStreams()
		g.endStreams = nil
	}
	close(g.changed)
	g.changed = make(chan struct{})
}

// await tries a step, which may move the core, until it succeeds, or returns
// the cause of the context's end. The step is called with mu held.
func (g *Gate[I]) await(ctx context.Context, step func(*core) bool) error {
	for {
		g.mu.Lock()
		done := step(&g.core)
		if done {
			g.tell()
		}
		changed := g.changed
		g.mu.Unlock()
		if done {
			return nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
