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

	return chainscan.Run(ctx, chainscan.Config{
		Source:     d.source,
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

// blindNotices warns of what lnd's wallet cannot see and no scan has settled.
func (d *Daemon) blindNotices() []states.Notice {
	status := d.view.Status()
	if !status.AnyBlind() {
		return nil
	}

	return []states.Notice{{
		Warning: states.WarnWalletBlind,
		Detail: fmt.Sprintf("%d deposits unverified",
			status.Provisional),
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

// ImportIntent implements actions.Visibility.
func (p *visibilityPort) ImportIntent(ctx context.Context,
	pkScript []byte) error {

	return p.View.RecoveryIntent(ctx, pkScript)
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
