package btcrpc

import (
	"context"
	"fmt"

	"github.com/looprecovery/looprecovery/chainscan"
)

// Filters returns the headers and filters of up to maxRange blocks, in two
// batches.
func (s *Source) Filters(ctx context.Context, first, last int32) (
	*chainscan.FilterRange, error) {

	if s.dialect.Load() == nil {
		if err := s.Probe(ctx); err != nil {
			return nil, err
		}
	}

	// The block before the first tells what its filter header builds on.
	from := max(first-1, 0)
	hashes, err := s.hashes(ctx, from, min(last, first+maxRange-1))
	if err != nil {
		return nil, err
	}
	blocks, err := s.filtered(ctx, hashes)
	if err != nil {
		return nil, err
	}

	answer := &chainscan.FilterRange{Committed: true, Blocks: blocks}
	if from < first {
		answer.Previous = blocks[0].FilterHeader
		answer.Blocks = blocks[1:]
	}
	if len(answer.Blocks) == 0 {
		return nil, fmt.Errorf("%w: no block %d", ErrAnswer, first)
	}

	return answer, nil
}

// hashes returns the hashes of the best chain's blocks from one height to
// another, as text, or to the tip.
func (s *Source) hashes(ctx context.Context, first, last int32) ([]string,
	error) {

	var calls []call
	for height := first; height <= last; height++ {
		calls = append(calls, call{
			method: "getblockhash", params: []any{height},
		})
	}
	replies, err := s.client.batch(ctx, calls)
	if err != nil {
		return nil, err
	}

	var hashes []string
	for i := range replies {
		var hash string
		err := replies[i].decode(&hash)
		if err != nil && i == 0 {
			return nil, fmt.Errorf("getblockhash %d: %w", first,
				err)
		}
		if err != nil {
			break
		}
		hashes = append(hashes, hash)
	}

	return hashes, nil
}

// filtered returns headers and filters of some blocks.
func (s *Source) filtered(ctx context.Context, hashes []string) (
	[]chainscan.FilteredBlock, error) {

	var (
		dialect = s.dialect.Load()
		calls   []call
	)
	for _, hash := range hashes {
		calls = append(calls, dialect.calls(hash)...)
	}
	replies, err := s.client.batch(ctx, calls)
	if err != nil {
		return nil, err
	}

	blocks, each := make([]chainscan.FilteredBlock, len(hashes)),
		len(calls)/len(hashes)
	for i, hash := range hashes {
		err := dialect.read(replies[i*each:(i+1)*each], &blocks[i])
		if err != nil {
			return nil, fmt.Errorf("filter of block %s: %w", hash,
				err)
		}
	}

	return blocks, nil
}
