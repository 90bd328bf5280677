package loopd

import (
	"context"
	"fmt"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/swapdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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

// settledLoopIns are the states at the end of a static loop-in.
var settledLoopIns = map[looprpc.StaticAddressLoopInSwapState]bool{
	looprpc.StaticAddressLoopInSwapState_SUCCEEDED:                         true,
	looprpc.StaticAddressLoopInSwapState_SUCCEEDED_TRANSITIONING_FAILED:    true,
	looprpc.StaticAddressLoopInSwapState_HTLC_STATIC_ADDRESS_TIMEOUT_SWEPT: true,
	looprpc.StaticAddressLoopInSwapState_FAILED_STATIC_ADDRESS_SWAP:        true,
}

// swapServer is what is asked of the running daemon.
type swapServer interface {
	ListSwaps(context.Context, *looprpc.ListSwapsRequest) (
		*looprpc.ListSwapsResponse, error)

	ListStaticAddressSwaps(context.Context,
		*looprpc.ListStaticAddressSwapsRequest) (
		*looprpc.ListStaticAddressSwapsResponse, error)

	ListStaticAddressDeposits(context.Context,
		*looprpc.ListStaticAddressDepositsRequest) (
		*looprpc.ListStaticAddressDepositsResponse, error)

	ListInstantOuts(context.Context, *looprpc.ListInstantOutsRequest) (
		*looprpc.ListInstantOutsResponse, error)
}

// busyTask names something that the running daemon must not be interrupted in,
// or returns the empty string. package swapdb says the same of its database.
func busyTask(ctx context.Context, running swapServer) (string, error) {
	looks := []func(context.Context, swapServer) (string, error){
		busySwap, busyLoopIn, busyDeposit, busyInstantOut,
	}
	for _, look := range looks {
		task, err := look(ctx, running)
		if err != nil || task != "" {
			return task, err
		}
	}

	return "", nil
}

// busySwap names a loop-out or loop-in under way.
func busySwap(ctx context.Context, running swapServer) (string, error) {
	swaps, err := running.ListSwaps(ctx, &looprpc.ListSwapsRequest{
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

	return "", nil
}

// busyLoopIn names a static loop-in under way.
func busyLoopIn(ctx context.Context, running swapServer) (string, error) {
	loopIns, err := running.ListStaticAddressSwaps(
		ctx, &looprpc.ListStaticAddressSwapsRequest{},
	)
	if err != nil {
		return "", err
	}
	for _, swap := range loopIns.Swaps {
		if !settledLoopIns[swap.State] {
			return fmt.Sprintf("static loop-in %x (%v)",
				swap.SwapHash, swap.State), nil
		}
	}

	return "", nil
}

// busyDeposit names a deposit with which something is done.
func busyDeposit(ctx context.Context, running swapServer) (string, error) {
	deposits, err := running.ListStaticAddressDeposits(
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

// busyInstantOut names an instant out under way. A daemon without
// --experimental does not know the call.
func busyInstantOut(ctx context.Context, running swapServer) (string, error) {
	swaps, err := running.ListInstantOuts(
		ctx, &looprpc.ListInstantOutsRequest{},
	)
	if status.Code(err) == codes.Unimplemented {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, swap := range swaps.Swaps {
		if !swapdb.InstantOutSettled(swap.State) {
			return fmt.Sprintf("instant out %x (%v)",
				swap.SwapHash, swap.State), nil
		}
	}

	return "", nil
}
