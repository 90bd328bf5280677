package loopd

import (
	"context"
	"time"

	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/internal/swapdb"
	"github.com/looprecovery/looprecovery/states"
)

// holdOwner is the name under which the gate is held until this process owns
// the data.
const holdOwner = "owner"

// catchUpLimit is how long a start waits for the chain to be followed to its
// tip.
const catchUpLimit = time.Minute

// embedded is one life of upstream's daemon: it starts only once.
type embedded struct {
	*upstream.Daemon

	ctx    context.Context
	exited chan error
}

// A compile-time check of the port.
var _ gate.Instance = (*embedded)(nil)

// newEmbedded returns a daemon that was started as a subserver, and the channel
// that receives one value when it has ended.
func newEmbedded(daemon *upstream.Daemon, ended <-chan error) *embedded {
	ctx, cancel := context.WithCancel(context.Background())
	running := &embedded{
		Daemon: daemon, ctx: ctx, exited: make(chan error, 1),
	}
	go func() {
		err := <-ended
		cancel()
		running.exited <- err
	}()

	return running
}

// Context implements gate.Instance.
func (e *embedded) Context() context.Context {
	return e.ctx
}

// Exited implements gate.Instance.
func (e *embedded) Exited() <-chan error {
	return e.exited
}

// newGate returns the gate of a daemon that owns nothing yet and has not
// decided what comes first.
func newGate(start func(context.Context) (*embedded, error),
	busy func(context.Context, *embedded, bool) (string, error),
) *gate.Gate[*embedded] {

	return gate.New(
		gate.Config[*embedded]{Start: start, Busy: busy},
		gate.Holder{Name: holdStart}, gate.Holder{Name: holdOwner},
	)
}

// bar says why this process must not run the embedded daemon yet: it does not
// own the data.
func (d *Daemon) bar(reason states.Reason) {
	if reason != "" && d.gate.Status().Reason != reason {
		log.Infof("Waiting: %s", states.Explain(reason).Sentence)
	}

	// The hold is in force since the gate was made.
	_ = d.gate.Hold(d.shutdown, gate.Holder{
		Name: holdOwner, Reason: reason,
	})
}

// newDatabase returns our connection to the embedded daemon's database.
func (d *Daemon) newDatabase() *swapdb.DB {
	cfg := swapdb.Config{
		DataDir:     d.cfg.DataDir,
		Sqlite:      d.cfg.Sqlite,
		Params:      d.params,
		InstantOuts: d.cfg.EnableExperimental,
	}
	if d.cfg.DatabaseBackend == upstream.DatabaseBackendPostgres {
		cfg.Postgres = d.cfg.Postgres
	}

	return swapdb.New(cfg, d.owner.Owns)
}

// startEmbedded starts upstream's daemon on a connection of its own, whose
// services are decorated. Until that it waits for what can be waited for; a
// daemon that fails to start has parts that run on, so that such an error ends
// the process.
func (d *Daemon) startEmbedded(ctx context.Context) (*embedded, error) {
	err := d.untilReady(ctx, "the swap database", d.database.Check)
	if err != nil {
		return nil, err
	}
	if err := d.awaitWallet(ctx); err != nil {
		return nil, err
	}
	lnd, err := d.node.Await(ctx, true, d.noteDown)
	if err != nil {
		return nil, err
	}
	d.gate.Note(states.Starting)
	d.watchBefore(ctx)

	if err := d.catchUp(ctx); err != nil {
		lnd.Close()
		return nil, err
	}
	d.view.Decorate(lnd)
	withoutAssets(lnd)

	daemon := upstream.New(&d.cfg.Config, nil)
	if err := d.auth.store.letGo(); err != nil {
		return nil, err
	}
	if err := daemon.StartAsSubserver(lnd, false); err != nil {
		return nil, err
	}

	return newEmbedded(daemon, d.auth.store.takeAfter(daemon.ErrChan)), nil
}

// catchUp lets the view follow the chain before the embedded daemon asks for
// its deposits, which it does at once: some of its parts stop it for good if
// the answer is an error. A view that cannot is not waited for longer than
// catchUpLimit. The only error is the end of the context.
func (d *Daemon) catchUp(ctx context.Context) error {
	err := tryFor(ctx, catchUpLimit, "the deposits", d.view.CatchUp)
	if err != nil && ctx.Err() == nil {
		log.Warnf("The swap client starts before the chain was " +
			"followed to its tip")
	}

	return context.Cause(ctx)
}

// inFlight names what the embedded daemon must not be stopped in: what it says
// itself if it is up, else what its database says.
func (d *Daemon) inFlight(ctx context.Context, running *embedded, up bool) (
	string, error) {

	if !up {
		return d.database.InFlight(ctx)
	}

	return busyTask(ctx, running)
}
