package loopd

import (
	"context"
	"fmt"
	"slices"
	"time"

	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightninglabs/loop/staticaddr/deposit"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/internal/swapdb"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/states"
)

// holdOwner is the name under which the gate is held until this process owns
// the data.
const holdOwner = "owner"

// settleLimit is how long a start waits for the fate of a deposit in the
// opening of a channel.
const settleLimit = time.Minute

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

	d.view.Decorate(lnd)
	if err := d.settle(ctx); err != nil {
		lnd.Close()
		return nil, err
	}
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

// settle lets the view follow the chain in the background, and waits for it
// only if a deposit is in the opening of a channel: upstream settles the fate
// of such a one at its start, for good, by the first answer. It waits no longer
// than settleLimit; the answer is provisional then. The only error is the end
// of the context.
func (d *Daemon) settle(ctx context.Context) error {
	d.background.Go(func() { _ = d.view.CatchUp(d.shutdown) })

	err := tryFor(ctx, settleLimit, "the deposits", d.openingSettled)
	if err != nil && ctx.Err() == nil {
		log.Warnf("The swap client starts before it is proven what " +
			"became of the deposits in the opening of a channel")
	}

	return context.Cause(ctx)
}

// openingSettled returns nil if no deposit in the opening of a channel is
// unproven.
func (d *Daemon) openingSettled(ctx context.Context) error {
	deposits, err := d.database.LiveDeposits(ctx)
	if err != nil {
		return err
	}
	opening := slices.ContainsFunc(deposits, func(
		row lndview.Deposit) bool {

		return row.State == string(deposit.OpeningChannel)
	})
	if !opening {
		return nil
	}
	if err := d.view.CatchUp(ctx); err != nil {
		return err
	}
	provisional, err := d.view.Provisional(ctx)
	if err != nil || len(provisional) == 0 {
		return err
	}

	return fmt.Errorf("%d deposits are not proven", len(provisional))
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
