package chainscan

import "context"

// Cursor is how far a scan has come. It is saved together with what was found
// up to it, in one transaction. It is plain data and is meant to be stored as
// JSON.
//
// A scan is a number of passes. Each walks upwards from the birthday and tests
// the scripts that no earlier pass has tested from the birthday on; the first
// pass tests all, and usually there is no second one.
type Cursor struct {
	// Birthday is the first height of the scan.
	Birthday int32 `json:"birthday"`

	// Pass is the number of the current pass, from 0.
	Pass uint32 `json:"pass"`

	// Block is the last block of the current pass that was completely
	// walked. A height below the birthday means none.
	Block BlockStamp `json:"block"`

	// Frontier is, for each family, the number of scripts from index 0 on
	// that the scan must test: the highest used index, plus one, plus the
	// look-ahead. Outputs of higher indices are not part of the result
	// (see Select). For a fixed family it is the index plus one.
	Frontier map[int32]uint32 `json:"frontier"`

	// Complete is, for each family, the number of scripts from index 0 on
	// that were tested against every block from the birthday to Block. The
	// scan derives ahead of its need, so it can be above Frontier; it is
	// below it after scripts became known that want another pass.
	Complete map[int32]uint32 `json:"complete"`

	// Passed is the block up to which the passes before this one tested
	// the scripts below PassedFrontier; they skip these blocks now.
	Passed BlockStamp `json:"passed"`

	// PassedFrontier is Complete at the end of the pass before this one.
	PassedFrontier map[int32]uint32 `json:"passed_frontier,omitempty"`

	// History names blocks of the chain that was walked, by height, up to
	// the highest of any pass: all of the last ones and ever fewer of the
	// older ones. The highest of them that is still on the best chain is
	// where a reorg leads back to.
	History []BlockStamp `json:"history"`
}

// Chunk is one step of a scan.
type Chunk struct {
	// Cursor is the state after the step.
	Cursor Cursor

	// RollbackTo, if not nil, is the last common block of a proven reorg:
	// every output and every spend above its height is removed before the
	// rest of the chunk is stored. The hash is zero if no block of the
	// scan is left on the best chain.
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
	// outputs found so far. They include outputs of scripts that were
	// derived ahead of the scan's need; Select tells which count.
	Load(ctx context.Context) (*Cursor, []Output, error)

	// Commit stores a chunk. It is one transaction: after a crash either
	// all of the chunk is there or nothing of it. Storing an output that
	// is already there is no error and changes nothing. The chunk's
	// slices and maps are not modified by the scan afterwards.
	Commit(ctx context.Context, chunk Chunk) error
}

// Select returns the outputs that are part of the result at a cursor: those of
// indices below the frontier. Whether an output beyond it was seen depends on
// how far the scan happened to derive ahead.
func Select(cursor Cursor, outputs []Output) []Output {
	var selected []Output
	for _, output := range outputs {
		frontier := cursor.Frontier[output.Script.Family]
		if output.Script.Index < frontier {
			selected = append(selected, output)
		}
	}

	return selected
}
