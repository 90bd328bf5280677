package chainscan

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/chainscan/bip158"
)

// FilterSource yields compact filters, by which most blocks need not be
// fetched. The scanner calls it from a goroutine of its own, one call at a
// time, with a deadline. What it says is checked, so that it need not be
// trusted further than Filters says.
type FilterSource interface {
	// Name says what the source is, for the log and the coverage report.
	Name() string

	// Filters returns the headers and filters of the best chain's blocks
	// from one height to another, or of as many of the first of them as
	// the source has or likes to give at once, one at least.
	Filters(ctx context.Context, first, last int32) (*FilterRange, error)
}

// FilterRange is a number of consecutive blocks with their filters.
type FilterRange struct {
	// Blocks are the blocks.
	Blocks []FilteredBlock

	// Committed says that the source gives filter headers (BIP 157), with
	// which the scanner checks that no filter was damaged. Without them
	// the source must have done that.
	Committed bool

	// Previous is the filter header of the block before the first.
	Previous chainhash.Hash
}

// FilteredBlock is what a filter source says of a block.
type FilteredBlock struct {
	// Header is the serialised header.
	Header []byte

	// Filter is the basic filter (BIP 158), with the number of its
	// elements before it.
	Filter []byte

	// FilterHeader is the filter header (BIP 157).
	FilterHeader chainhash.Hash
}

// errWrongFilters says that a filter source contradicts itself, or lnd.
var errWrongFilters = errors.New("its filters are not those of the chain")

// verify checks a range by itself: that its blocks follow each other, and its
// filters what the filter headers commit to. It returns the blocks by header
// and filter, the first of which is at the given height.
func (r *FilterRange) verify(first, last int32) ([]block, error) {
	if len(r.Blocks) == 0 || len(r.Blocks) > int(last-first)+1 {
		return nil, fmt.Errorf("%w: %d blocks for the heights %d to %d",
			errWrongFilters, len(r.Blocks), first, last)
	}

	var (
		blocks    = make([]block, len(r.Blocks))
		committed = r.Previous
	)
	for i := range r.Blocks {
		filtered, height := &r.Blocks[i], first+int32(i)
		if len(filtered.Header) != headerSize {
			return nil, fmt.Errorf("%w: a header of %d bytes",
				errWrongFilters, len(filtered.Header))
		}

		committed = bip158.Header(filtered.Filter, committed)
		if r.Committed && committed != filtered.FilterHeader {
			return nil, fmt.Errorf("%w: the filter header of "+
				"block %d", errWrongFilters, height)
		}

		blocks[i] = block{
			BlockStamp: BlockStamp{
				Height: height,
				Hash: chainhash.DoubleHashH(
					filtered.Header,
				),
			},
			raw:    filtered.Header,
			filter: filtered.Filter,
		}
		if i > 0 && headerPrevious(blocks[i].raw) != blocks[i-1].Hash {
			return nil, fmt.Errorf("%w: block %d does not follow "+
				"the one before", errWrongFilters, height)
		}
	}

	return blocks, nil
}
