package recoveryfsm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/states"
)

// Start accepts a new run and lets it begin. When it returns the run is
// durable. A run that gives way (see Run.GivesWay) ends first, with
// states.Superseded; while another one is not finished Start returns a
// *RefusedError with states.AlreadyRunning and that run's id. The context
// bounds the call only, not the run.
func (e *Engine) Start(ctx context.Context, kind states.Kind,
	request actions.Request) (Run, error) {

	e.ops.Lock()
	defer e.ops.Unlock()

	if err := e.usable(ctx); err != nil {
		return Run{}, err
	}

	table, ok := states.Current(kind)
	if !ok {
		return Run{}, fmt.Errorf("no table of kind %q", kind)
	}

	now, err := e.laterThanAll(ctx)
	if err != nil {
		return Run{}, err
	}
	run := Run{
		ID:      newID(now),
		Kind:    kind,
		Version: table.Version,
		State:   states.Start,
		Created: now,
		Updated: now,
		Facts:   actions.Facts{Request: request},
	}
	if err := e.supersede(ctx, run); err != nil {
		return Run{}, err
	}
	err = e.saving(func(ctx context.Context) error {
		return e.cfg.Journal.CreateRun(ctx, run)
	})
	if errors.Is(err, ErrUnfinished) {
		return Run{}, e.refuseSecond(ctx)
	}
	if err != nil {
		e.haltIfStored(ctx, run.ID, err)
		return Run{}, err
	}
	e.notify()

	return run, e.launch(run, table)
}

// laterThanAll returns the time at which a new run is created: now, unless the
// clock was set back since the newest one was. The newest run is the one that a
// user is shown.
func (e *Engine) laterThanAll(ctx context.Context) (time.Time, error) {
	now := at(e.cfg.Clock.Now())
	runs, err := e.cfg.Journal.Runs(ctx, 1)
	if err != nil {
		return now, err
	}
	if len(runs) > 0 && !now.After(runs[0].Created) {
		now = runs[0].Created.Add(time.Millisecond)
	}

	return now, nil
}

// haltIfStored halts a run whose creation was reported to have failed, if it
// was stored in spite of that: it is unfinished and nobody works on it, and so
// it must be possible to see why and to resume it.
func (e *Engine) haltIfStored(ctx context.Context, id string, cause error) {
	if _, err := e.cfg.Journal.Run(ctx, id); err != nil {
		return
	}
	e.halt(id, &Halt{
		Reason: states.JournalFailed,
		Error:  errorText(cause),
	})
}

// refuseSecond names the run that stands in the way of another one.
func (e *Engine) refuseSecond(ctx context.Context) error {
	other, err := e.cfg.Journal.Unfinished(ctx)
	if err != nil {
		return err
	}
	if other == nil {
		return ErrUnfinished
	}

	return refuse(states.AlreadyRunning, other.ID)
}

// Continue goes on with the unfinished run, if there is one that is not
// blocked. It is called once the process is ready to work, and can be called
// again. A run of an unknown table is left alone: Get says so.
//
// It returns an error if the journal fails; nothing was begun then.
func (e *Engine) Continue(ctx context.Context) error {
	e.ops.Lock()
	defer e.ops.Unlock()

	if err := e.usable(ctx); err != nil {
		return err
	}

	found, err := e.cfg.Journal.Unfinished(ctx)
	if err != nil || found == nil {
		return err
	}
	run, err := e.settled(ctx, found.ID)
	if err != nil {
		return err
	}
	stays := run.Finished || run.State == states.Blocked ||
		e.current(run.ID) != nil
	if stays {
		return nil
	}

	table, ok := states.Lookup(run.Kind, run.Version)
	if !ok {
		e.halt(run.ID, &Halt{Reason: states.UnknownDefinition})
		return nil
	}

	return e.takeUp(run, table)
}

// takeUp goes on with a run of a process that ended: in an orderly way, or in
// the middle of an action. Too many of the latter block the run.
func (e *Engine) takeUp(run Run, table states.Table) error {
	detail := ""
	run.noteUnsaved()
	if run.Acting {
		countCrash(&run)
		detail = fmt.Sprintf("the process had died here, %d in a row",
			run.Crashes)
	}

	if run.Crashes > e.cfg.CrashLimit {
		return e.step(&run, table, blocked(run, crashLoop(run)))
	}

	err := e.step(&run, table, transition{
		event:  states.Resume,
		to:     run.State,
		detail: detail,
		change: func(*Run) {},
	})
	if err != nil {
		return err
	}

	return e.launch(run, table)
}

// Resume leads a blocked run back to the state it left, takes up a run that
// was halted because a save failed, and ends the wait of a run for its next
// attempt. It returns the run as it is then. Otherwise it returns a
// *RefusedError: states.NoSuchRun, AlreadyFinished, UnknownDefinition or
// NotBlocked.
func (e *Engine) Resume(ctx context.Context, id string) (Run, error) {
	e.ops.Lock()
	defer e.ops.Unlock()

	if err := e.usable(ctx); err != nil {
		return Run{}, err
	}

	run, err := e.settled(ctx, id)
	if err != nil {
		return Run{}, err
	}
	if run.Finished {
		return Run{}, refuse(states.AlreadyFinished, id)
	}
	table, ok := states.Lookup(run.Kind, run.Version)
	if !ok {
		return Run{}, refuse(states.UnknownDefinition, id)
	}

	if active := e.current(id); active != nil {
		if run.NextRetry.IsZero() {
			return Run{}, refuse(states.NotBlocked, id)
		}
		active.poke()

		return run, nil
	}
	if run.State != states.Blocked && e.haltOf(id) == nil {
		return Run{}, refuse(states.NotBlocked, id)
	}

	run.noteUnsaved()
	err = e.step(&run, table, resumed(run))
	if err != nil {
		return Run{}, err
	}

	return run, e.launch(run, table)
}

// settled returns a run from the journal. If the run has come to a stop its
// goroutine has ended too.
func (e *Engine) settled(ctx context.Context, id string) (Run, error) {
	run, err := e.stored(ctx, id)
	if err != nil {
		return Run{}, err
	}

	active := e.current(id)
	stopped := run.Finished || run.State == states.Blocked ||
		e.haltOf(id) != nil
	if active == nil || !stopped {
		return run, nil
	}

	select {
	case <-active.done:
		// Its last save could have come after the run was read.
		return e.stored(ctx, id)

	case <-ctx.Done():
		return Run{}, ctx.Err()
	}
}
