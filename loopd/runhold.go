package loopd

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/states"
)

// holdGate is the gate as a run's hold uses it.
type holdGate interface {
	Hold(ctx context.Context, holder gate.Holder) error
	Join(holder gate.Holder) bool
	Release(name string)
}

// runHold is the hold that the recovery under way has on the gate. Each time it
// is taken it has another name, so that whoever releases what he saw before
// does not release what was taken since. Its methods are safe for concurrent
// use.
type runHold struct {
	gate holdGate

	mu sync.Mutex

	// taken is how often the hold was taken.
	taken int

	// name is the hold in force or asked for, or empty.
	name string
}

// A compile-time check of the port.
var _ actions.Gate = (*runHold)(nil)

// Close implements actions.Gate.
func (h *runHold) Close(ctx context.Context) error {
	before, holder := h.next()

	// What is held already is not asked for again: the run stands between
	// two writes.
	if before != "" && h.gate.Join(holder) {
		h.gate.Release(before)
		return nil
	}

	err := h.gate.Hold(ctx, holder)
	if err == nil {
		return nil
	}
	h.release(holder.Name)
	var busy *gate.BusyError
	if errors.As(err, &busy) {
		return &actions.BlockError{
			Reason: states.SwapsInFlight, Detail: busy.Task,
		}
	}

	return err
}

// Open implements actions.Gate.
func (h *runHold) Open() {
	h.release(h.current())
}

// join takes the hold for a run that an earlier process left half way. The gate
// is still held by the start, and nothing is asked.
func (h *runHold) join() {
	if h.current() != "" {
		return
	}
	_, holder := h.next()
	h.gate.Join(holder)
}

// current returns the name of the hold, or nothing.
func (h *runHold) current() string {
	h.mu.Lock()
	defer h.mu.Unlock()

	return h.name
}

// release ends the hold of a name, if it is still that one.
func (h *runHold) release(name string) {
	h.mu.Lock()
	if h.name == name {
		h.name = ""
	}
	h.mu.Unlock()

	if name != "" {
		h.gate.Release(name)
	}
}

// next returns the name of the hold before and the holder to be.
func (h *runHold) next() (string, gate.Holder) {
	h.mu.Lock()
	defer h.mu.Unlock()

	before := h.name
	h.taken++
	h.name = fmt.Sprintf("recovery %d", h.taken)

	return before, gate.Holder{
		Name: h.name, Reason: states.RecoveryActive,
	}
}
