package chainscan

import (
	"context"
	"errors"
	"fmt"
)

// errOtherChain says that a filter source follows another chain than lnd.
var errOtherChain = errors.New("its best chain is not that of lnd")

// walkFilters walks the blocks above the cursor up to a height, and fetches
// only those that a filter source's filters do not rule out.
func (s *Scan) walkFilters(ctx context.Context, source *feedSource,
	to int32) error {

	stream := newFilterStream(ctx, source, s.at.Height+1, to)
	defer stream.stop()

	for s.at.Height < to {
		blocks, err := stream.next(ctx)
		if err == nil {
			err = s.anchor(ctx, blocks)
		}
		var passing *passingError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()

		case errors.As(err, &passing):
			return err

		case err != nil:
			s.feed.failed(source, err)

			return &passingError{err: fmt.Errorf("%s: %w",
				source.Name(), err)}
		}

		if err := s.walkRange(ctx, source, blocks); err != nil {
			return err
		}
		s.feed.succeeded(source)
	}

	return s.commit(ctx)
}

// anchor holds a range against lnd's chain: its last block must be there, and
// with it all before.
func (s *Scan) anchor(ctx context.Context, blocks []block) error {
	last := blocks[len(blocks)-1].BlockStamp
	hash, err := s.source.BlockHash(ctx, last.Height)
	if err != nil {
		return s.sourceError(last, err)
	}
	if hash != last.Hash {
		return fmt.Errorf("%w: block %d is %v there and %v here",
			errOtherChain, last.Height, hash, last.Hash)
	}

	return nil
}

// walkRange walks blocks of which the filters are known. Scripts that become
// known on the way are asked for in the filters that are left.
func (s *Scan) walkRange(ctx context.Context, source *feedSource,
	blocks []block) error {

	for len(blocks) > 0 {
		if err := s.focus(ctx); err != nil {
			return err
		}
		hits, err := s.sieve.match(s.match.filterScripts(), blocks)
		if err != nil {
			s.feed.failed(source, err)

			return &passingError{err: err}
		}

		walked, err := s.walkHits(ctx, blocks, hits)
		if err != nil {
			return err
		}
		blocks = blocks[walked:]
	}

	return nil
}

// walkHits walks blocks, of which the hits are fetched, until the scripts that
// are tested change. It returns how many it walked.
func (s *Scan) walkHits(ctx context.Context, blocks []block, hits []bool) (int,
	error) {

	var heights []int32
	for i, hit := range hits {
		if hit {
			heights = append(heights, blocks[i].Height)
		}
	}
	fetcher := s.newFetcher(ctx, heights)
	defer fetcher.stop()

	generation := s.match.generation
	for i, blk := range blocks {
		if err := s.focus(ctx); err != nil {
			return 0, err
		}
		if s.match.generation != generation {
			return i, nil
		}

		var err error
		if hits[i] {
			err = s.advanceFetched(ctx, fetcher, &blk)
		} else {
			s.ruledOut++
			err = s.advance(ctx, blk)
		}
		if err == nil && s.due() {
			err = s.commit(ctx)
		}
		if err != nil {
			return 0, err
		}
	}

	return len(blocks), nil
}

// newFetcher begins to fetch the blocks of some heights.
func (s *Scan) newFetcher(ctx context.Context, heights []int32) *fetcher {
	return newFetcher(
		ctx, s.cfg.Source, s.nodes, s.pace, &s.tuning, &s.faults,
		heights,
	)
}

// advanceFetched takes the next block from the fetcher and walks it. If its
// filter is known it must be the block that the filter is of.
func (s *Scan) advanceFetched(ctx context.Context, fetcher *fetcher,
	filtered *block) error {

	blk, err := s.receive(ctx, fetcher)
	if err != nil {
		return err
	}
	defer fetcher.release(blk)

	if filtered != nil {
		if blk.BlockStamp != filtered.BlockStamp {
			return &passingError{err: errReorg}
		}
		blk.filter = filtered.filter
	}
	s.blocks++

	return s.advance(ctx, blk)
}

// receive waits for the fetcher's next block, and looks meanwhile whether the
// chain has changed. What was found before a missing block is saved.
func (s *Scan) receive(ctx context.Context, fetcher *fetcher) (block, error) {
	for {
		blk, err := fetcher.next(ctx, s.tuning.patience)
		switch {
		case err == nil:
			return blk, nil

		case !errors.Is(err, errStalled):
			err = s.unavailable(ctx, err)
			if saveErr := s.commit(ctx); saveErr != nil {
				err = saveErr
			}

			return block{}, err
		}

		if err := s.stalled(ctx); err != nil {
			return block{}, err
		}
		if s.due() {
			if err := s.commit(ctx); err != nil {
				return block{}, err
			}
		}
	}
}
