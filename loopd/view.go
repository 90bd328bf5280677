package loopd

import (
	"context"
	"fmt"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/states"
)

// scannerPort implements actions.Scanner on chainscan and the journal.
type scannerPort struct {
	daemon *Daemon
}

// A compile-time check of the port.
var _ actions.Scanner = (*scannerPort)(nil)

// Scan implements actions.Scanner.
func (p *scannerPort) Scan(ctx context.Context, runID string,
	request actions.ScanRequest) (*chainscan.Result, error) {

	d := p.daemon

	blocks, filters := d.backendSources(ctx)

	return chainscan.Run(ctx, chainscan.Config{
		Source:     d.source,
		Blocks:     blocks,
		Filters:    filters,
		FilterDir:  d.cfg.DataDir,
		Families:   request.Families,
		Birthday:   request.Birthday,
		LookAhead:  request.LookAhead,
		Checkpoint: d.journal.Checkpoint(runID),
		Progress: func(progress chainscan.Progress) {
			failpoint.Hit(failpoint.ScanDepositsAfterCommit)
			d.engine.SaveProgress(runID, progress)
		},
	})
}

// Result implements actions.Scanner.
func (p *scannerPort) Result(ctx context.Context, runID string) (
	[]chainscan.Output, error) {

	cursor, outputs, err := p.daemon.journal.Checkpoint(runID).Load(ctx)
	if err != nil || cursor == nil {
		return nil, err
	}

	return chainscan.Select(*cursor, outputs), nil
}

// blindNotices warns while it is not proven that lnd's wallet sees everything,
// with what is looked for and how far that has come. It does not disturb
// whoever has all deposits of the database in lnd's wallet.
func (d *Daemon) blindNotices() []states.Notice {
	status, proof := d.view.Status(), d.prover.status()
	if !status.AnyBlind() || proof.quiet {
		return nil
	}

	return []states.Notice{{
		Warning: states.WarnWalletBlind,
		Detail: fmt.Sprintf("%d deposits unverified%s",
			status.Provisional, proof),
	}}
}

// newView opens the memory of what lnd's wallet cannot see.
func (d *Daemon) newView(ctx context.Context) (*lndview.View, error) {
	return lndview.New(ctx, lndview.Config{
		Ledger: d.journal.Ledger(),
		Rows:   d.database,
		Chain:  d.source,
		Params: d.params,
	})
}

// visibilityPort implements actions.Visibility on lndview.
type visibilityPort struct {
	*lndview.View

	rows actions.Rows
}

// A compile-time check of the port.
var _ actions.Visibility = (*visibilityPort)(nil)

// ImportIntent implements actions.Visibility. Nothing is proven of the script
// until a scan was published.
func (p *visibilityPort) ImportIntent(ctx context.Context,
	pkScript []byte) error {

	return p.View.AddPlace(ctx, pkScript)
}

// ImportDone implements actions.Visibility. What the import found proves
// nothing.
func (p *visibilityPort) ImportDone(context.Context, []byte, bool) error {
	return nil
}

// Publish implements actions.Visibility. The embedded daemon is told of the
// one address in its database; what else was found it could not own.
func (p *visibilityPort) Publish(ctx context.Context, runID string,
	result *chainscan.Result) error {

	rows, err := p.rows.All(ctx)
	if err != nil {
		return err
	}

	var scripts [][]byte
	for _, row := range rows {
		scripts = append(scripts, row.PkScript)
	}

	return p.View.Publish(ctx, runID, scripts, result)
}
