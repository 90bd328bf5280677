package actions

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

const (
	// birthdayMargin is how far before the height at the token's creation
	// a scan starts, in blocks: about a day, more than a block's time can
	// be wrong (two hours ahead, about one hour behind).
	birthdayMargin = 144

	// lowestBirthday is the first block that can hold a deposit: no output
	// of the genesis block can be spent.
	lowestBirthday = 1

	// medianBlocks is the number of blocks whose median time never goes
	// backwards along a chain (consensus rule, BIP 113).
	medianBlocks = 11
)

// birthday returns the height at which the scan of a generation starts: the
// lower of the address's first height and the height at the token's creation
// less a margin. The first height alone does not do: a restore by other
// software sets it to the height of the restore.
func (r *run) birthday(ctx context.Context, generation *Generation) (int32,
	error) {

	tip, err := r.Chain.BestBlock(ctx)
	if err != nil {
		return 0, err
	}

	if generation.FirstHeight > tip.Height {
		return 0, &BlockError{
			Reason: states.BirthdayAboveTip,
			Detail: fmt.Sprintf("address of height %d, tip %d",
				generation.FirstHeight, tip.Height),
		}
	}

	created, err := r.heightAt(ctx, generation.Created(), tip.Height)
	if err != nil {
		return 0, err
	}

	height := min(generation.FirstHeight, created-birthdayMargin)

	return max(height, lowestBirthday), nil
}

// BirthdayInPlace returns the height from which on an address that is in place
// can have been paid: that of a rescan. Without its token the row alone tells,
// which other software may have written late.
func BirthdayInPlace(ctx context.Context, deps Deps,
	row *script.Parameters) (int32, error) {

	r := newRun(deps, "")
	probe, err := r.Tokens.Probe()
	if err != nil {
		return 0, err
	}
	if probe.Status != generation.TokenPaid {
		return max(row.InitiationHeight-birthdayMargin, lowestBirthday),
			nil
	}

	found, err := newGeneration(
		r.Network, probe.Token.ID, probe.Token.Created,
		staticaddr.FromParameters(row), r.Node.Params(),
	)
	if err != nil {
		return 0, err
	}

	return r.birthday(ctx, found)
}

// heightAt returns the lowest height up to the tip at which the median time of
// the chain has reached the given time, or the height above the tip if there is
// none. Times of single blocks go back and forth; the median does not, so that
// it can be searched by halving.
func (r *run) heightAt(ctx context.Context, when time.Time, tip int32) (int32,
	error) {

	var (
		times  = make(map[int32]time.Time)
		failed error
	)
	height := sort.Search(int(tip)+1, func(height int) bool {
		if failed != nil {
			return true
		}

		var median time.Time
		median, failed = r.medianTime(ctx, int32(height), times)

		return failed != nil || !median.Before(when)
	})

	return int32(height), failed
}

// medianTime returns the median time of the blocks that end with the given
// height. It keeps the times that it asked for.
func (r *run) medianTime(ctx context.Context, height int32,
	known map[int32]time.Time) (time.Time, error) {

	var times []time.Time
	for at := max(0, height-medianBlocks+1); at <= height; at++ {
		blockTime, ok := known[at]
		if !ok {
			var err error
			blockTime, err = r.Chain.BlockTime(ctx, at)
			if err != nil {
				return time.Time{}, err
			}
			known[at] = blockTime
		}
		times = append(times, blockTime)
	}
	slices.SortFunc(times, time.Time.Compare)

	return times[len(times)/2], nil
}
