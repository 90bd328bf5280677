package chainscan

import (
	"context"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// align makes sure that the blocks walked are on the best chain, and rolls back
// to the last one that is if not.
func (s *scan) align(ctx context.Context) error {
	proven := false
	for i, stamp := range slices.Backward(s.history) {
		if stamp.Height > s.tip.Height {
			continue
		}

		on, err := s.onBestChain(ctx, stamp)
		switch {
		case err != nil:
			return err

		case on && i == len(s.history)-1:
			return s.alignCursor(ctx)

		case on:
			return s.leave(stamp, proven)
		}
		proven = true
	}

	switch {
	case len(s.history) == 0:
		return nil

	case !proven:
		return &passingError{err: errBehind}
	}
	s.rollBack(BlockStamp{Height: s.cfg.Birthday - 1})

	return nil
}

// leave rolls back to the last block that is on the best chain. It is no reorg
// if the best chain ends far below what was walked and does not contradict it:
// then the node is catching up.
func (s *scan) leave(last BlockStamp, proven bool) error {
	top, _ := s.history.top()
	if !proven && top.Height-s.tip.Height > s.tuning.historyDense {
		return &passingError{err: errBehind}
	}
	s.rollBack(last)

	return nil
}

// alignCursor makes sure that the cursor is on the best chain, where the
// highest block walked is. In a later pass it can have strayed to a branch that
// was the best chain for a while.
func (s *scan) alignCursor(ctx context.Context) error {
	top, _ := s.history.top()
	if s.at.Height < s.cfg.Birthday || s.at == top {
		return nil
	}

	on, err := s.onBestChain(ctx, s.at)
	if err != nil || on {
		return err
	}

	to := BlockStamp{Height: s.cfg.Birthday - 1}
	for _, stamp := range s.history {
		if stamp.Height < s.at.Height {
			to = stamp
		}
	}
	s.rollBack(to)

	return nil
}

// onBestChain tells whether a block is on the best chain.
func (s *scan) onBestChain(ctx context.Context, stamp BlockStamp) (bool,
	error) {

	if stamp.Height == s.tip.Height {
		return stamp.Hash == s.tip.Hash, nil
	}

	hash, err := s.source.BlockHash(ctx, stamp.Height)
	if err != nil {
		return false, s.sourceError(
			BlockStamp{Height: stamp.Height}, err,
		)
	}

	return hash == stamp.Hash, nil
}

// rollBack forgets everything above a block, after a reorg.
func (s *scan) rollBack(to BlockStamp) {
	log.Infof("Reorg: the scan goes back from height %d to %d (%v)",
		s.at.Height, to.Height, to.Hash)

	if s.at.Height > to.Height {
		s.at = to
	}
	if s.passed.Height > to.Height {
		s.passed = to
	}
	if s.rollback == nil || s.rollback.Height > to.Height {
		s.rollback = &to
	}

	s.history.truncate(to.Height)
	s.match.rollBack(to.Height)
	if s.record != nil {
		s.record.truncate(to.Height)
	}
}

// follows tells whether a block is the next one of the chain walked.
func (s *scan) follows(blk block) bool {
	var none chainhash.Hash
	if s.at.Hash != none && headerPrevious(blk.raw) != s.at.Hash {
		return false
	}

	known, ok := s.history.at(blk.Height)

	return !ok || known.Hash == blk.Hash
}

// stalled looks, while a block does not arrive, whether the chain has changed.
func (s *scan) stalled(ctx context.Context) error {
	if s.faults.get() != nil {
		s.report(nil)
	}

	tip, err := s.source.BestBlock(ctx)
	if err != nil {
		return nil
	}
	if tip.Height <= s.at.Height {
		return &passingError{err: errReorg}
	}

	s.tip = tip
	top, ok := s.history.top()
	if !ok || top.Height > tip.Height {
		return nil
	}
	on, err := s.onBestChain(ctx, top)
	if err != nil || on {
		return nil
	}

	return &passingError{err: errReorg}
}
