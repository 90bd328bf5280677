package lndview

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
)

// Status is the View's state for the operator.
type Status struct {
	// Blind are the scripts in place that no scan has covered: that lnd's
	// wallet sees all that was paid to them is not proven, and what it does
	// not list is reported provisionally.
	Blind [][]byte

	// Covered are the scripts whose outputs are known from a scan.
	Covered [][]byte

	// Provisional is the number of rows that the last answer reported
	// without proof.
	Provisional int

	// Unspent and UnspentValue are the number and the sum of the proven
	// outputs that no block spends.
	Unspent      int
	UnspentValue btcutil.Amount

	// Spent is the number of proven outputs that a block spends.
	Spent int

	// Publications is the number of our own spends that are waited for.
	Publications int

	// Followed is the last block that was walked; nil if no script is
	// covered.
	Followed *chainscan.BlockStamp

	// Unproven says that the ledger was lost or cannot be read.
	Unproven bool

	// Lagging is why the chain was not followed to the tip of the last
	// answer, nil if it was.
	Lagging error

	// Trouble is why the ledger cannot be read or written at the moment,
	// so that answers rest on memory alone; nil if it can.
	Trouble error
}

// AnyBlind says whether there is a script for which lnd's wallet may be blind.
func (s Status) AnyBlind() bool {
	return len(s.Blind) > 0
}

// Status returns the state as of the last answer. It never waits.
func (v *View) Status() Status {
	var (
		state  = v.state.Load()
		status = Status{
			Provisional:  int(v.provisional.Load()),
			Publications: len(state.Publications),
			Unproven:     state.Unproven,
		}
	)
	if trouble := v.troubled.Load(); trouble != nil {
		status.Trouble = *trouble
	}
	if lagging := v.lagging.Load(); lagging != nil {
		status.Lagging = *lagging
	}
	for _, script := range state.Scripts {
		if script.Covered() {
			status.Covered = append(status.Covered, script.PkScript)
		}
	}
	status.Blind = v.Unproven()
	for _, output := range state.Outputs {
		if output.Spend != nil {
			status.Spent++

			continue
		}
		status.Unspent++
		status.UnspentValue += output.Value
	}
	if cursor, ok := state.Cursor(); ok {
		status.Followed = &cursor
	}

	return status
}

// Provisional returns the outpoints that are reported without proof: lnd's
// wallet neither lists nor owns them, and no scan has settled them, or the
// chain could not be followed to its tip. A call that would spend one of them
// is to be refused.
func (v *View) Provisional(ctx context.Context) ([]wire.OutPoint, error) {
	behind := v.lagging.Load() != nil
	if !behind && v.allCovered() && !v.has(doubtsProof) {
		return nil, nil
	}
	deposits, err := v.liveDeposits(ctx)
	if err != nil {
		return nil, err
	}
	candidates, err := v.candidates(deposits, math.MaxInt32, behind)
	if err != nil {
		return nil, err
	}
	candidates = slices.DeleteFunc(candidates, func(s standing) bool {
		return !s.provisional
	})
	if len(candidates) == 0 {
		return nil, nil
	}

	seen := &answer{state: v.state.Load()}
	seen.wallet, err = newWalletTxs(nil)
	if err != nil {
		return nil, err
	}

	// Without a connection nothing is known to be listed or owned.
	if lnd := v.inner.Load(); lnd != nil {
		if err := seen.ask(ctx, lnd, v, candidates); err != nil {
			return nil, fmt.Errorf("unable to ask lnd which "+
				"deposits it sees: %w", err)
		}
	}
	seen.choose(candidates, nil)

	var provisional []wire.OutPoint
	for _, output := range seen.unspent {
		provisional = append(provisional, output.outPoint)
	}

	return provisional, nil
}
