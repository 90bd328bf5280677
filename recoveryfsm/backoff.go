package recoveryfsm

import "time"

// Backoff says how long a run waits after a failed attempt: Min after the
// first, twice as long after each further one, Max at most; less a random part
// of up to Jitter.
type Backoff struct {
	// Min is the wait after the first failed attempt.
	Min time.Duration

	// Max is the longest wait.
	Max time.Duration

	// Jitter is the largest part of the wait that is taken off, from 0 to
	// 1.
	Jitter float64
}

// DefaultBackoff is used if Config.Backoff is zero. What passes usually passes
// with lnd's restart, which takes a few seconds.
var DefaultBackoff = Backoff{
	Min:    time.Second,
	Max:    30 * time.Second,
	Jitter: 0.2,
}

// delay returns the wait after the given number of failed attempts, at least
// one. Random is between 0 and 1.
func (b Backoff) delay(attempts uint32, random float64) time.Duration {
	delay := b.Min
	for i := uint32(1); i < attempts && delay < b.Max; i++ {
		delay *= 2
	}
	delay = min(delay, b.Max)

	return delay - time.Duration(float64(delay)*b.Jitter*random)
}
