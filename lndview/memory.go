package lndview

import (
	"context"
	"sync"
)

// MemoryLedger is a Ledger that forgets at the end of the process. It is the
// twin of the one in recovery.db for tests.
type MemoryLedger struct {
	mu       sync.Mutex
	snapshot *Snapshot
}

var _ Ledger = (*MemoryLedger)(nil)

// NewMemoryLedger returns an empty ledger.
func NewMemoryLedger() *MemoryLedger {
	return &MemoryLedger{
		snapshot: NewSnapshot(),
	}
}

// Load returns everything that was committed.
func (l *MemoryLedger) Load(ctx context.Context) (*Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	return l.snapshot.Clone(), nil
}

// Commit stores a change, all of it or nothing.
func (l *MemoryLedger) Commit(ctx context.Context, change Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	next := l.snapshot.Clone()
	if err := next.Apply(change); err != nil {
		return err
	}
	l.snapshot = next

	return nil
}

// Lose makes the ledger forget everything, as recovery.db does when it is
// damaged beyond reading and set aside.
func (l *MemoryLedger) Lose() {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.snapshot = NewSnapshot().Doubted()
}
