package chainscan

import (
	"context"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// align makes sure that the blocks walked are on the best chain, and rolls back
// to the last one that is if the best chain contradicts them. One that ends
// lower, and does not, is that of a node that is catching up.
func (s *Scan) align(ctx context.Context) error {
	last, contradicted, err := s.lastCommon(ctx)
	top, walked := s.history.top()
	switch {
	case err != nil:
		return err

	case contradicted:
		s.rollBack(last)

	case walked && top.Height > s.tip.Height:
		return &passingError{err: ErrBehind}
	}

	return s.alignCursor(ctx)
}

// lastCommon returns the highest known block that is on the best chain, the
// one before the birthday if none is, and whether the best chain has another
// block where a higher one is known.
func (s *Scan) lastCommon(ctx context.Context) (BlockStamp, bool, error) {
	contradicted := false
	for _, stamp := range slices.Backward(s.history) {
		if stamp.Height > s.tip.Height {
			continue
		}

		on, err := s.onBestChain(ctx, stamp)
		if err != nil || on {
			return stamp, contradicted, err
		}
		contradicted = true
	}

	return BlockStamp{Height: s.cfg.Birthday - 1}, contradicted, nil
}

// alignCursor makes sure that the cursor is on the best chain, where the
// highest block walked is. In a later pass it can have strayed to a branch that
// was the best chain for a while.
func (s *Scan) alignCursor(ctx context.Context) error {
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
func (s *Scan) onBestChain(ctx context.Context, stamp BlockStamp) (bool,
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
func (s *Scan) rollBack(to BlockStamp) {
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
func (s *Scan) follows(blk block) bool {
	var none chainhash.Hash
	if s.at.Hash != none && headerPrevious(blk.raw) != s.at.Hash {
		return false
	}

	known, ok := s.history.at(blk.Height)

	return !ok || known.Hash == blk.Hash
}

// stalled looks, while a block does not arrive, whether the chain has changed.
func (s *Scan) stalled(ctx context.Context) error {
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
