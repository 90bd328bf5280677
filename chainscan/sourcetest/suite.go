package sourcetest

import (
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/chainscan/bip158"
	"github.com/stretchr/testify/require"
)

// TestSource holds a source of blocks to its contract. The chain is what it
// must give.
func TestSource(t *testing.T, source chainscan.Source, chain *Chain) {
	wanted, err := chain.BestBlock(t.Context())
	require.NoError(t, err)
	tip, err := source.BestBlock(t.Context())
	require.NoError(t, err)
	require.Equal(t, wanted, tip)
	require.NotEmpty(t, source.Name())

	for height, block := range chain.blocks {
		hash, err := source.BlockHash(t.Context(), int32(height))
		require.NoError(t, err)
		require.Equal(t, block.BlockHash(), hash)

		raw, err := source.Block(t.Context(), hash)
		require.NoError(t, err)
		inMemory, err := chain.Block(t.Context(), hash)
		require.NoError(t, err)
		require.Equal(t, inMemory, raw)
	}

	// What is not there is an error, and no empty block.
	_, err = source.BlockHash(t.Context(), tip.Height+1)
	require.Error(t, err)
	_, err = source.Block(t.Context(), chainhash.Hash{1})
	require.Error(t, err)
}

// TestFilters holds a source of filters to its contract: for each range it
// gives the chain's headers and filters, the first block first, and with filter
// headers those that build on each other.
func TestFilters(t *testing.T, source chainscan.FilterSource, chain *Chain) {
	last := int32(len(chain.blocks)) - 1
	for _, r := range [][2]int32{
		{0, last}, {0, 0}, {1, 1}, {last, last}, {last / 2, last},
		{1, last / 2}, {last - 1, last + 50},
	} {
		testRange(t, source, chain, r[0], r[1])
	}

	_, err := source.Filters(t.Context(), last+1, last+2)
	require.Error(t, err)
}

// testRange asks for all filters of a range.
func testRange(t *testing.T, source chainscan.FilterSource, chain *Chain,
	first, last int32) {

	tip := int32(len(chain.blocks)) - 1
	for first <= min(last, tip) {
		answer, err := source.Filters(t.Context(), first, last)
		require.NoError(t, err)
		require.NotEmpty(t, answer.Blocks)
		require.LessOrEqual(t, len(answer.Blocks), int(last-first)+1)

		committed := answer.Previous
		for i, block := range answer.Blocks {
			wanted := chain.filters[int(first)+i]
			require.Equal(t, wanted.Header, block.Header)
			require.Equal(t, wanted.Filter, block.Filter)
			if !answer.Committed {
				continue
			}
			require.Equal(
				t, wanted.FilterHeader, block.FilterHeader,
			)
			committed = bip158.Header(block.Filter, committed)
			require.Equal(t, committed, block.FilterHeader)
		}
		first += int32(len(answer.Blocks))
	}
}
