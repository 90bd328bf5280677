package recoveryfsm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// DefaultCrashLimit is how often in a row the process can die in one
	// state before the run is blocked.
	DefaultCrashLimit = 5

	// DefaultDeadline is how long an attempt can go without progress.
	DefaultDeadline = 10 * time.Minute

	// saveTimeout is the longest that a save can take. A save that is not
	// done by then has failed.
	saveTimeout = 30 * time.Second

	// stopTimeout is how long Stop waits for an action that does not heed
	// its context.
	stopTimeout = 2500 * time.Millisecond

	// maxCancels is how often Cancel looks again at a run that went on
	// while it was asked to end.
	maxCancels = 3
)

// Config is everything an engine needs.
type Config struct {
	// Journal keeps the runs.
	Journal Journal

	// Actions returns the actions of a run: one for each state of its
	// table's path.
	Actions func(runID string) map[states.State]actions.Action

	// Clock is the time; the system's if nil.
	Clock clock.Clock

	// Backoff is the wait between attempts; DefaultBackoff if zero.
	Backoff Backoff

	// Random returns a number from 0 up to 1 for the jitter; a random one
	// if nil.
	Random func() float64

	// CrashLimit is how often in a row the process can die in one state
	// before the run is blocked; DefaultCrashLimit if zero.
	CrashLimit uint32

	// Deadlines is how long an attempt at a state can go without progress
	// before it is given up and tried again; DefaultDeadline for a state
	// that is not in the map. Only a scan reports progress.
	Deadlines map[states.State]time.Duration

	// OnEvent, if set, is called after an event was saved, in the order of
	// the events, with the run as it is after it. It must not block, nor
	// call Start, Resume, Cancel, Continue or Stop.
	OnEvent func(Run, Event)
}

// Engine runs recoveries, one at a time. Its methods can be called from
// several goroutines at once.
type Engine struct {
	cfg Config

	// life ends when the engine is stopped, and the runs with it.
	life context.Context
	end  context.CancelCauseFunc

	// saves ends a moment later: runs still save that they were stopped.
	saves    context.Context
	endSaves context.CancelFunc

	// ops serialises what begins, resumes and ends runs.
	ops sync.Mutex

	// mutex guards the fields below. It is held for moments only.
	mutex sync.Mutex

	// active is the run that a goroutine works on, or nil.
	active *activity

	// halted holds the runs that this process does not go on with.
	halted map[string]*Halt

	// changed is closed and replaced whenever a run has changed.
	changed chan struct{}
}

// activity is the goroutine of a run, as others see it.
type activity struct {
	// id is the id of the run.
	id string

	// cancel ends the context of the run with a cause.
	cancel context.CancelCauseFunc

	// done is closed when the goroutine has ended.
	done chan struct{}

	// wake ends a wait between attempts.
	wake chan struct{}

	// progress is what the scan reports.
	progress progressKeeper
}

// New returns an engine. It does nothing until Start, Resume or Continue.
func New(cfg Config) *Engine {
	if cfg.Clock == nil {
		cfg.Clock = clock.NewDefaultClock()
	}
	if cfg.Backoff == (Backoff{}) {
		cfg.Backoff = DefaultBackoff
	}
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	if cfg.CrashLimit == 0 {
		cfg.CrashLimit = DefaultCrashLimit
	}

	e := &Engine{
		cfg:     cfg,
		halted:  make(map[string]*Halt),
		changed: make(chan struct{}),
	}
	e.life, e.end = context.WithCancelCause(context.Background())
	e.saves, e.endSaves = context.WithCancel(context.Background())

	return e
}

// Start accepts a new run and lets it begin. When it returns the run is
// durable. While another run is not finished it returns a *RefusedError with
// states.AlreadyRunning and that run's id. The context bounds the call only,
// not the run.
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

	now := at(e.cfg.Clock.Now())
	run := Run{
		ID:      newID(now),
		Kind:    kind,
		Version: table.Version,
		State:   states.Start,
		Created: now,
		Updated: now,
		Facts:   actions.Facts{Request: request},
	}
	err := e.saving(func(ctx context.Context) error {
		return e.cfg.Journal.CreateRun(ctx, run)
	})
	if errors.Is(err, ErrUnfinished) {
		return Run{}, e.refuseSecond(ctx)
	}
	if err != nil {
		return Run{}, err
	}
	e.notify()

	return run, e.launch(run, table)
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

// Cancel ends a run: in every state, while it is blocked and while it waits.
// It returns the run when that is durable, which is as soon as the action
// under way heeds its context. A run that was cancelled before is returned as
// it is. If the run has reached its end it returns a *RefusedError with
// states.AlreadyFinished.
func (e *Engine) Cancel(ctx context.Context, id string) (Run, error) {
	for range maxCancels {
		active := e.current(id)
		if active == nil {
			run, ended, err := e.cancelIdle(ctx, id)
			if err != nil || ended {
				return run, err
			}
			continue
		}

		active.cancel(errCancelled)
		select {
		case <-active.done:
		case <-ctx.Done():
			return Run{}, ctx.Err()
		}
	}

	return Run{}, fmt.Errorf("recovery %s was resumed %d times while it "+
		"was cancelled; it goes on", id, maxCancels)
}

// cancelIdle ends a run that no goroutine works on. It reports false, and does
// nothing, if there is one.
func (e *Engine) cancelIdle(ctx context.Context, id string) (Run, bool, error) {
	e.ops.Lock()
	defer e.ops.Unlock()

	if err := e.usable(ctx); err != nil {
		return Run{}, false, err
	}
	if e.current(id) != nil {
		return Run{}, false, nil
	}

	run, err := e.stored(ctx, id)
	if err != nil {
		return Run{}, false, err
	}
	switch {
	case run.State == states.Cancelled:
		return run, true, nil

	case run.Finished:
		return Run{}, false, refuse(states.AlreadyFinished, id)
	}

	// A run of an unknown table can be given up too: no table forbids it.
	table, _ := states.Lookup(run.Kind, run.Version)
	err = e.step(&run, table, cancelled())

	return run, err == nil, err
}

// Stop ends the goroutine of the run, which stays as it is and can be resumed
// by the next process, and returns when that is done, or after less than three
// seconds if the action does not heed its context. Nothing is saved
// afterwards. Subscriptions end.
func (e *Engine) Stop() {
	e.end(ErrStopped)

	e.mutex.Lock()
	active := e.active
	e.mutex.Unlock()

	if active != nil {
		select {
		case <-active.done:
		case <-time.After(stopTimeout):
			log.Warnf("The action of recovery %s does not end; "+
				"it is left behind", active.id)
		}
	}
	e.endSaves()
}

// launch lets a goroutine work on a run, whose halt is forgotten.
func (e *Engine) launch(run Run, table states.Table) error {
	ctx, cancel := context.WithCancelCause(e.life)
	active := &activity{
		id:     run.ID,
		cancel: cancel,
		done:   make(chan struct{}),
		wake:   make(chan struct{}, 1),
	}
	if !e.admit(active) {
		cancel(nil)
		return ErrStopped
	}

	worker := &runner{
		engine:   e,
		table:    table,
		run:      run,
		activity: active,
	}
	go func() {
		worker.main(ctx)
		cancel(nil)
		e.retire(active)
	}()

	return nil
}

// admit makes a goroutine the active one. It waits for the one before, whose
// run has ended but which could still be about to return. It returns false if
// the engine was stopped.
func (e *Engine) admit(active *activity) bool {
	for {
		e.mutex.Lock()
		before := e.active
		if before == nil && e.life.Err() == nil {
			e.active = active
			delete(e.halted, active.id)
			e.mutex.Unlock()

			return true
		}
		e.mutex.Unlock()
		if before == nil {
			return false
		}

		select {
		case <-before.done:
		case <-e.life.Done():
			return false
		}
	}
}

// retire forgets a goroutine that has ended.
func (e *Engine) retire(active *activity) {
	e.mutex.Lock()
	e.active = nil
	e.mutex.Unlock()

	close(active.done)
	e.notify()
}

// poke ends the wait of a run between two attempts.
func (a *activity) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// current returns the goroutine of a run, or nil.
func (e *Engine) current(id string) *activity {
	e.mutex.Lock()
	defer e.mutex.Unlock()

	if e.active == nil || e.active.id != id {
		return nil
	}

	return e.active
}

// halt remembers why this process does not go on with a run.
func (e *Engine) halt(id string, halt *Halt) {
	log.Errorf("Recovery %s does not go on: %s %s", id, halt.Reason,
		halt.Error)

	e.mutex.Lock()
	e.halted[id] = halt
	e.mutex.Unlock()

	e.notify()
}

// haltOf returns why this process does not go on with a run, or nil.
func (e *Engine) haltOf(id string) *Halt {
	e.mutex.Lock()
	defer e.mutex.Unlock()

	return e.halted[id]
}

// notify wakes everybody who waits for a change.
func (e *Engine) notify() {
	e.mutex.Lock()
	defer e.mutex.Unlock()

	close(e.changed)
	e.changed = make(chan struct{})
}

// usable returns an error if the engine was stopped or the call has ended.
func (e *Engine) usable(ctx context.Context) error {
	if e.life.Err() != nil {
		return ErrStopped
	}

	return ctx.Err()
}

// saving runs a save. It does not end with the caller's context: a save that
// was begun for a client that hung up is still wanted.
func (e *Engine) saving(save func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(e.saves, saveTimeout)
	defer cancel()

	return save(ctx)
}
