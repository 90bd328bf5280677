package loopd

import (
	"testing"

	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/stretchr/testify/require"
)

// TestOwnsKey checks that an lnd of another seed is told by the key of the
// static address, and that a row with a wrong index is not taken for another
// seed: it would hold back the swap client of somebody whose lnd is the right
// one.
func TestOwnsKey(t *testing.T) {
	world := twin.NewWorld()
	node := world.Deps().Node
	owns := func(index uint32) bool {
		row, err := world.NewContent("a", 3).Address.Parameters()
		require.NoError(t, err)
		world.Lnd.Replace("client")
		row.KeyLocator.Index = index
		found, err := ownsKey(t.Context(), node, row, twin.IndexBound)
		require.NoError(t, err)

		return found
	}
	require.True(t, owns(3))
	require.True(t, owns(5))

	// The address is made with another seed.
	world.Lnd.Replace("mallory")
	require.False(t, owns(3))

	// Without an answer there is no verdict.
	row, err := world.NewContent("a", 3).Address.Parameters()
	require.NoError(t, err)
	world.SetLnd(twin.ErrLndDown)
	_, err = ownsKey(t.Context(), node, row, twin.IndexBound)
	require.ErrorIs(t, err, twin.ErrLndDown)
}
