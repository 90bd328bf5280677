// Package memorytest is the suite that every keeper.Memory passes.
package memorytest

import (
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/stretchr/testify/require"
)

// Run runs the suite. Each call of open returns an empty memory, and what opens
// the same one again, as the next life of the process does.
func Run(t *testing.T, open func(t *testing.T) (memory keeper.Memory,
	again func() keeper.Memory)) {

	t.Run("pairs", func(t *testing.T) { testPairs(t, open) })
	t.Run("mounts", func(t *testing.T) { testMounts(t, open) })
}

// testPairs checks that the strongest proof of a pair is kept, and the first
// one of equal strength.
func testPairs(t *testing.T, open func(t *testing.T) (keeper.Memory,
	func() keeper.Memory)) {

	ctx := t.Context()
	memory, again := open(t)
	id := keeper.PairID{
		TokenID: [32]byte{1, 2}, ClientKey: [33]byte{2, 3},
	}
	pair, err := memory.Pair(ctx, id)
	require.NoError(t, err)
	require.Nil(t, pair)

	when := time.Unix(1_700_000_000, 123)
	for i, step := range []struct{ given, kept keeper.Proof }{
		{keeper.Accepted, keeper.Accepted},
		{keeper.BackedUp, keeper.BackedUp},
		{keeper.Accepted, keeper.BackedUp},
		{keeper.Seen, keeper.BackedUp},
	} {
		err := memory.RecordPair(ctx, keeper.Pair{
			PairID: id, Proof: step.given,
			When: when.Add(time.Duration(i) * time.Hour),
		})
		require.NoError(t, err)
		pair, err := memory.Pair(ctx, id)
		require.NoError(t, err)
		require.Equal(t, step.kept, pair.Proof)
		require.Equal(t, id, pair.PairID)
	}

	memory = again()
	pair, err = memory.Pair(ctx, id)
	require.NoError(t, err)
	require.True(t, pair.When.Equal(when.Add(time.Hour)))

	// Both halves make the pair.
	id.ClientKey[32] = 1
	pair, err = memory.Pair(ctx, id)
	require.NoError(t, err)
	require.Nil(t, pair)
}

// testMounts checks that the last mount root of each place is kept.
func testMounts(t *testing.T, open func(t *testing.T) (keeper.Memory,
	func() keeper.Memory)) {

	ctx := t.Context()
	memory, again := open(t)
	root, err := memory.MountRoot(ctx, "/mnt/usb")
	require.NoError(t, err)
	require.Empty(t, root)

	for _, root := range []string{"/", "/mnt/usb"} {
		err = memory.RecordMountRoot(ctx, "/mnt/usb", root)
		require.NoError(t, err)
	}
	require.NoError(t, memory.RecordMountRoot(ctx, "/mnt/other", "/mnt"))
	root, err = again().MountRoot(ctx, "/mnt/usb")
	require.NoError(t, err)
	require.Equal(t, "/mnt/usb", root)
}
