package chainscan

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
)

// slowSource is a source whose calls take time, and of which a number can be
// under way at the same time.
type slowSource struct {
	Source

	latency time.Duration
	cap     chan struct{}
}

// wait takes the time of a call.
func (s *slowSource) wait(ctx context.Context) error {
	s.cap <- struct{}{}
	defer func() { <-s.cap }()

	select {
	case <-time.After(s.latency):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// BlockHash returns the hash at a height.
func (s *slowSource) BlockHash(ctx context.Context, height int32) (
	chainhash.Hash, error) {

	if err := s.wait(ctx); err != nil {
		return chainhash.Hash{}, err
	}

	return s.Source.BlockHash(ctx, height)
}

// Block returns a block.
func (s *slowSource) Block(ctx context.Context, hash chainhash.Hash) ([]byte,
	error) {

	if err := s.wait(ctx); err != nil {
		return nil, err
	}

	return s.Source.Block(ctx, hash)
}

// emptyBranch returns a chain of blocks with one transaction that has an output
// script of the given size.
func emptyBranch(blocks, size int) simBranch {
	var branch simBranch
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{})
	tx.AddTxOut(wire.NewTxOut(1, make([]byte, size)))
	for range blocks {
		branch = branch.extend([]*wire.MsgTx{tx}, 0)
	}

	return branch
}

// blocksOf returns the blocks of a source alone.
func blocksOf(source Source) *blockSources {
	return newBlockSources(&Config{Source: source})
}

// fetchAll fetches a whole branch in order.
func fetchAll(t *testing.T, source Source, branch simBranch) {
	t.Helper()

	var (
		tuning = quickTuning()
		last   = int32(len(branch) - 1)
	)
	f := newFetcher(
		t.Context(), source, blocksOf(source), newPace(0), &tuning,
		&faults{},
		heightsFrom(0, last),
	)
	defer f.stop()

	for _, wanted := range branch {
		blk, err := f.next(t.Context(), time.Minute)
		require.NoError(t, err)
		require.Equal(t, wanted.BlockStamp, blk.BlockStamp)
		require.Equal(t, wanted.raw, blk.raw)
		f.release(blk)
	}
}

// TestFetchOrder: blocks arrive in the order of the chain, each as it is, even
// if every third call fails.
func TestFetchOrder(t *testing.T) {
	t.Parallel()

	branch := emptyBranch(500, 10)
	source := newSimSource(branch)
	source.onCall = func(call int) error {
		if call%3 == 0 {
			return errInjected
		}

		return nil
	}
	fetchAll(t, source, branch)
}

// drive lets a pace see the answers of a source that takes a second for each
// and works on a number of requests at the same time.
func drive(p *pace, now *time.Time, limit, answers int) {
	for range answers {
		*now = now.Add(time.Second / time.Duration(
			min(p.limit, limit),
		))
		p.measure(*now)
	}
}

// TestFetchAdapts: more blocks are requested at the same time as long as that
// brings them faster, and no more than that.
func TestFetchAdapts(t *testing.T) {
	t.Parallel()

	for limit, wanted := range map[int]int{
		1: paceStart, 16: 16, 30: 32, 1_000: paceMax,
	} {
		p, now := newPace(0), time.Unix(1_000, 0)
		drive(p, &now, limit, 1_000)

		// It stays so, but for a try of twice as many now and then.
		tries := 0
		for range 200 {
			drive(p, &now, limit, 100)
			if p.limit != wanted {
				require.Equal(t, 2*wanted, p.limit)
				tries++
			}
		}
		require.Less(t, tries, 100, "limit %d", limit)
	}
}

// TestFetchErrors: after errors there are fewer requests, and in time as many
// as before again.
func TestFetchErrors(t *testing.T) {
	t.Parallel()

	p := newPace(0)
	for range 10 {
		p.failed()
	}
	require.Equal(t, 1, p.limit)

	now := time.Unix(1_000, 0)
	drive(p, &now, 1_000, 10_000)
	require.Greater(t, p.limit, paceMax/4)
}

// TestFetchMemory: however far the walk is behind, no more is fetched than the
// memory allows.
func TestFetchMemory(t *testing.T) {
	t.Parallel()

	const size = 1 << 20
	branch := emptyBranch(100, size)
	source := newSimSource(branch)

	var (
		tuning = quickTuning()
		pace   = newPace(0)
	)
	f := newFetcher(
		t.Context(), source, blocksOf(source), pace, &tuning, &faults{},
		heightsFrom(0, 99),
	)
	defer f.stop()

	// Nothing is walked until nothing is fetched any more.
	quiet := func() bool {
		pace.mu.Lock()
		defer pace.mu.Unlock()

		return pace.inFlight == 0 && !pace.free()
	}
	require.Eventually(t, quiet, time.Minute, time.Millisecond)
	pace.mu.Lock()
	require.LessOrEqual(t, pace.heldBytes, paceBytes)
	require.LessOrEqual(t, pace.held*size, paceBytes)
	require.Positive(t, pace.held)
	pace.mu.Unlock()

	for range branch {
		blk, err := f.next(t.Context(), time.Minute)
		require.NoError(t, err)
		f.release(blk)
	}
	f.group.Wait()
	require.Zero(t, pace.held)
	require.Zero(t, pace.heldBytes)
}

// deafSource ignores its context.
type deafSource struct {
	*simSource
	hold sync.WaitGroup
}

// Block waits for the end of the test.
func (s *deafSource) Block(context.Context, chainhash.Hash) ([]byte, error) {
	s.hold.Wait()

	return nil, errInjected
}

// TestCancelDeafSource: not even a source that ignores its context can hold up
// a cancel.
func TestCancelDeafSource(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 3, nil)
	source := &deafSource{simSource: f.source}
	source.hold.Add(1)
	defer source.hold.Done()
	f.cfg.Source = source

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()

	began := time.Now()
	_, err := run(ctx, f.cfg, f.tuning)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), time.Second)
}

// TestFetchAfterStop: requests that a stopped fetcher has left behind count
// until they end, and then the next fetcher goes on. If this breaks, a scan
// hangs after a reorg.
func TestFetchAfterStop(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		const blocks = 200
		var (
			branch = emptyBranch(blocks, 10)
			deaf   = &deafSource{simSource: newSimSource(branch)}
			tuning = quickTuning()
			pace   = newPace(0)
		)
		deaf.hold.Add(1)
		stopped := newFetcher(
			t.Context(), deaf, blocksOf(deaf), pace, &tuning,
			&faults{},
			heightsFrom(0, blocks-1),
		)
		synctest.Wait()
		require.Equal(t, paceStart, pace.inFlight)
		stopped.stop()

		source := newSimSource(branch)
		f := newFetcher(
			t.Context(), source, blocksOf(source), pace, &tuning,
			&faults{}, heightsFrom(0, blocks-1),
		)
		defer f.stop()
		synctest.Wait()
		require.Equal(t, paceStart, pace.held)

		deaf.hold.Done()
		for range branch {
			blk, err := f.next(t.Context(), time.Minute)
			require.NoError(t, err)
			f.release(blk)
		}
		synctest.Wait()
		require.Zero(t, pace.inFlight)
		require.Zero(t, pace.held)
		require.Zero(t, pace.heldBytes)
	})
}
