package loopd

import (
	"context"
	"fmt"

	"github.com/lightninglabs/loop/looprpc"
)

// settledDeposits are the states of a deposit in which nothing is under way.
var settledDeposits = map[looprpc.DepositState]bool{
	looprpc.DepositState_DEPOSITED:          true,
	looprpc.DepositState_WITHDRAWN:          true,
	looprpc.DepositState_LOOPED_IN:          true,
	looprpc.DepositState_EXPIRED:            true,
	looprpc.DepositState_HTLC_TIMEOUT_SWEPT: true,
	looprpc.DepositState_CHANNEL_PUBLISHED:  true,
}

// busyTask names something that the embedded daemon must not be interrupted
// in, or returns the empty string.
func busyTask(ctx context.Context, running *cycle) (string, error) {
	daemon := running.daemon
	swaps, err := daemon.ListSwaps(ctx, &looprpc.ListSwapsRequest{
		ListSwapFilter: &looprpc.ListSwapsFilter{PendingOnly: true},
	})
	if err != nil {
		return "", err
	}
	for _, swap := range swaps.Swaps {
		switch swap.State {
		case looprpc.SwapState_SUCCESS, looprpc.SwapState_FAILED:

		default:
			return fmt.Sprintf("swap %x (%v)", swap.IdBytes,
				swap.State), nil
		}
	}

	loopIns, err := daemon.ListStaticAddressSwaps(
		ctx, &looprpc.ListStaticAddressSwapsRequest{},
	)
	if err != nil {
		return "", err
	}
	for _, swap := range loopIns.Swaps {
		switch swap.State {
		case looprpc.StaticAddressLoopInSwapState_SUCCEEDED,
			looprpc.StaticAddressLoopInSwapState_SUCCEEDED_TRANSITIONING_FAILED,
			looprpc.StaticAddressLoopInSwapState_HTLC_STATIC_ADDRESS_TIMEOUT_SWEPT,
			looprpc.StaticAddressLoopInSwapState_FAILED_STATIC_ADDRESS_SWAP:

		default:
			return fmt.Sprintf("static loop-in %x (%v)",
				swap.SwapHash, swap.State), nil
		}
	}

	deposits, err := daemon.ListStaticAddressDeposits(
		ctx, &looprpc.ListStaticAddressDepositsRequest{},
	)
	if err != nil {
		return "", err
	}
	for _, deposit := range deposits.FilteredDeposits {
		if !settledDeposits[deposit.State] {
			return fmt.Sprintf("deposit %s (%v)", deposit.Outpoint,
				deposit.State), nil
		}
	}

	return "", nil
}
