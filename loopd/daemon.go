package loopd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightninglabs/lndclient"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/internal/lndnode"
	"github.com/looprecovery/looprecovery/internal/owner"
	"github.com/looprecovery/looprecovery/internal/swapdb"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/recoverydb"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

// databaseFilename is the journal.
const databaseFilename = "recovery.db"

// Daemon is our loopd: the embedded daemon and all that is around it.
type Daemon struct {
	cfg    *Config
	params *chaincfg.Params

	// shutdown ends when the process was asked to stop.
	shutdown context.Context
	stop     context.CancelFunc

	owner *owner.Owner
	auth  *authenticator
	node  *lndnode.Node
	gate  *gate.Gate[*embedded]

	source chainscan.Source

	database *swapdb.DB
	journal  *recoverydb.DB
	tokens   *generation.Files
	chain    *lndnode.Chain
	keys     *lndnode.Keys
	view     *lndview.View
	keeper   *keeper.Keeper
	deps     actions.Deps
	engine   *recoveryfsm.Engine
	hold     *runHold
	starter  *starter
	recovery recoveryService

	// look is the last look for a backup by the daemon itself, or nil.
	look atomic.Pointer[actions.Look]

	// background waits for what runs beside work and ends with shutdown.
	background sync.WaitGroup
}

// NewDaemon returns a daemon for a configuration that upstream's Validate has
// seen. It ends with the context.
func NewDaemon(ctx context.Context, cfg *Config) (*Daemon, error) {
	params, err := lndclient.Network(cfg.Network).ChainParams()
	if err != nil {
		return nil, err
	}

	node, err := newNode(cfg)
	if err != nil {
		return nil, err
	}

	ctx, cancel := context.WithCancel(ctx)
	d := &Daemon{
		cfg:      cfg,
		params:   params,
		shutdown: ctx,
		stop:     cancel,
		owner:    newOwner(cfg),
		auth:     newAuthenticator(cfg.DataDir),
		node:     node,
		source:   node.NewSource(),
		keys:     node.Keys(),
		chain:    node.Chain(),
	}
	d.gate = newGate(d.startEmbedded, d.inFlight)
	d.hold = &runHold{gate: d.gate}

	return d, nil
}

// newNode returns the lnd of a configuration.
func newNode(cfg *Config) (*lndnode.Node, error) {
	return lndnode.New(lndnode.Config{
		Host:         cfg.Lnd.Host,
		TLSPath:      cfg.Lnd.TLSPath,
		MacaroonPath: cfg.Lnd.MacaroonPath,
		RPCTimeout:   cfg.Lnd.RPCTimeout,
		Network:      cfg.Network,
		MinVersion:   upstream.LoopMinRequiredLndVersion,
	})
}

// newOwner returns the owner-to-be of a configuration's data.
func newOwner(cfg *Config) *owner.Owner {
	config := owner.Config{DataDir: cfg.DataDir, StopLimit: stopLimit}
	if cfg.DatabaseBackend == upstream.DatabaseBackendPostgres {
		config.Postgres = cfg.Postgres
	}

	return owner.New(config)
}

// Stop asks the daemon to end. Run returns when it has.
func (d *Daemon) Stop() {
	d.stop()
}

// openStores opens what needs no lnd: the journal, the backup places and the
// token directory. The ports that need lnd return passing errors until it is
// there.
func (d *Daemon) openStores() error {
	if _, err := d.auth.store.take(); err != nil {
		return err
	}
	journal, err := recoverydb.Open(
		filepath.Join(d.cfg.DataDir, databaseFilename),
	)
	if err != nil {
		return fmt.Errorf("recovery database: %w", err)
	}
	d.journal = journal

	files := durable.OS()
	d.tokens = generation.NewFiles(files, d.cfg.DataDir)
	d.database = d.newDatabase()
	d.view, err = d.newView(d.shutdown)
	if err != nil {
		return err
	}

	d.keeper = d.newKeeper(files)
	d.deps = actions.Deps{
		Backups:    d.keeper,
		Node:       d.keys,
		Chain:      d.chain,
		Tokens:     d.tokens,
		Rows:       d.database,
		Gate:       d.hold,
		Visibility: &visibilityPort{View: d.view, rows: d.database},
		Scanner:    &scannerPort{daemon: d},
		Network:    d.cfg.Network,
		LookAhead:  d.cfg.Recovery.LookAhead,
		KeyMargin:  d.cfg.Recovery.KeyMargin,
		IndexBound: d.cfg.Recovery.KeySearch,
	}
	d.engine = d.newEngine()
	d.starter = d.newStarter()
	d.recovery.RecoveryServer = d.newRecoveryServer()

	return nil
}

// closeStores closes what openStores opened, if it was called.
func (d *Daemon) closeStores() {
	if d.journal == nil {
		return
	}
	if d.engine != nil {
		d.engine.Stop()
	}
	d.background.Wait()
	d.node.Close()
	err := errors.Join(
		d.database.Close(), d.journal.Close(), d.auth.store.letGo(),
	)
	if err != nil {
		log.Errorf("Unable to close the databases: %v", err)
	}
}

// work is all that is done behind the ports. It returns when the daemon was
// asked to stop, or with the error that ends the process.
func (d *Daemon) work() error {
	ctx := d.shutdown

	err := d.owner.AwaitDirectory(ctx, func(reason states.Reason) {
		d.auth.setReason(reason)
		d.bar(reason)
	})
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	if err := d.openStores(); err != nil {
		return err
	}

	// A run is stopped at once, so that it can save that while the rest
	// comes down.
	defer context.AfterFunc(ctx, d.engine.Stop)()

	if err := d.unlock(ctx); err != nil {
		return ignoreEnd(ctx, err)
	}
	err = d.owner.AwaitDatabase(ctx, func(state await.State) {
		d.bar(state.Reason)
	})
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	d.gate.Release(holdOwner)

	// Neither a decision nor the swap client can be had without its
	// database.
	err = d.untilReady(ctx, "the swap database", d.database.Check)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	if err := d.tokens.Sweep(); err != nil {
		log.Warnf("What a crash left behind stays: %v", err)
	}
	d.background.Go(func() { d.keeper.Run(ctx) })
	d.background.Go(func() { d.starter.run(ctx) })

	return ignoreEnd(ctx, d.gate.Run(ctx))
}

// unlock connects to lnd, keeps the connection from then on, and makes callers
// known.
func (d *Daemon) unlock(ctx context.Context) error {
	err := d.node.Connect(ctx, d.noteUnknown)
	if err != nil {
		return err
	}
	d.background.Go(func() { _ = d.node.Keep(ctx) })

	loop := await.Loop{Log: log, OnState: d.noteUnknown}

	return loop.Until(ctx, "the macaroons", func(ctx context.Context) error {
		lnd, err := d.node.Services()
		if err != nil {
			return err
		}

		return d.auth.unlock(ctx, d.cfg, &lnd.LndServices)
	})
}

// noteUnknown lets callers know why nobody can be authenticated.
func (d *Daemon) noteUnknown(state await.State) {
	if state.Reason != "" {
		d.auth.setReason(state.Reason)
	}
}

// newEngine returns the engine that runs recoveries.
func (d *Daemon) newEngine() *recoveryfsm.Engine {
	return recoveryfsm.New(recoveryfsm.Config{
		Journal: d.journal.Journal(),
		Actions: func(runID string) map[states.State]actions.Action {
			return actions.Set(d.deps, runID)
		},
		OnEvent: d.onEvent,
	})
}

// ignoreEnd returns nil if the error is only that the daemon was stopped.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}

	return err
}

// untilReady repeats a step until it succeeds, and lets callers know why it
// does not yet.
func (d *Daemon) untilReady(ctx context.Context, name string,
	step func(context.Context) error) error {

	loop := await.Loop{Log: log, OnState: d.noteDown}

	return loop.Until(ctx, name, step)
}

// noteDown lets callers know why the embedded daemon is not up.
func (d *Daemon) noteDown(state await.State) {
	if state.Reason != "" {
		d.gate.Note(state.Reason)
	}
}
