package swapdb

import (
	"context"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/staticaddr/address"
	"github.com/lightninglabs/loop/staticaddr/deposit"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/lndview"
)

// Compile-time checks of the ports.
var (
	_ actions.Rows = (*DB)(nil)
	_ lndview.Rows = (*DB)(nil)
)

// All implements actions.Rows. A database that does not exist, or has still to
// be converted from one of years ago, has no static address.
func (d *DB) All(ctx context.Context) ([]*script.Parameters, error) {
	if d.AwaitsConversion() {
		return nil, nil
	}
	base, err := d.open(ctx, false)
	if err != nil || base == nil {
		return nil, err
	}
	rows, err := address.NewSqlStore(base).GetAllStaticAddresses(ctx)

	return rows, d.typed(err)
}

// Create implements actions.Rows.
func (d *DB) Create(ctx context.Context, row *script.Parameters) error {
	base, err := d.open(ctx, true)
	if err != nil {
		return err
	}

	return d.typed(address.NewSqlStore(base).CreateStaticAddress(ctx, row))
}

// HasSwaps reports whether there is a swap of any kind or a deposit, at its end
// or not. A database that does not exist has none; one of years ago that was
// not converted yet may.
func (d *DB) HasSwaps(ctx context.Context) (bool, error) {
	base, err := d.open(ctx, false)
	if err != nil || base == nil {
		return false, err
	}

	var found bool
	err = base.QueryRowContext(ctx, "SELECT EXISTS "+
		"(SELECT 1 FROM swaps) OR EXISTS (SELECT 1 FROM deposits)").
		Scan(&found)

	return found, d.typed(err)
}

// LiveDeposits implements lndview.Rows.
func (d *DB) LiveDeposits(ctx context.Context) ([]lndview.Deposit, error) {
	rows, deposits, err := d.live(ctx)
	if err != nil {
		return nil, err
	}

	// The table does not say which address a deposit is of.
	var pkScript []byte
	if len(rows) == 1 {
		pkScript = rows[0].PkScript
	}

	var live []lndview.Deposit
	for _, row := range deposits {
		live = append(live, lndview.Deposit{
			OutPoint:           row.OutPoint,
			PkScript:           pkScript,
			Value:              btcutil.Amount(row.Value),
			ConfirmationHeight: row.ConfirmationHeight,
			State:              string(row.GetState()),
		})
	}

	return live, nil
}

// SweepScripts returns the output scripts that the sweeps of the live deposits
// pay to.
func (d *DB) SweepScripts(ctx context.Context) (map[string]bool, error) {
	_, deposits, err := d.live(ctx)
	if err != nil {
		return nil, err
	}

	scripts := make(map[string]bool)
	for _, row := range deposits {
		scripts[string(row.TimeOutSweepPkScript)] = true
	}

	return scripts, nil
}

// live returns the addresses of the database and those of their deposits that
// are not at their end. Without an address there is no deposit.
func (d *DB) live(ctx context.Context) ([]*script.Parameters,
	[]*deposit.Deposit, error) {

	rows, err := d.All(ctx)
	if err != nil || len(rows) == 0 {
		return nil, nil, err
	}
	base, err := d.open(ctx, false)
	if err != nil || base == nil {
		return nil, nil, err
	}
	deposits, err := d.deposits(ctx, base)
	if err != nil {
		return nil, nil, err
	}

	return rows, slices.DeleteFunc(deposits,
		(*deposit.Deposit).IsInFinalState), nil
}

// deposits returns all deposits of the database.
func (d *DB) deposits(ctx context.Context, base *loopdb.BaseDB) (
	[]*deposit.Deposit, error) {

	deposits, err := deposit.NewSqlStore(base).AllDeposits(ctx)

	return deposits, d.typed(err)
}
