package chainscan

import (
	"context"
	"sync"
	"time"
)

const (
	// paceStart is the number of requests in flight at the beginning.
	paceStart = 8

	// paceMax is the largest number of requests in flight. lnd on bitcoind
	// has its node answer one at a time; more only wait there.
	paceMax = 64

	// paceGain is the factor by which twice the requests in flight must
	// raise the rate for the larger number to be kept. It is small: as
	// many requests as the source works on at the same time leave it
	// waiting for the next one whenever one ends, and a few more do not.
	paceGain = 1.04

	// paceWindow is the shortest time of a measurement. In a shorter one
	// the gain would be lost in the noise.
	paceWindow = 40 * time.Millisecond

	// paceHold is the number of measurements after which a larger number
	// is tried again.
	paceHold = 16

	// paceHeld is the largest number of blocks that are requested, or
	// fetched and not walked yet.
	paceHeld = 2 * paceMax

	// paceBytes is the memory for blocks that were fetched and not walked
	// yet, in bytes.
	paceBytes = 32 << 20

	// paceEstimate is the size of a block before any was seen.
	paceEstimate = paceBytes / paceStart
)

// pace decides how many blocks are requested at the same time. It raises the
// number while that raises the rate, lowers it on errors, and keeps the bytes
// that are requested, or fetched and not walked yet, within a budget. It is
// safe for concurrent use.
type pace struct {
	mu   sync.Mutex
	cond *sync.Cond

	// limit is the number of requests that may be in flight; it never
	// exceeds bound.
	limit, bound int

	// inFlight is the number that are; held is the number of blocks that
	// are in flight or fetched and not released; heldBytes are their
	// bytes, by estimate for those in flight.
	inFlight, held int
	heldBytes      int

	// estimate is the size of the next block, a maximum that decays.
	estimate int

	// warmUp is the number of answers that the current measurement leaves
	// out; counted, since its begin, are the others.
	warmUp, counted int
	since           time.Time

	// rate is the rate, in blocks a second, before the limit was last
	// raised; hold is the number of measurements until the next try.
	rate float64
	hold int
}

// newPace returns a pace with the starting number of requests, and with at most
// the given one; zero bounds nothing.
func newPace(bound int) *pace {
	if bound <= 0 || bound > paceMax {
		bound = paceMax
	}
	start := min(paceStart, bound)
	p := &pace{
		bound:    bound,
		limit:    start,
		estimate: paceEstimate,
		warmUp:   start,
	}
	p.cond = sync.NewCond(&p.mu)

	return p
}

// acquire waits until another block may be requested. It returns the bytes
// that were reserved for it. It does not notice by itself that the context
// ends, see wake.
func (p *pace) acquire(ctx context.Context) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	for ctx.Err() == nil && !p.free() {
		p.cond.Wait()
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}

	return p.reserve(), nil
}

// reserve counts another request and returns the bytes reserved for it. If one
// more may follow, it wakes who waits for that.
func (p *pace) reserve() int {
	p.inFlight++
	p.held++
	p.heldBytes += p.estimate
	p.offer()

	return p.estimate
}

// abandon takes back a request that was not made.
func (p *pace) abandon(reserved int) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.inFlight--
	p.held--
	p.heldBytes -= reserved
	p.offer()
}

// wake lets all waiting goroutines look again.
func (p *pace) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.cond.Broadcast()
}

// free tells whether another request may be made.
func (p *pace) free() bool {
	if p.held == 0 {
		return true
	}

	return p.inFlight < p.limit && p.held < paceHeld &&
		p.heldBytes+p.estimate <= paceBytes
}

// fetched says that a request has ended. It replaces the reserved bytes by the
// block's own; none for a request that was given up. If another is wanted and
// may be made, it returns the bytes reserved for that.
func (p *pace) fetched(reserved, size int, another bool) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.inFlight--
	p.heldBytes += size - reserved
	if size > 0 {
		p.estimate = max(size, p.estimate-p.estimate/8)
		p.measure(time.Now())
	}
	if another && p.free() {
		return p.reserve(), true
	}
	p.offer()

	return 0, false
}

// release says that a fetched block is not held any more.
func (p *pace) release(size int) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.held--
	p.heldBytes -= size
	p.offer()
}

// offer wakes all who wait for another request if one may be made. It is one of
// each fetcher, and all but one of these have been stopped.
func (p *pace) offer() {
	if p.free() {
		p.cond.Broadcast()
	}
}

// failed says that the source gave an error.
func (p *pace) failed() {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.hold = paceHold
	p.change(max(p.limit/2, 1))
}

// measure counts an answer and, after enough of them, compares the rate with
// that of the smaller number of requests.
func (p *pace) measure(now time.Time) {
	if p.warmUp > 0 {
		p.warmUp--
		p.since, p.counted = now, 0

		return
	}

	p.counted++
	took := now.Sub(p.since)
	if p.counted < 2*p.limit || took < paceWindow {
		return
	}

	rate := float64(p.counted) / took.Seconds()
	p.since, p.counted = now, 0

	// Twice as many did not pay.
	if p.hold == 0 && rate <= paceGain*p.rate {
		p.hold = paceHold
		p.change(max(p.limit/2, 1))

		return
	}

	if p.hold = max(p.hold-1, 0); p.hold > 0 {
		return
	}
	p.rate = rate
	if p.limit == p.bound {
		p.hold = paceHold

		return
	}
	p.change(min(2*p.limit, p.bound))
}

// change sets the number of requests and begins a new measurement.
func (p *pace) change(limit int) {
	p.limit = limit
	p.warmUp = limit
}
