package loopd

import (
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/stretchr/testify/require"
)

// TestProofIsTold checks what the status says while the chain is searched: how
// far that has come and how long it takes, or which block is not to be had.
func TestProofIsTold(t *testing.T) {
	walking := proof{height: 2_000, tip: 12_000}
	require.Empty(t, proof{}.String())
	require.Equal(t, "; searched up to block 2000 of 12000",
		walking.String())

	walking.estimate(1_000, 10*time.Second)
	require.Equal(t, "; searched up to block 2000 of 12000, about 1m40s "+
		"left", walking.String())

	// Nothing was walked, so that nothing is known.
	resting := proof{height: 2_000, tip: 12_000}
	resting.estimate(2_000, time.Second)
	require.Zero(t, resting.left)

	walking.err = &chainscan.UnavailableError{
		Block: chainscan.BlockStamp{
			Height: 2_001, Hash: chainhash.Hash{1},
		},
		Err: chainscan.ErrUnavailable,
	}
	require.Contains(t, walking.String(), "does not have block 2001")
}
