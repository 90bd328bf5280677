package chainscan

import "context"

// Cursor is how far a scan has come. It is saved together with what was found
// up to it, in one transaction.
type Cursor struct {
	// Pass counts the walks from the birthday; it grows when scripts
	// became known behind the cursor.
	Pass uint32

	// Block is the last block of the current pass that was completely
	// walked. A height below the birthday means none.
	Block BlockStamp

	// Frontier is, for each family, the number of scripts from index 0 on
	// that this pass tests.
	Frontier map[int32]uint32

	// Passed is the block up to which the scripts below the frontier of
	// the passes before this one have been tested; zero in the first pass.
	Passed BlockStamp

	// PassedFrontier is the frontier of the passes before this one.
	PassedFrontier map[int32]uint32
}

// Chunk is one step of a scan.
type Chunk struct {
	// Cursor is the state after the step.
	Cursor Cursor

	// RollbackTo, if not nil, is the last common block of a proven reorg:
	// every output and every spend above its height is removed before the
	// rest of the chunk is stored.
	RollbackTo *BlockStamp

	// Outputs are the outputs found in the step, with their spends if
	// these lie in the same step.
	Outputs []Output

	// Spends are spends found in the step of outputs of earlier steps.
	Spends []OutputSpend
}

// OutputSpend is a spend of an output that an earlier chunk holds.
type OutputSpend struct {
	// Output is the output as the scan knows it; its Spend is set.
	Output Output
}

// Checkpoint keeps the progress of one scan. It is called by one goroutine, a
// few times a second at the most.
type Checkpoint interface {
	// Load returns the cursor, or nil if the scan has not begun, and all
	// outputs found so far.
	Load(ctx context.Context) (*Cursor, []Output, error)

	// Commit stores a chunk. It is one transaction: after a crash either
	// all of the chunk is there or nothing of it. Storing an output that
	// is already there is no error and changes nothing.
	Commit(ctx context.Context, chunk Chunk) error
}
