package recoveryfsm

import (
	"context"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/states"
)

// GivesWay reports whether a run ends when another one is begun: it is blocked,
// and changed nothing that would have to be finished. A run that a person began
// does not end because of one that the daemon begins by itself.
func (r Run) GivesWay(next actions.Request) bool {
	return !r.Finished && r.State == states.Blocked && !r.Changed() &&
		(r.Facts.Request.Automatic || !next.Automatic)
}

// supersede ends the unfinished run for the one with the given id, if there is
// one that gives way. Its history is kept; its event names the next run. If the
// next one cannot be stored after all, the old one has ended for nothing: it
// had changed nothing either, and can be begun again as it was.
func (e *Engine) supersede(ctx context.Context, next Run) error {
	found, err := e.cfg.Journal.Unfinished(ctx)
	if err != nil || found == nil || !found.GivesWay(next.Facts.Request) {
		return err
	}

	run, err := e.settled(ctx, found.ID)
	if err != nil || !run.GivesWay(next.Facts.Request) {
		return err
	}
	table, _ := states.Lookup(run.Kind, run.Version)

	return e.step(&run, table, superseded(next.ID))
}

// superseded is the step of a run that gave way to another one.
func superseded(next string) transition {
	t := cancelled()
	t.reason, t.detail = states.Superseded, next
	end := t.change
	t.change = func(run *Run) {
		end(run)
		run.Reason, run.Detail = t.reason, t.detail
	}

	return t
}
