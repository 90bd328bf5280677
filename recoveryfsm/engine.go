package recoveryfsm

import (
	"context"
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
