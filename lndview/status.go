package lndview

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
)

// Status is the View's state for the operator.
type Status struct {
	// Blind are the scripts that lnd's wallet is blind for and no scan has
	// covered: their deposits are reported provisionally.
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

	// Unproven says that the ledger was lost or cannot be read, so that
	// lnd's wallet counts as blind for every script that is not covered.
	Unproven bool

	// Trouble is why the ledger cannot be read or written at the moment,
	// so that answers rest on memory alone; nil if it can.
	Trouble error
}

// AnyBlind says whether lnd's wallet counts as blind for a script.
func (s Status) AnyBlind() bool {
	return s.Unproven || len(s.Blind) > 0
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
	for _, script := range state.Scripts {
		switch {
		case script.Covered():
			status.Covered = append(status.Covered, script.PkScript)

		case state.blind(script.PkScript):
			status.Blind = append(status.Blind, script.PkScript)
		}
	}
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

// Provisional returns the outpoints of the database's rows that are reported
// without proof: lnd's wallet neither lists nor owns them, and no scan has
// settled them. A call that would spend one of them is to be refused. It is
// empty once every blind script is covered.
func (v *View) Provisional(ctx context.Context) ([]wire.OutPoint, error) {
	rows, err := v.provisionalRows(ctx)
	if err != nil || len(rows) == 0 {
		return nil, err
	}

	seen := &answer{state: v.state.Load()}
	seen.wallet, err = newWalletTxs(nil)
	if err != nil {
		return nil, err
	}

	// Without a connection nothing is known to be listed or owned.
	if lnd := v.inner.Load(); lnd != nil {
		if err := seen.ask(ctx, lnd, lowest(rows)); err != nil {
			return nil, fmt.Errorf("unable to ask lnd which "+
				"deposits it sees: %w", err)
		}
	}
	seen.choose(rows)

	var provisional []wire.OutPoint
	for _, row := range seen.unspent {
		provisional = append(provisional, row.outPoint)
	}

	return provisional, nil
}
