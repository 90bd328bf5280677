package loopd

import (
	"context"
	"errors"

	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// resumeOrBegin continues an unfinished run, or begins a restore if this
// directory lost its generation and a backup of it is there. It reports
// whether the embedded daemon has to wait.
func (d *Daemon) resumeOrBegin(ctx context.Context) (bool, error) {
	if err := d.tokens.Sweep(); err != nil {
		log.Warnf("What a crash left behind stays: %v", err)
	}

	run, err := d.engine.Unfinished(ctx)
	if err != nil {
		return false, err
	}
	if run != nil {
		// Between token and row there is no way back.
		if d.holds(*run) && halfway(*run) {
			d.gate.Join(gate.Holder{
				Name:   holdOfRun(run.ID),
				Reason: states.RecoveryActive,
			})
		}
		if err := d.engine.Continue(ctx); err != nil {
			return false, err
		}

		return d.holds(*run), nil
	}

	begin, err := d.shouldRestore(ctx)
	if err != nil || !begin {
		return false, err
	}
	_, err = d.engine.Start(
		ctx, states.Restore, actions.Request{Automatic: true},
	)

	return err == nil, err
}

// holds reports whether a run keeps the embedded daemon down. A restore does
// until token file and address row are in place. A blocked one does only if
// the daemon began it, so that nothing buys a new token meanwhile, or if it
// stopped halfway between the two.
func (d *Daemon) holds(run recoveryfsm.Run) bool {
	if run.Kind != states.Restore || run.Finished {
		return false
	}

	state := run.State
	if state == states.Blocked {
		state = run.BlockedFrom
	}
	if state == states.ScanDeposits || state == states.Reconciled {
		return false
	}
	if run.State != states.Blocked {
		return true
	}

	automatic := run.Facts.Request.Automatic &&
		d.cfg.Recovery.AutoRestore == "on"

	return automatic || halfway(run)
}

// halfway reports whether a run has placed the token and not the row.
func halfway(run recoveryfsm.Run) bool {
	effects := run.Facts.Effects

	return effects.TokenPlaced && !effects.RowCreated
}

// shouldRestore reports whether this directory is fresh or lost one of its two
// halves, and a backup that would complete it is there.
func (d *Daemon) shouldRestore(ctx context.Context) (bool, error) {
	if d.cfg.Recovery.AutoRestore != "on" ||
		d.database.AwaitsConversion() {

		return false, nil
	}

	probe, err := d.tokens.Probe()
	if err != nil {
		return false, err
	}
	rows, err := d.database.All(ctx)
	if err != nil {
		return false, err
	}
	complete := probe.Status == generation.TokenPaid && len(rows) > 0
	if complete || probe.Status == generation.TokenPending {
		return false, nil
	}

	// A restore that the user gave up is not begun again behind his back.
	cancelled, err := d.lastAutomaticCancelled(ctx)
	if err != nil || cancelled {
		return false, err
	}

	locate := actions.Set(d.deps, "")[states.LocateBackup]
	_, err = locate(ctx, actions.Facts{
		Request: actions.Request{Automatic: true},
	})
	var blocked *actions.BlockError
	if errors.As(err, &blocked) {
		return blocked.Reason != states.NoBackupFound, nil
	}

	return err == nil, err
}

// lastAutomaticCancelled reports whether the newest run is a restore that the
// daemon began by itself and the user cancelled.
func (d *Daemon) lastAutomaticCancelled(ctx context.Context) (bool, error) {
	newest, err := d.engine.Latest(ctx)
	if err != nil || newest == nil {
		return false, err
	}

	return newest.Facts.Request.Automatic &&
		newest.State == states.Cancelled, nil
}

// watchAddress makes sure that lnd's wallet watches the address in place, and
// learns whether it had lost sight of it: upstream imports an address once,
// when it is made, so that an lnd rebuilt from its seed, or a crash at that
// moment, leaves an address that nobody watches.
func (d *Daemon) watchAddress(ctx context.Context) error {
	rows, err := d.database.All(ctx)
	if err != nil || len(rows) != 1 {
		return err
	}
	row := rows[0]

	descriptor := staticaddr.FromParameters(row)
	address, err := descriptor.Script(row.ClientPubkey)
	if err != nil {
		return err
	}

	d.view.SetKeys([]keychain.KeyDescriptor{{
		KeyLocator: row.KeyLocator,
		PubKey:     row.ClientPubkey,
	}})

	// An intent without an outcome makes the wallet count as blind. So it
	// is not saved while lnd does not answer.
	if _, err := d.nodePort.Identity(ctx); err != nil {
		return err
	}
	err = d.view.ImportIntent(ctx, row.PkScript)
	if err != nil {
		return err
	}
	isNew, err := d.nodePort.ImportScript(ctx, address)
	if err != nil {
		return err
	}

	return d.view.ImportDone(ctx, row.PkScript, isNew)
}

// release ends the holds of a run, and that of the start, after what every
// start of the embedded daemon does. It does not wait.
func (d *Daemon) release(run string) {
	d.background.Go(func() {
		d.releaseMutex.Lock()
		defer d.releaseMutex.Unlock()

		if len(d.gate.Status().Holders) == 0 {
			return
		}
		err := d.untilReady(
			d.shutdown, "the next start", d.beforeEmbedded,
		)
		if err != nil {
			return
		}
		d.gate.Release(holdOfRun(run))
		d.gate.Release(holdStart)
	})
}

// onEvent follows a run: when it ends or stops without holding the embedded
// daemon back, that may start. It is called after the event is durable.
func (d *Daemon) onEvent(run recoveryfsm.Run, event recoveryfsm.Event) {
	log.Infof("Recovery %s: %s -> %s (%s)", run.ID, event.From, event.To,
		event.Event)

	// Whatever the clocks say, the file pairs what was restored from it.
	if event.To == states.ScanDeposits && run.Facts.Located != nil {
		path := run.Facts.Located.Path
		d.background.Go(func() {
			err := d.keeper.RestoredFrom(d.shutdown, path)
			if err != nil {
				log.Warnf("%s is not noted as the source of "+
					"the restore: %v", path, err)
			}
		})
	}

	switch event.To {
	case states.Blocked, states.Cancelled, states.ScanDeposits,
		states.Reconciled:

		if !d.holds(run) {
			d.release(run.ID)
		}
	}
}
