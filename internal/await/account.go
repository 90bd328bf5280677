package await

import (
	"sync"
	"time"

	"github.com/btcsuite/btclog/v2"
	"github.com/lightningnetwork/lnd/clock"
)

// Account keeps what is known of one thing that may fail again and again, and
// logs its changes only. It can be used from several goroutines, which then
// share one line for each change.
type Account struct {
	// Clock gives the time; the real one if nil.
	Clock clock.Clock

	// Log takes the lines; none if nil.
	Log btclog.Logger

	// Name begins each line: "lnd", "the database".
	Name string

	mu      sync.Mutex
	current State

	// logged is when the newest line was written.
	logged time.Time
}

// Note takes an outcome, nil for good, and returns the state after it: the
// State without a reason and an error if all is well.
func (a *Account) Note(err error) State {
	a.mu.Lock()
	defer a.mu.Unlock()

	before := a.current
	if err == nil {
		a.current = State{}
		if before.Err != nil {
			a.recovered(before)
		}

		return a.current
	}

	state, now := NewState(err), a.now()
	state.Since = before.Since
	changed := before.Err == nil || !state.SameCause(before)
	if changed {
		state.Since = now
	}
	a.current = state
	if changed || a.differs(before, now) {
		a.failed(state)
		a.logged = now
	}

	return state
}

// State returns the newest state.
func (a *Account) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()

	return a.current
}

// differs reports whether an error without a reason is worth another line.
func (a *Account) differs(before State, now time.Time) bool {
	return a.current.Reason == "" &&
		a.current.Err.Error() != before.Err.Error() &&
		now.Sub(a.logged) >= relogAfter
}

// failed logs a cause.
func (a *Account) failed(state State) {
	switch {
	case a.Log == nil:

	case state.Permanent:
		a.Log.Errorf("%s: %v", a.Name, state.Err)

	default:
		a.Log.Warnf("%s: %v", a.Name, state.Err)
	}
}

// recovered logs the end of a cause.
func (a *Account) recovered(before State) {
	if a.Log == nil {
		return
	}
	a.Log.Infof("%s: ready, after %v", a.Name,
		a.now().Sub(before.Since).Round(time.Second))
}

// now returns the time.
func (a *Account) now() time.Time {
	if a.Clock == nil {
		return time.Now()
	}

	return a.Clock.Now()
}
