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
// What lnd was not told is told later.
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

// watch makes lnd watch the address in place and where its deposits are swept
// to, and lets it hand out no key of the address's family again.
func (d *Daemon) watch(ctx context.Context) error {
	return errors.Join(
		d.watchAddress(ctx), d.advanceCounter(ctx),
		d.watchSweepAddresses(ctx),
	)
}

// watchAgain does the same whenever our connection to lnd was made anew, since
// lnd may have been rebuilt from its seed behind the same address meanwhile.
func (d *Daemon) watchAgain(ctx context.Context) {
	for {
		select {
		case <-d.node.Renewed():
		case <-ctx.Done():
			return
		}
		loop := await.Loop{Log: log}
		_ = loop.Until(ctx, "what lnd watches", d.watch)
	}
}

// watchAddress makes sure that lnd's wallet watches the address in place:
// upstream imports an address once, when it is made, so that an lnd rebuilt
// from its seed, or a crash at that moment, leaves an address that nobody
// watches. What it sees of it is another matter, see prover.
func (d *Daemon) watchAddress(ctx context.Context) error {
	rows, err := d.database.All(ctx)
	if err != nil {
		return err
	}
	scripts := make([][]byte, 0, len(rows))
	for _, row := range rows {
		scripts = append(scripts, row.PkScript)
	}

	// A ledger that does not work is told in the status.
	_ = d.view.InPlace(ctx, scripts)
	d.prover.doubt()
	if len(rows) != 1 {
		return nil
	}

	return d.watchRow(ctx, rows[0])
}

// watchRow imports the script of a row.
func (d *Daemon) watchRow(ctx context.Context, row *script.Parameters) error {
	d.view.SetKeys([]keychain.KeyDescriptor{{
		KeyLocator: row.KeyLocator,
		PubKey:     row.ClientPubkey,
	}})
	descriptor := staticaddr.FromParameters(row)
	address, err := descriptor.Script(row.ClientPubkey)
	if err != nil {
		return err
	}
	isNew, err := d.keys.ImportScript(ctx, address)
	if err == nil && isNew {
		log.Infof("lnd's wallet watches the static address from now on")
	}

	return err
}

// advanceCounter moves lnd's counter of the address's key family beyond the
// address, and by the margin of a restore, if lnd has not come that far: it was
// rebuilt from its seed since it made the address, and would hand out used keys
// again.
func (d *Daemon) advanceCounter(ctx context.Context) error {
	rows, err := d.database.All(ctx)
	if err != nil || len(rows) != 1 {
		return err
	}
	locator := rows[0].KeyLocator
	family := int32(locator.Family)
	_, next, err := d.keys.Account(ctx, family)
	if err != nil {
		return err
	}
	if next <= locator.Index {
		log.Warnf("lnd was rebuilt since it made the static address: "+
			"its key counter stands at %d", next)
		d.counter.Store(locator.Index + 1 + d.cfg.Recovery.KeyMargin)
	}

	for wanted := d.counter.Load(); next < wanted; next++ {
		next, err = d.keys.AdvanceKey(ctx, family)
		if err != nil {
			return err
		}
	}

	return nil
}

// watchSweepAddresses makes lnd's wallet watch the addresses that the sweeps of
// the live deposits pay to: the wallet may have been rebuilt since.
func (d *Daemon) watchSweepAddresses(ctx context.Context) error {
	scripts, err := d.database.SweepScripts(ctx)
	if err != nil {
		return err
	}

	return d.node.WatchSweepAddresses(ctx, scripts)
}
