package chainscan

import (
	"math/bits"
	"slices"
)

const (
	// historyDense is the number of blocks below the highest one that a
	// history names without exception.
	historyDense = 144

	// historyShare is the share of its distance from the top that may lie
	// between two older blocks of a history, as a divisor.
	historyShare = 8
)

// history names blocks of the chain that was walked, by height.
type history []BlockStamp

// top returns the highest block, and false for an empty history.
func (h history) top() (BlockStamp, bool) {
	if len(h) == 0 {
		return BlockStamp{}, false
	}

	return h[len(h)-1], true
}

// at returns the block of a height, and false if the history does not name it.
func (h history) at(height int32) (BlockStamp, bool) {
	i, ok := slices.BinarySearchFunc(h, height, compareHeight)
	if !ok {
		return BlockStamp{}, false
	}

	return h[i], true
}

// compareHeight orders a block and a height.
func compareHeight(stamp BlockStamp, height int32) int {
	return int(stamp.Height) - int(height)
}

// push appends a block above all others. It does not thin the history out.
func (h *history) push(stamp BlockStamp) {
	*h = append(*h, stamp)
}

// truncate forgets all blocks above a height.
func (h *history) truncate(height int32) {
	i, _ := slices.BinarySearchFunc(*h, height+1, compareHeight)
	*h = (*h)[:i]
}

// thin forgets older blocks, the more the farther below the top, and never the
// lowest one. It keeps the given number below the top without exception.
func (h *history) thin(dense int32) {
	top, ok := h.top()
	if !ok {
		return
	}

	kept := (*h)[:1]
	for _, stamp := range (*h)[1:] {
		distance := top.Height - stamp.Height
		if distance <= dense ||
			stamp.Height%historyStep(distance) == 0 {

			kept = append(kept, stamp)
		}
	}
	*h = kept
}

// historyStep returns the distance between two blocks of a history at a
// distance from its top: a power of two, so that whoever is kept at a distance
// was kept at all smaller ones.
func historyStep(distance int32) int32 {
	return 1 << max(bits.Len32(uint32(distance)/historyShare)-1, 0)
}
