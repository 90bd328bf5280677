package chainscan_test

import (
	"testing"

	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/chainscan/checkpointtest"
)

// TestMemoryCheckpoint tries the checkpoint in memory.
func TestMemoryCheckpoint(t *testing.T) {
	t.Parallel()

	checkpointtest.Run(t, func(*testing.T) checkpointtest.Open {
		store := chainscan.NewMemoryCheckpoint()

		return func() chainscan.Checkpoint {
			return store
		}
	})
}
