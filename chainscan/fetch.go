package chainscan

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// errStalled says that no block arrived within the time given.
var errStalled = errors.New("no block arrived")

// block is a block that was fetched and checked against its hash, or the header
// of one that its filter rules out.
type block struct {
	BlockStamp

	// raw is the serialised block or header.
	raw []byte

	// filter is the block's filter, if the scan reads filters.
	filter []byte
}

// ruledOut tells whether only the block's header is known.
func (b *block) ruledOut() bool {
	return len(b.raw) == headerSize
}

// fetcher fetches the blocks of some heights, several at the same time, and
// hands them out in order. Which block is at a height is asked for each one
// alone: the receiver checks that each follows the one before.
type fetcher struct {
	source Source
	blocks *blockSources
	pace   *pace
	tuning *tuning
	faults *faults

	// mu guards heights, those to ask for.
	mu      sync.Mutex
	heights []int32

	// order yields, in the order of heights, where each block will arrive.
	// There is room for as many as the pace allows.
	order chan *request

	// current is the request that the receiver waits for.
	current *request

	cancel context.CancelFunc
	group  sync.WaitGroup

	// verifiers is no part of the fetcher: the runtime holds on to a pool
	// until it has collected garbage twice.
	verifiers *sync.Pool
}

// request is a block on its way.
type request struct {
	height   int32
	reserved int
	done     chan struct{}
	block    block
	err      error
}

// newFetcher begins to fetch the blocks of some heights. The hashes come from
// the source, the blocks from those that have them.
func newFetcher(ctx context.Context, source Source, blocks *blockSources,
	pace *pace, tuning *tuning, faults *faults,
	heights []int32) *fetcher {

	ctx, cancel := context.WithCancel(ctx)
	f := &fetcher{
		source:  source,
		blocks:  blocks,
		pace:    pace,
		tuning:  tuning,
		faults:  faults,
		heights: heights,
		order:   make(chan *request, paceHeld),
		cancel:  cancel,
		verifiers: &sync.Pool{
			New: func() any { return newVerifier() },
		},
	}
	stop := context.AfterFunc(ctx, pace.wake)
	f.group.Go(func() { f.dispatch(ctx) })
	go func() {
		f.group.Wait()
		stop()
		close(f.order)
	}()

	return f
}

// heightsFrom returns the heights from one to another.
func heightsFrom(first, last int32) []int32 {
	heights := make([]int32, 0, max(last-first+1, 0))
	for height := first; height <= last; height++ {
		heights = append(heights, height)
	}

	return heights
}

// dispatch starts as many goroutines that make requests as the pace allows.
func (f *fetcher) dispatch(ctx context.Context) {
	for {
		reserved, err := f.pace.acquire(ctx)
		if err != nil {
			return
		}
		r := f.request(reserved)
		if r == nil {
			return
		}
		f.group.Go(func() { f.work(ctx, r) })
	}
}

// work makes one request after another until the pace allows no more.
func (f *fetcher) work(ctx context.Context, r *request) {
	for r != nil {
		reserved, more := f.run(ctx, r)
		if !more {
			return
		}
		r = f.request(reserved)
	}
}

// request takes the next height. After the last it gives back what was reserved
// and returns nil.
func (f *fetcher) request(reserved int) *request {
	f.mu.Lock()
	defer f.mu.Unlock()

	if len(f.heights) == 0 {
		f.pace.abandon(reserved)

		return nil
	}
	r := &request{
		height:   f.heights[0],
		reserved: reserved,
		done:     make(chan struct{}),
	}
	f.heights = f.heights[1:]
	f.order <- r

	return r
}

// run makes a request and tells whether another may follow, with the bytes that
// are reserved for it.
func (f *fetcher) run(ctx context.Context, r *request) (int, bool) {
	defer close(r.done)

	v := f.verifiers.Get().(*verifier)
	defer f.verifiers.Put(v)

	r.block, r.err = f.fetch(ctx, r.height, v)

	return f.pace.fetched(r.reserved, len(r.block.raw), ctx.Err() == nil)
}

// fetch gets one block, with retries until the context ends or the source says
// that it does not have the block.
func (f *fetcher) fetch(ctx context.Context, height int32,
	verifier *verifier) (block, error) {

	backoff := newBackoff(f.tuning)
	for {
		blk, err := f.attempt(ctx, height, verifier)
		switch {
		case ctx.Err() != nil:
			return block{}, ctx.Err()

		case err == nil:
			return blk, nil

		case errors.Is(err, ErrUnavailable):
			return block{}, &UnavailableError{
				Block: blk.BlockStamp,
				Err:   err,
			}
		}

		log.Debugf("Unable to get block %d: %v", height, err)
		f.faults.set(err)
		f.pace.failed()
		if err := backoff.wait(ctx); err != nil {
			return block{}, err
		}
	}
}

// attempt asks the source once. With an error the block's stamp names what was
// asked for.
func (f *fetcher) attempt(ctx context.Context, height int32,
	verifier *verifier) (block, error) {

	stamp := BlockStamp{Height: height}
	hash, err := f.source.BlockHash(ctx, height)
	if err != nil {
		return block{BlockStamp: stamp}, err
	}
	stamp.Hash = hash

	raw, err := f.blocks.fetch(ctx, hash, verifier)

	return block{BlockStamp: stamp, raw: raw}, err
}

// next waits for the next block. It returns errStalled if there is none within
// the given time, and can then be called again. After the last block it must
// not be called. The block counts as held until release is called with it.
func (f *fetcher) next(ctx context.Context, patience time.Duration) (block,
	error) {

	timer := time.NewTimer(patience)
	defer timer.Stop()

	if f.current == nil {
		select {
		case f.current = <-f.order:
		case <-timer.C:
			return block{}, errStalled
		case <-ctx.Done():
			return block{}, ctx.Err()
		}
	}

	// The order is closed early only when the context ended.
	if f.current == nil {
		return block{}, context.Canceled
	}

	select {
	case <-f.current.done:
	case <-timer.C:
		return block{}, errStalled
	case <-ctx.Done():
		return block{}, ctx.Err()
	}

	r := f.current
	f.current = nil
	if r.err != nil {
		f.pace.release(0)
	}

	return r.block, r.err
}

// release says that a block from next was walked.
func (f *fetcher) release(blk block) {
	f.pace.release(len(blk.raw))
}

// stop ends all requests. It waits for them in the background: a source that
// ignores its context must not hold up a cancel.
func (f *fetcher) stop() {
	f.cancel()

	current := f.current
	f.current = nil
	go func() {
		if current != nil {
			<-current.done
			f.pace.release(len(current.block.raw))
		}
		for r := range f.order {
			<-r.done
			f.pace.release(len(r.block.raw))
		}
		f.group.Wait()
	}()
}

// backoff is the growing pause between two attempts.
type backoff struct {
	next, limit time.Duration
}

// newBackoff returns the pauses of a tuning.
func newBackoff(tuning *tuning) *backoff {
	return &backoff{
		next:  tuning.backoffMin,
		limit: tuning.backoffMax,
	}
}

// wait pauses, between half and all of the current pause, which then doubles.
func (b *backoff) wait(ctx context.Context) error {
	pause := b.next/2 + rand.N(b.next/2+1)
	b.next = min(2*b.next, b.limit)

	timer := time.NewTimer(pause)
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// faults remembers the last passing error of the source until a block arrives.
type faults struct {
	mu   sync.Mutex
	last error
}

// set remembers an error.
func (f *faults) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.last = err
}

// get returns the last error, or nil.
func (f *faults) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.last
}
