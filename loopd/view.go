package loopd

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/chainscan/chainkit"
	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/recoveryrpc"
)

// nodeSource is the chain of our own lnd, also before lnd is connected: until
// then every call returns errLndNotReady.
type nodeSource struct {
	node *lndNode
}

// A compile-time check of the port.
var _ chainscan.Source = (*nodeSource)(nil)

// source returns the source on the connection of the moment.
func (s *nodeSource) source() (*chainkit.Source, error) {
	lnd, err := s.node.get()
	if err != nil {
		return nil, err
	}

	return chainkit.New(lnd.ChainKit), nil
}

// Name implements chainscan.Source.
func (s *nodeSource) Name() string {
	return new(chainkit.Source).Name()
}

// BestBlock implements chainscan.Source.
func (s *nodeSource) BestBlock(ctx context.Context) (chainscan.BlockStamp,
	error) {

	source, err := s.source()
	if err != nil {
		return chainscan.BlockStamp{}, err
	}

	return source.BestBlock(ctx)
}

// BlockHash implements chainscan.Source.
func (s *nodeSource) BlockHash(ctx context.Context, height int32) (
	chainhash.Hash, error) {

	source, err := s.source()
	if err != nil {
		return chainhash.Hash{}, err
	}

	return source.BlockHash(ctx, height)
}

// Block implements chainscan.Source.
func (s *nodeSource) Block(ctx context.Context, hash chainhash.Hash) ([]byte,
	error) {

	source, err := s.source()
	if err != nil {
		return nil, err
	}

	return source.Block(ctx, hash)
}

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
		Source:     &nodeSource{node: d.node},
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

// blindWarnings warns of what lnd's wallet cannot see and no scan has settled.
func (d *Daemon) blindWarnings() []*recoveryrpc.Warning {
	status := d.view.Status()
	if len(status.Blind) == 0 {
		return nil
	}

	return []*recoveryrpc.Warning{{
		Code: "WALLET_BLIND",
		Sentence: "lnd's wallet does not see what was paid to the " +
			"static address before lnd was rebuilt. Deposits in " +
			"the database are shown as they were last known.",
		Detail: fmt.Sprintf("%d deposits unverified",
			status.Provisional),
		NextCommand: "loop recover rescan",
	}}
}

// newView opens the memory of what lnd's wallet cannot see.
func (d *Daemon) newView(ctx context.Context) (*lndview.View, error) {
	return lndview.New(ctx, lndview.Config{
		Ledger: d.journal.Ledger(),
		Rows:   d.database,
		Chain:  &nodeSource{node: d.node},
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
