package chainscan

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/stretchr/testify/require"
)

// The methods of a source at which a hangingSource can hang.
const (
	callBestBlock = "BestBlock"
	callBlockHash = "BlockHash"
	callBlock     = "Block"
)

// hangingSource is a source that at some point does not answer any more.
type hangingSource struct {
	*simSource

	// method is where it hangs, and deaf says that it then does not even
	// notice a cancel.
	method string
	deaf   bool

	// calls has room for the calls of the method that are answered before,
	// unless again is set: then it hangs when a block is asked for that it
	// gave away already.
	calls chan struct{}
	again bool

	// hung tells of the first call that is not answered, and open lets go
	// of all of them.
	hung, open chan struct{}
}

// answers tells whether a call is answered.
func (s *hangingSource) answers(method string, hash chainhash.Hash) bool {
	if method != s.method {
		return true
	}
	if s.again {
		s.mu.Lock()
		defer s.mu.Unlock()

		return s.served[s.blocks[hash].Height] == 0
	}

	select {
	case s.calls <- struct{}{}:
		return true
	default:
		return false
	}
}

// pass returns at once, or hangs.
func (s *hangingSource) pass(ctx context.Context, method string,
	hash chainhash.Hash) error {

	if s.answers(method, hash) {
		return nil
	}

	select {
	case s.hung <- struct{}{}:
	default:
	}
	cancelled := ctx.Done()
	if s.deaf {
		cancelled = nil
	}
	select {
	case <-cancelled:
		return ctx.Err()
	case <-s.open:
		return errInjected
	}
}

// BestBlock returns the tip, or hangs.
func (s *hangingSource) BestBlock(ctx context.Context) (BlockStamp, error) {
	err := s.pass(ctx, callBestBlock, chainhash.Hash{})
	if err != nil {
		return BlockStamp{}, err
	}

	return s.simSource.BestBlock(ctx)
}

// BlockHash returns the hash at a height, or hangs.
func (s *hangingSource) BlockHash(ctx context.Context, height int32) (
	chainhash.Hash, error) {

	err := s.pass(ctx, callBlockHash, chainhash.Hash{})
	if err != nil {
		return chainhash.Hash{}, err
	}

	return s.simSource.BlockHash(ctx, height)
}

// Block returns a block, or hangs.
func (s *hangingSource) Block(ctx context.Context, hash chainhash.Hash) ([]byte,
	error) {

	if err := s.pass(ctx, callBlock, hash); err != nil {
		return nil, err
	}

	return s.simSource.Block(ctx, hash)
}

// TestCancelHangingSource: a source can hang at any of its calls, at the first
// block, in the middle, while a block of the record is fetched again and when
// the tip is asked for at the end. A cancel ends the scan at once all the same,
// whether the source notices it or not, and what was saved stays. If this
// breaks, a user who stops a stuck recovery waits for ever, and kills loopd.
func TestCancelHangingSource(t *testing.T) {
	t.Parallel()

	for _, place := range []struct {
		method string
		after  int
		again  bool
	}{
		{method: callBestBlock}, {method: callBestBlock, after: 1},
		{method: callBlockHash}, {method: callBlockHash, after: 20},
		{method: callBlock}, {method: callBlock, after: 20},
		{method: callBlock, again: true},
	} {
		for _, deaf := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				cancelHanging(
					t, place.method, place.after,
					place.again, deaf,
				)
			})
		}
	}
}

// cancelHanging cancels a scan while its source hangs, after so many calls of a
// method or when a block is asked for again.
func cancelHanging(t *testing.T, method string, after int, again, deaf bool) {
	f := newFixture(5, 60, 3, growth())
	source := &hangingSource{
		simSource: f.source,
		method:    method,
		deaf:      deaf,
		calls:     make(chan struct{}, after),
		again:     again,
		hung:      make(chan struct{}, 1),
		open:      make(chan struct{}),
	}
	f.cfg.Source = source

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := run(ctx, f.cfg, f.tuning)
		ended <- err
	}()

	<-source.hung
	began := time.Now()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Zero(t, time.Since(began), "%s after %d", method, after)

	// Only now does the source let go of the call.
	close(source.open)
	synctest.Wait()

	f.cfg.Source = f.source
	f.run(t)
}
