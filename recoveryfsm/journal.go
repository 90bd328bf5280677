package recoveryfsm

import (
	"context"
	"errors"
)

var (
	// ErrNoRun is returned by a journal that has no run with the given id.
	ErrNoRun = errors.New("no such run")

	// ErrUnfinished is returned by CreateRun while another run is not
	// finished.
	ErrUnfinished = errors.New("another run is not finished")

	// ErrConflict is returned if a save does not follow what is stored:
	// the run is finished, is in another state than the save says it
	// leaves, or has had other events. Somebody else has written the run.
	ErrConflict = errors.New("the stored run is not the one that was " +
		"changed")
)

// Journal keeps runs and their events. The engine is its only user.
//
// A save is durable when its method returns nil, a power cut included. If it
// returns an error it may or may not have been stored, as a whole: the engine
// does nothing more with that run until it has read it again.
//
// Saves come from one goroutine at a time, except that SaveProgress comes from
// the goroutine of the scan. Reads come from many goroutines at once and must
// not wait for a save under way.
//
// Times are stored in nanoseconds and returned in UTC. Run.Halted is never
// stored.
type Journal interface {
	// CreateRun stores a new run, which has no events. It returns
	// ErrUnfinished, and stores nothing, if an unfinished run exists. It
	// is called once a run, before anything else.
	CreateRun(ctx context.Context, run Run) error

	// SaveIntent stores that the action of the run's state is about to
	// act: Run.Acting, NextRetry and Updated. It is called before every
	// attempt; nothing was done yet that was not saved.
	//
	// It returns ErrConflict unless the stored run is unfinished and has
	// the same State and LastSeq. So do SaveStatus and SaveStep, which
	// compares with Event.From and the number before Event.Seq.
	SaveIntent(ctx context.Context, run Run) error

	// SaveStatus stores all of a run but its progress, without an event.
	// It is called when an attempt failed, which is at most once in
	// Backoff.Min, and when a run is interrupted.
	SaveStatus(ctx context.Context, run Run) error

	// SaveStep stores an event and all of a run but its progress, in one
	// transaction. Event.Seq is Run.LastSeq, Event.To is Run.State. It is
	// called at every transition, about ten times a run.
	SaveStep(ctx context.Context, run Run, event Event) error

	// SaveProgress stores how far the scan of a run has come. It is called
	// at most twice a second, and at each reorganisation and at the end of
	// a pass. Nothing rests on it but what people are shown, and whether
	// the scan came on between two deaths of the process.
	SaveProgress(ctx context.Context, id string, progress Progress) error

	// Run returns a run, or ErrNoRun.
	Run(ctx context.Context, id string) (Run, error)

	// Runs returns the newest runs, newest first, at most limit.
	Runs(ctx context.Context, limit int) ([]Run, error)

	// Unfinished returns the one run that is not finished, or nil.
	Unfinished(ctx context.Context) (*Run, error)

	// Events returns the events of a run with a number greater than after,
	// in order, at most limit. It returns none for a run that is not
	// there.
	Events(ctx context.Context, id string, after uint64, limit int) (
		[]Event, error)
}
