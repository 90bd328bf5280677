package loopd

import (
	"context"
	"time"

	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/internal/startdecision"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

// newStarter returns what decides what comes before the swap client.
func (d *Daemon) newStarter() *starter {
	return newStarter(starterConfig{
		engine:      d.engine,
		gate:        d.gate,
		hold:        d.hold,
		tokens:      d.tokens,
		data:        d.database,
		search:      d.searchBackups,
		autoRestore: d.cfg.Recovery.AutoRestore == "on",
		journalShut: d.journal.Report().ReadOnly(),
		clock:       clock.NewDefaultClock(),
	})
}

// promptBackups are the backup places as somebody sees them who waits no longer
// than a limit for one of them.
type promptBackups struct {
	*keeper.Keeper

	limit time.Duration
}

// List implements actions.Backups.
func (p *promptBackups) List(ctx context.Context) ([]backup.Entry, error) {
	return p.ListWithin(ctx, p.limit)
}

// searchBackups looks for a backup to restore from and remembers what it saw,
// for the status.
func (d *Daemon) searchBackups(ctx context.Context, limit time.Duration) (
	startdecision.Search, error) {

	deps := d.deps
	deps.Backups = &promptBackups{Keeper: d.keeper, limit: limit}
	look, err := actions.LookForBackup(
		ctx, deps, actions.Request{Automatic: true},
	)
	if err != nil {
		return startdecision.Search{}, err
	}
	look.When = time.Now()
	d.look.Store(&look)

	return found(look), nil
}

// found says what a look means for the start.
func found(look actions.Look) startdecision.Search {
	var result startdecision.Search
	for _, place := range look.Places {
		result.Silent = append(result.Silent, place.Path)
	}
	switch {
	// The place answers, and the only file in it cannot be read.
	case look.Reason == states.PlaceUnreadable && len(look.Places) == 0:
		result.Silent = []string{look.Detail}

	case !look.Candidate():

	case look.Reason == "":
		result.Candidate = startdecision.Restorable

	default:
		result.Candidate = startdecision.Obstructed
	}

	return result
}

// onEvent follows a run. It is called after the event is durable and must not
// block.
func (d *Daemon) onEvent(run recoveryfsm.Run, event recoveryfsm.Event) {
	log.Infof("Recovery %s: %s -> %s (%s)", run.ID, event.From, event.To,
		event.Event)
	d.starter.poke()

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
}
