package explore

import (
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/clock"
)

const (
	// deadline is the deadline of every state. It is longer than anything
	// else that waits, so that a wait for it is told by its length.
	deadline = 1_000 * time.Hour

	// jump is how far a clock is set back.
	jump = time.Hour

	// longestWait is the longest time that a run may wait for its next
	// attempt. Longer ones look as if it had died.
	longestWait = time.Minute

	// maxWaits is more often than a run under two faults tries again.
	maxWaits = 30
)

// fakeClock is a clock that goes on whenever it is looked at, whose waits are
// over at once, and whose deadlines have to be made to pass.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	guards []guard

	// waits counts the waits; stuck is called when there are too many.
	waits int
	stuck func()

	// tooLong is the longest wait that was longer than longestWait.
	tooLong time.Duration
}

// guard is a deadline that somebody waits for.
type guard struct {
	due  time.Time
	over chan time.Time
}

// A compile-time check of the interface.
var _ clock.Clock = (*fakeClock)(nil)

// newClock returns a clock that shows the time of the twin's chain.
func newClock() *fakeClock {
	return &fakeClock{
		now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
	}
}

// Now implements clock.Clock.
func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.now = c.now.Add(time.Millisecond)

	return c.now
}

// TickAfter implements clock.Clock.
func (c *fakeClock) TickAfter(duration time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()

	over := make(chan time.Time, 1)
	if duration > deadline/2 {
		c.guards = append(c.guards, guard{c.now.Add(duration), over})
		return over
	}
	if duration > longestWait {
		c.tooLong = max(c.tooLong, duration)
	}
	// One that tries again and again for ever is told by the number.
	c.waits++
	if c.waits > maxWaits {
		c.stuck()
		return over
	}
	c.now = c.now.Add(max(duration, 0))
	over <- c.now

	return over
}

// passDeadline lets every deadline pass that is waited for.
func (c *fakeClock) passDeadline() {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.now = c.now.Add(deadline + 2*jump)
	var left []guard
	for _, guard := range c.guards {
		if guard.due.After(c.now) {
			left = append(left, guard)
			continue
		}
		guard.over <- c.now
	}
	c.guards = left
}

// jumpBack sets the clock back.
func (c *fakeClock) jumpBack() {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.now = c.now.Add(-jump)
}
