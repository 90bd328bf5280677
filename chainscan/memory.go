package chainscan

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/wire"
)

// MemoryCheckpoint is a Checkpoint in memory, for tests and for scans that need
// not survive the process. It is safe for concurrent use.
type MemoryCheckpoint struct {
	mu      sync.Mutex
	cursor  *Cursor
	outputs map[wire.OutPoint]Output
}

var _ Checkpoint = (*MemoryCheckpoint)(nil)

// NewMemoryCheckpoint returns an empty checkpoint.
func NewMemoryCheckpoint() *MemoryCheckpoint {
	return &MemoryCheckpoint{
		outputs: make(map[wire.OutPoint]Output),
	}
}

// Load returns the cursor and all outputs, sorted.
func (m *MemoryCheckpoint) Load(ctx context.Context) (*Cursor, []Output,
	error) {

	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if m.cursor == nil {
		return nil, nil, nil
	}

	cursor := m.cursor.clone()
	outputs := slices.SortedFunc(maps.Values(m.outputs), CompareOutputs)

	return &cursor, outputs, nil
}

// Commit stores a chunk.
func (m *MemoryCheckpoint) Commit(ctx context.Context, chunk Chunk) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if chunk.RollbackTo != nil {
		m.rollBack(chunk.RollbackTo.Height)
	}
	for _, output := range chunk.Outputs {
		if _, ok := m.outputs[output.OutPoint]; !ok {
			m.outputs[output.OutPoint] = output
		}
	}
	for _, spend := range chunk.Spends {
		output, ok := m.outputs[spend.Output.OutPoint]
		if !ok {
			output = spend.Output
		}
		output.Spend = spend.Output.Spend
		m.outputs[output.OutPoint] = output
	}

	cursor := chunk.Cursor.clone()
	m.cursor = &cursor

	return nil
}

// rollBack removes all outputs and spends above a height.
func (m *MemoryCheckpoint) rollBack(height int32) {
	for outPoint, output := range m.outputs {
		if output.Block.Height > height {
			delete(m.outputs, outPoint)

			continue
		}

		if output.Spend != nil && output.Spend.Block.Height > height {
			output.Spend = nil
			m.outputs[outPoint] = output
		}
	}
}

// clone returns a copy that shares nothing.
func (c *Cursor) clone() Cursor {
	clone := *c
	clone.Frontier = maps.Clone(c.Frontier)
	clone.Complete = maps.Clone(c.Complete)
	clone.PassedFrontier = maps.Clone(c.PassedFrontier)
	clone.History = slices.Clone(c.History)

	return clone
}
