package twin

import (
	"context"
	"sync"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/states"
)

// Gate stands before the embedded daemon, which is up whenever it is open.
type Gate struct {
	calls *calls

	mu     sync.Mutex
	closed bool
	busy   bool
}

var _ actions.Gate = (*Gate)(nil)

// Close takes the embedded daemon down.
func (g *Gate) Close(ctx context.Context) error {
	return g.calls.do(ctx, "gate.Close", func() error {
		g.mu.Lock()
		defer g.mu.Unlock()

		if g.busy && !g.closed {
			return &actions.BlockError{
				Reason: states.SwapsInFlight,
			}
		}
		g.closed = true

		return nil
	})
}

// Open lets the embedded daemon start. It cannot fail: of a hook's errors only
// the end of the process keeps it from its effect.
func (g *Gate) Open() {
	open := func() error {
		g.Set(false)

		return nil
	}

	err := g.calls.do(context.Background(), "gate.Open", open)
	if err != nil && !g.calls.dead() {
		_ = open()
	}
}

// Set closes or opens the gate, as the daemon does when it starts.
func (g *Gate) Set(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()

	g.closed = closed
}

// SetBusy says whether swaps are in flight in the embedded daemon.
func (g *Gate) SetBusy(busy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()

	g.busy = busy
}

// Busy reports whether swaps are in flight in the embedded daemon.
func (g *Gate) Busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()

	return g.busy && !g.closed
}

// Closed reports whether the embedded daemon is held back.
func (g *Gate) Closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()

	return g.closed
}
