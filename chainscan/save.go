package chainscan

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// due tells whether it is time to commit.
func (s *Scan) due() bool {
	if s.walked == 0 {
		return false
	}

	return s.walked >= s.tuning.chunkBlocks ||
		len(s.match.changes) >= s.tuning.chunkChanges ||
		time.Since(s.saved) >= s.tuning.chunkTime
}

// commit saves the cursor and what was found up to it, unless the checkpoint
// holds all of it.
func (s *Scan) commit(ctx context.Context) error {
	s.history.thin(s.tuning.historyDense)
	cursor := s.cursor()
	saved := s.stored != nil && reflect.DeepEqual(*s.stored, cursor)
	if saved && s.rollback == nil && len(s.match.changes) == 0 {
		return nil
	}

	outputs, spends := s.match.changed(s.doubtful)
	chunk := Chunk{
		Cursor:     cursor,
		RollbackTo: s.rollback,
		Outputs:    outputs,
		Spends:     spends,
	}
	if err := s.cfg.Checkpoint.Commit(ctx, chunk); err != nil {
		s.doubtful = true

		return fmt.Errorf("save the scan's progress: %w", err)
	}

	clear(s.match.changes)
	s.stored, s.doubtful = &cursor, false
	s.rollback = nil
	s.walked, s.saved = 0, time.Now()
	s.report(chunk.RollbackTo)

	return nil
}

// cursor returns the state to save.
func (s *Scan) cursor() Cursor {
	cursor := Cursor{
		Birthday:       s.cfg.Birthday,
		Pass:           s.pass,
		Block:          s.at,
		Frontier:       make(map[int32]uint32),
		Complete:       make(map[int32]uint32),
		Passed:         s.passed,
		PassedFrontier: maps.Clone(s.passedFrontier),
		History:        slices.Clone(s.history),
	}
	for _, state := range s.match.families {
		cursor.Frontier[state.family.ID()] = state.frontier
		cursor.Complete[state.family.ID()] = state.complete
	}

	return cursor
}

// report tells the progress.
func (s *Scan) report(reorg *BlockStamp) {
	if s.cfg.Progress == nil {
		return
	}

	s.cfg.Progress(Progress{
		Height:   s.at.Height,
		Birthday: s.cfg.Birthday,
		Tip:      s.tip.Height,
		Pass:     s.pass,
		Outputs:  s.match.countInside(),
		Reorg:    reorg,
		Err:      s.faults.get(),
	})
}
