package loopd

import (
	"context"
	"errors"
	"time"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// watchLimit is how long a start waits for lnd to be told what to watch.
const watchLimit = 2 * time.Second

// watchBefore is done before each start of the embedded daemon: lnd is told
// what to watch, with the address and the deposits as they then are, and the
// backup is made if it is missing. None of it holds the start back for long.
// What lnd was not told is told later; until then the wallet counts as blind.
func (d *Daemon) watchBefore(ctx context.Context) {
	d.background.Go(func() {
		// What stands in the way is kept as a warning.
		_ = d.keeper.Protect(d.shutdown, 0)
	})

	err := tryFor(ctx, watchLimit, "what lnd watches", d.watch)
	if err == nil || ctx.Err() != nil {
		return
	}
	d.background.Go(func() {
		loop := await.Loop{Log: log}
		_ = loop.Until(d.shutdown, "what lnd watches", d.watch)
	})
}

// tryFor repeats a step that the swap client can do without: for no longer than
// the limit, and not at all if somebody has to change something first.
func tryFor(ctx context.Context, limit time.Duration, name string,
	step func(context.Context) error) error {

	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	loop := await.Loop{Log: log, OnState: func(state await.State) {
		if state.Permanent {
			cancel()
		}
	}}

	return loop.Until(ctx, name, step)
}

// watch makes lnd watch the address and where its deposits are swept to.
func (d *Daemon) watch(ctx context.Context) error {
	return errors.Join(d.watchAddress(ctx), d.watchSweepAddresses(ctx))
}

// watchAddress makes sure that lnd's wallet watches the address in place, and
// learns whether it had lost sight of it: upstream imports an address once,
// when it is made, so that an lnd rebuilt from its seed, or a crash at that
// moment, leaves an address that nobody watches.
func (d *Daemon) watchAddress(ctx context.Context) error {
	rows, err := d.database.All(ctx)
	if err != nil {
		return err
	}
	if len(rows) == 1 {
		d.view.SetKeys([]keychain.KeyDescriptor{{
			KeyLocator: rows[0].KeyLocator,
			PubKey:     rows[0].ClientPubkey,
		}})
	}
	if err := d.distrust(ctx, rows); err != nil || len(rows) != 1 {
		return err
	}

	return d.watchRow(ctx, rows[0])
}

// watchRow imports the script of a row between its intent and its outcome. An
// intent that cannot be saved makes the wallet count as blind, too: nothing is
// imported then.
func (d *Daemon) watchRow(ctx context.Context, row *script.Parameters) error {
	descriptor := staticaddr.FromParameters(row)
	address, err := descriptor.Script(row.ClientPubkey)
	if err != nil {
		return err
	}

	// An intent without an outcome makes the wallet count as blind. So it
	// is not saved while lnd does not answer.
	if _, err := d.keys.Identity(ctx); err != nil {
		return err
	}
	err = d.view.ImportIntent(ctx, row.PkScript)
	if err != nil {
		return err
	}
	isNew, err := d.keys.ImportScript(ctx, address)
	if err != nil {
		return err
	}

	return d.view.ImportDone(ctx, row.PkScript, isNew)
}

// watchSweepAddresses makes lnd's wallet watch the addresses that the sweeps of
// the live deposits pay to, if the wallet lost sight of deposits: it may have
// been rebuilt since.
func (d *Daemon) watchSweepAddresses(ctx context.Context) error {
	if !d.view.Status().AnyBlind() {
		return nil
	}
	scripts, err := d.database.SweepScripts(ctx)
	if err != nil {
		return err
	}

	return d.node.WatchSweepAddresses(ctx, scripts)
}

// distrust lets the wallet count as blind for the addresses in place if what
// was known of it was lost.
func (d *Daemon) distrust(ctx context.Context,
	rows []*script.Parameters) error {

	scripts := make([][]byte, 0, len(rows))
	for _, row := range rows {
		scripts = append(scripts, row.PkScript)
	}

	return d.view.Distrust(ctx, scripts)
}
