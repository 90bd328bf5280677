package keeper

import (
	"context"
	"sync"
)

// RAM is a Memory that ends with the process: for tests, and for a process
// whose database cannot be written.
type RAM struct {
	mu    sync.Mutex
	pairs map[PairID]Pair
	roots map[string]string
}

// A compile-time check of the port.
var _ Memory = (*RAM)(nil)

// NewRAM returns an empty memory.
func NewRAM() *RAM {
	return &RAM{
		pairs: make(map[PairID]Pair),
		roots: make(map[string]string),
	}
}

// Pair implements Memory.
func (r *RAM) Pair(_ context.Context, id PairID) (*Pair, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	pair, ok := r.pairs[id]
	if !ok {
		return nil, nil
	}

	return &pair, nil
}

// RecordPair implements Memory.
func (r *RAM) RecordPair(_ context.Context, pair Pair) error {
	r.mu.Lock()
	defer r.mu.Unlock()

	if known, ok := r.pairs[pair.PairID]; ok && !pair.Outranks(known) {
		return nil
	}
	r.pairs[pair.PairID] = pair

	return nil
}

// MountRoot implements Memory.
func (r *RAM) MountRoot(_ context.Context, place string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.roots[place], nil
}

// RecordMountRoot implements Memory.
func (r *RAM) RecordMountRoot(_ context.Context, place, root string) error {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.roots[place] = root

	return nil
}
