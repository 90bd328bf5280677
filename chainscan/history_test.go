package chainscan

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHistory: a history stays small on a long chain, names every recent block,
// and older ones so that a reorg costs no more than a share of its depth.
func TestHistory(t *testing.T) {
	t.Parallel()

	const (
		first = 5
		top   = 900_000
		dense = historyDense
	)

	var h history
	for height := int32(first); height <= top; height++ {
		h.push(BlockStamp{Height: height})
		if height%100 == 0 {
			h.thin(dense)
		}
	}
	h.thin(dense)
	require.Less(t, len(h), 400)
	require.EqualValues(t, first, h[0].Height)

	for i, stamp := range h[1:] {
		gap, distance := stamp.Height-h[i].Height, top-h[i].Height
		if distance <= dense {
			require.EqualValues(t, 1, gap)
		}
		require.LessOrEqual(t, gap, 1+distance/historyShare)
	}

	// Thinning again changes nothing: no block is needed that an earlier
	// thinning took.
	before := len(h)
	h.thin(dense)
	require.Len(t, h, before)

	_, ok := h.at(top - dense)
	require.True(t, ok)
	_, ok = h.at(first + 1)
	require.False(t, ok)

	h.truncate(top - 3)
	last, ok := h.top()
	require.True(t, ok)
	require.EqualValues(t, top-3, last.Height)

	h.truncate(first - 1)
	require.Empty(t, h)
	h.thin(dense)
	_, ok = h.top()
	require.False(t, ok)
}
