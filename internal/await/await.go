// Package await repeats a step until it succeeds, and tells a person why it
// does not yet.
//
// A step that fails with a *states.PermanentError needs somebody to change
// something: it is looked at again, less and less often, at least once each
// MaxPause, and starts when the cause is gone. Any other error may pass by
// itself: it is tried again after MinPause. A step must leave nothing behind
// when it fails, since it may fail for years: no handle, no connection, no
// goroutine.
//
// The log has one line for each change of the cause, and one when it is gone.
package await

import (
	"context"
	"time"

	"github.com/btcsuite/btclog/v2"
	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// MinPause is between two tries of what may pass by itself, and before
	// the first second look at what is permanent.
	MinPause = time.Second

	// MaxPause is the longest time between two looks at what is permanent.
	// The pause doubles until then, so that a start under way elsewhere (a
	// certificate not written yet, a name not published yet) costs seconds.
	MaxPause = time.Minute

	// relogAfter is how long errors without a reason are taken for the same
	// one: they can only be told apart by their text, which may differ each
	// time.
	relogAfter = time.Minute
)

// State is why a step does not succeed yet.
type State struct {
	// Reason is the machine-readable code, or empty if the error has none.
	// It may be told to anybody.
	Reason states.Reason

	// Detail names the thing concerned: a path, an address. It is for the
	// log and for callers that were authenticated.
	Detail string

	// Permanent says that somebody has to change something first.
	Permanent bool

	// Since is when the step first failed for this cause.
	Since time.Time

	// Err is the newest error.
	Err error
}

// NewState returns what an error says. Since is left to the caller.
func NewState(err error) State {
	cause, permanent := states.CauseOf(err)

	return State{
		Reason: cause.Reason, Detail: cause.Detail,
		Permanent: permanent, Err: err,
	}
}

// SameCause reports whether two states have one cause, as far as their types
// tell: the texts of errors are not compared.
func (s State) SameCause(other State) bool {
	return s.Reason == other.Reason && s.Detail == other.Detail &&
		s.Permanent == other.Permanent
}

// Loop repeats steps. Its fields are not changed while it runs.
type Loop struct {
	// Clock gives the time; the real one if nil.
	Clock clock.Clock

	// Log takes one line for each change of the cause; none if nil.
	Log btclog.Logger

	// OnState is told after each failure why the step did not succeed; it
	// must not block. It may be nil. It can end the loop by ending the
	// context.
	OnState func(State)
}

// Until repeats the step called name until it returns nil, or returns the cause
// of the context's end.
func (l *Loop) Until(ctx context.Context, name string,
	step func(context.Context) error) error {

	var (
		account = Account{Clock: l.Clock, Log: l.Log, Name: name}
		wait    time.Duration
		last    State
	)
	for {
		err := step(ctx)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		state := account.Note(err)
		if err == nil {
			return nil
		}
		if l.OnState != nil {
			l.OnState(state)
		}

		wait = nextPause(wait, state, last)
		last = state
		if err := Pause(ctx, l.Clock, wait); err != nil {
			return err
		}
	}
}

// nextPause returns how long to wait after a failure, given the pause before.
func nextPause(before time.Duration, state, last State) time.Duration {
	if !state.Permanent || !state.SameCause(last) {
		return MinPause
	}

	return min(2*before, MaxPause)
}

// Pause waits for a time, or returns the cause of the context's end. A nil
// clock is the real one.
func Pause(ctx context.Context, by clock.Clock, wait time.Duration) error {
	if by != nil {
		return pauseUntil(ctx, by.TickAfter(wait))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()

	return pauseUntil(ctx, timer.C)
}

// pauseUntil waits for a tick, or returns the cause of the context's end.
func pauseUntil(ctx context.Context, tick <-chan time.Time) error {
	select {
	case <-tick:
		return nil

	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
