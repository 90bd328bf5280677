package chainscan

import (
	"context"
	"fmt"
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

	outputs := maps.Clone(m.outputs)
	if chunk.RollbackTo != nil {
		rollBackOutputs(outputs, chunk.RollbackTo.Height)
	}
	for _, output := range chunk.Outputs {
		if _, ok := outputs[output.OutPoint]; !ok {
			outputs[output.OutPoint] = output
		}
	}
	for _, spend := range chunk.Spends {
		output, ok := outputs[spend.Output.OutPoint]
		if !ok || spend.Output.Spend == nil {
			return fmt.Errorf("no output %v, or no spend of it",
				spend.Output.OutPoint)
		}
		output.Spend = spend.Output.Spend
		outputs[output.OutPoint] = output
	}

	cursor := chunk.Cursor.clone()
	m.cursor, m.outputs = &cursor, outputs

	return nil
}

// rollBackOutputs removes all outputs and spends above a height.
func rollBackOutputs(outputs map[wire.OutPoint]Output, height int32) {
	for outPoint, output := range outputs {
		switch {
		case output.Block.Height > height:
			delete(outputs, outPoint)

		case output.Spend != nil && output.Spend.Block.Height > height:
			output.Spend = nil
			outputs[outPoint] = output
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
