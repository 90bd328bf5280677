package swapdb

import (
	"context"
	"fmt"
	"slices"

	"github.com/lightninglabs/loop/fsm"
	"github.com/lightninglabs/loop/instantout"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/staticaddr/deposit"
	"github.com/lightninglabs/loop/staticaddr/loopin"
	"github.com/lightningnetwork/lnd/clock"
)

// InFlight names something that the embedded daemon will go on with at its next
// start, and must not be kept from: a swap, a static loop-in, a deposit that is
// being withdrawn, swept or spent to open a channel. It returns the empty
// string if there is nothing. It says what the running daemon would say.
//
// A swap that failed for a passing cause counts here: the daemon remembers that
// only while it runs, and goes on with the swap at its next start.
func (d *DB) InFlight(ctx context.Context) (string, error) {
	base, err := d.open(ctx, false)
	if err != nil || base == nil {
		return "", err
	}

	looks := []func(context.Context, *loopdb.BaseDB) (string, error){
		d.swapInFlight, d.loopInInFlight, d.depositInFlight,
	}
	if d.cfg.InstantOuts {
		looks = append(looks, d.instantOutInFlight)
	}
	for _, look := range looks {
		task, err := look(ctx, base)
		if err != nil || task != "" {
			return task, d.typed(err)
		}
	}

	return "", nil
}

// swapInFlight names a loop-out or loop-in in flight.
func (d *DB) swapInFlight(ctx context.Context, base *loopdb.BaseDB) (string,
	error) {

	var hashes [][]byte
	outs, err := base.GetLoopOutSwaps(ctx)
	if err != nil {
		return "", err
	}
	for _, swap := range outs {
		hashes = append(hashes, swap.SwapHash)
	}
	ins, err := base.GetLoopInSwaps(ctx)
	if err != nil {
		return "", err
	}
	for _, swap := range ins {
		hashes = append(hashes, swap.SwapHash)
	}

	for _, hash := range hashes {
		updates, err := base.GetSwapUpdates(ctx, hash)
		if err != nil {
			return "", err
		}
		state := loopdb.StateInitiated
		if len(updates) > 0 {
			last := updates[len(updates)-1]
			state = loopdb.SwapState(last.UpdateState)
		}
		if pending(state) {
			return fmt.Sprintf("swap %x (%v)", hash, state), nil
		}
	}

	return "", nil
}

// pending reports whether a swap goes on. Two states that upstream calls
// pending are shown as failed: one is left only by a restart, the other waits
// for a timeout, after which there is time.
func pending(state loopdb.SwapState) bool {
	return state.IsPending() && state != loopdb.StateFailTemporary &&
		state != loopdb.StateFailIncorrectHtlcAmt
}

// loopInInFlight names a static loop-in in flight.
func (d *DB) loopInInFlight(ctx context.Context, base *loopdb.BaseDB) (string,
	error) {

	store := loopin.NewSqlStore(
		loopdb.NewTypedStore[loopin.Querier](base),
		clock.NewDefaultClock(), d.cfg.Params,
	)
	swaps, err := store.GetStaticAddressLoopInSwapsByStates(
		ctx, loopin.AllStates,
	)
	if err != nil {
		return "", err
	}
	for _, swap := range swaps {
		if !slices.Contains(loopin.FinalStates, swap.GetState()) {
			return fmt.Sprintf("static loop-in %x (%v)",
				swap.SwapHash[:], swap.GetState()), nil
		}
	}

	return "", nil
}

// depositInFlight names a deposit with which something is done.
func (d *DB) depositInFlight(ctx context.Context, base *loopdb.BaseDB) (string,
	error) {

	deposits, err := d.deposits(ctx, base)
	if err != nil {
		return "", err
	}
	for _, row := range deposits {
		if !row.IsInFinalState() && !row.IsInState(deposit.Deposited) {
			return fmt.Sprintf("deposit %s (%v)", row.OutPoint,
				row.GetState()), nil
		}
	}

	return "", nil
}

// InstantOutSettled reports whether an instant out is at its end in a state.
func InstantOutSettled(state string) bool {
	switch fsm.StateType(state) {
	case instantout.Failed, instantout.FinishedHtlcPreimageSweep,
		instantout.FinishedSweeplessSweep:

		return true

	default:
		return false
	}
}

// instantOutInFlight names an instant out in flight.
func (d *DB) instantOutInFlight(ctx context.Context, base *loopdb.BaseDB) (
	string, error) {

	swaps, err := base.GetInstantOutSwaps(ctx)
	if err != nil {
		return "", err
	}
	for _, swap := range swaps {
		updates, err := base.GetInstantOutSwapUpdates(
			ctx, swap.SwapHash,
		)
		if err != nil {
			return "", err
		}
		if len(updates) == 0 {
			continue
		}
		state := updates[len(updates)-1].UpdateState
		if !InstantOutSettled(state) {
			return fmt.Sprintf("instant out %x (%v)",
				swap.SwapHash, state), nil
		}
	}

	return "", nil
}
