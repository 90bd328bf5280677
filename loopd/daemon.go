package loopd

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/btcsuite/btcd/chaincfg"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/chainscan/btcrpc"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/internal/lndnode"
	"github.com/looprecovery/looprecovery/internal/owner"
	"github.com/looprecovery/looprecovery/internal/recoveryserver"
	"github.com/looprecovery/looprecovery/internal/swapdb"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/recoverydb"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

// databaseFilename is the journal.
const databaseFilename = "recovery.db"

// Daemon is our loopd: the embedded daemon and all that is around it. NewDaemon
// sets every field, and none changes.
type Daemon struct {
	cfg    *Config
	params *chaincfg.Params

	// shutdown ends when the process was asked to stop.
	shutdown context.Context
	stop     context.CancelFunc

	// fatal receives the permanent error for which the user wants the
	// process to end.
	fatal chan error

	// owner owns the data directory, and on its way the database.
	owner *owner.Owner

	// node is lnd; source, keys and chain are ports on it.
	node   *lndnode.Node
	source chainscan.Source

	// backend is the node that lnd uses, if it can be asked directly.
	backend *btcrpc.Source
	keys    *lndnode.Keys
	chain   *lndnode.Chain

	// auth knows the callers, once lnd was unlocked.
	auth *authenticator

	// database is the embedded daemon's, tokens its token file.
	database *swapdb.DB
	tokens   *generation.Files

	// journal is recovery.db, view what of it the embedded daemon is told,
	// and prover what proves what lnd's wallet sees.
	journal *recoverydb.DB
	view    *lndview.View
	prover  *prover

	// counter is where lnd's counter of the address's key family is to be
	// moved to, 0 if nowhere.
	counter atomic.Uint32

	// keeper keeps the backups.
	keeper *keeper.Keeper

	// gate is what the embedded daemon is behind, hold what a recovery has
	// on it, starter what lets go of it.
	gate    *gate.Gate[*embedded]
	hold    *runHold
	starter *starter

	// engine runs recoveries with deps, recovery is their service.
	deps     actions.Deps
	engine   *recoveryfsm.Engine
	recovery *recoveryserver.Server

	// waiting is why the embedded daemon last was not up.
	waiting atomic.Pointer[await.State]

	// look is the last look for a backup by the daemon itself, or nil.
	look atomic.Pointer[actions.Look]

	// background waits for what runs beside work and ends with shutdown.
	background sync.WaitGroup
}

// NewDaemon returns a daemon for a configuration that upstream's Validate has
// seen, in a directory that the owner owns. It opens what needs no lnd; the
// ports on lnd return transient errors until it is there. It ends with the
// context.
func NewDaemon(ctx context.Context, cfg *Config, owner *owner.Owner) (*Daemon,
	error) {

	node, err := newNode(cfg)
	if err != nil {
		return nil, err
	}
	journal, err := openJournal(cfg)
	if err != nil {
		return nil, err
	}

	ctx, cancel := context.WithCancel(ctx)
	d := &Daemon{
		cfg:      cfg,
		params:   node.Params(),
		shutdown: ctx,
		stop:     cancel,
		fatal:    make(chan error, 1),
		owner:    owner,
		node:     node,
		source:   node.NewSource(),
		backend:  newBackend(cfg),
		keys:     node.Keys(),
		chain:    node.Chain(),
		auth:     newAuthenticator(cfg.DataDir),
		tokens:   generation.NewFiles(durable.OS(), cfg.DataDir),
		journal:  journal,
	}
	if err := d.assemble(); err != nil {
		cancel()
		return nil, errors.Join(err, d.close())
	}

	return d, nil
}

// openJournal opens the journal. One that cannot be opened is done without: the
// swap client does not wait for it.
func openJournal(cfg *Config) (*recoverydb.DB, error) {
	journal, err := recoverydb.Open(
		filepath.Join(cfg.DataDir, databaseFilename),
	)
	if err == nil {
		return journal, nil
	}
	log.Errorf("No recovery can be begun before the next start: %v", err)

	return recoverydb.OpenWithout(err)
}

// assemble makes the parts that stand on others.
func (d *Daemon) assemble() error {
	d.database = d.newDatabase()
	d.keeper = d.newKeeper(durable.OS())
	d.gate = newGate(d.startEmbedded, d.inFlight)
	d.hold = &runHold{gate: d.gate}

	// Whoever takes a directory holds what keeps upstream's loopd out.
	if _, err := d.auth.store.take(); err != nil {
		return err
	}
	view, err := d.newView(d.shutdown)
	if err != nil {
		return err
	}
	d.view = view

	d.deps = d.newDeps()
	d.engine = d.newEngine()
	d.starter = d.newStarter()
	d.prover = d.newProver()
	d.recovery = d.newRecoveryServer()

	return nil
}

// newDeps returns the ports of the actions.
func (d *Daemon) newDeps() actions.Deps {
	return actions.Deps{
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

// end ends what uses the stores, and closes them.
func (d *Daemon) end() error {
	d.engine.Stop()
	d.background.Wait()
	d.node.Close()

	return d.close()
}

// close closes the stores.
func (d *Daemon) close() error {
	return errors.Join(
		d.database.Close(), d.journal.Close(), d.auth.store.letGo(),
	)
}

// work is all that is done behind the ports. It returns when the daemon was
// asked to stop, or with the error that ends the process.
func (d *Daemon) work() error {
	ctx := d.shutdown

	// A run is stopped at once, so that it can save that while the rest
	// comes down.
	defer context.AfterFunc(ctx, d.engine.Stop)()

	err := d.becomeReady(ctx)
	if err == nil {
		d.background.Go(func() { d.keeper.Run(ctx) })
		d.background.Go(func() { d.starter.run(ctx) })
		d.background.Go(func() { d.watchAgain(ctx) })
		d.background.Go(func() { d.prover.run(ctx) })
		err = d.gate.Run(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}

	return err
}

// becomeReady returns when lnd can be used, callers are known, and the database
// is ours and in order: neither a decision nor the swap client can be had
// before.
func (d *Daemon) becomeReady(ctx context.Context) error {
	if err := d.unlock(ctx); err != nil {
		return err
	}
	if err := d.owner.AwaitDatabase(ctx, d.noteBarred); err != nil {
		return err
	}
	d.gate.Release(holdOwner)

	err := d.untilReady(ctx, "the swap database", d.database.Check)
	if err != nil {
		return err
	}
	if err := d.tokens.Sweep(); err != nil {
		log.Warnf("What a crash left behind stays: %v", err)
	}

	return nil
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

	return loop.Until(ctx, "the macaroons", func(
		ctx context.Context) error {

		lnd, err := d.node.Services()
		if err != nil {
			return err
		}

		err = d.auth.unlock(ctx, d.cfg, &lnd.LndServices)
		reason, _ := states.PermanentReason(err)
		if reason == states.WrongLnd {
			d.node.Forget()
		}

		return err
	})
}

// noteUnknown lets callers know why nobody can be authenticated.
func (d *Daemon) noteUnknown(state await.State) {
	if state.Reason != "" {
		d.auth.setReason(state.Reason)
	}
	d.noteDown(state)
}

// noteBarred lets callers know why the database is not ours.
func (d *Daemon) noteBarred(state await.State) {
	d.bar(state.Reason)
	d.noteDown(state)
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

// untilReady repeats a step until it succeeds, and lets callers know why it
// does not yet.
func (d *Daemon) untilReady(ctx context.Context, name string,
	step func(context.Context) error) error {

	loop := await.Loop{Log: log, OnState: d.noteDown}

	return loop.Until(ctx, name, step)
}

// noteDown lets callers know why the embedded daemon is not up. If it needs
// somebody to change something, and the user wants that, it ends the process:
// whoever supervises it is to know.
func (d *Daemon) noteDown(state await.State) {
	d.waiting.Store(&state)
	if state.Reason != "" {
		d.gate.Note(state.Reason)
	}
	if !state.Permanent || !d.cfg.Recovery.ExitOnPermanent {
		return
	}

	select {
	case d.fatal <- &toldError{state.Err}:
	default:
	}
}

// toldError ends the process for a cause that stands in the log already.
type toldError struct {
	error
}

// Unwrap returns the cause.
func (e *toldError) Unwrap() error {
	return e.error
}
