package keeper_test

import (
	"testing"

	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/internal/keeper/memorytest"
)

// TestRAM runs the suite of memories on the one of the tests.
func TestRAM(t *testing.T) {
	memorytest.Run(t, func(*testing.T) (keeper.Memory,
		func() keeper.Memory) {

		memory := keeper.NewRAM()

		return memory, func() keeper.Memory { return memory }
	})
}
