package chainscan

import (
	"context"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// promptSource is a source whose calls return as soon as their context ends,
// even if those of the source that it stands for do not. The scan's own
// goroutine asks through it, so that nothing holds up a cancel; the fetcher has
// a goroutine for each call anyway. An abandoned call ends by itself, if ever,
// and its answer is dropped.
type promptSource struct {
	source Source
}

var _ Source = promptSource{}

// Name names the source.
func (p promptSource) Name() string {
	return p.source.Name()
}

// BestBlock returns the tip of the best chain.
func (p promptSource) BestBlock(ctx context.Context) (BlockStamp, error) {
	return promptly(ctx, func() (BlockStamp, error) {
		return p.source.BestBlock(ctx)
	})
}

// BlockHash returns the hash of the best chain's block at a height.
func (p promptSource) BlockHash(ctx context.Context, height int32) (
	chainhash.Hash, error) {

	return promptly(ctx, func() (chainhash.Hash, error) {
		return p.source.BlockHash(ctx, height)
	})
}

// Block returns the serialised block with the given hash.
func (p promptSource) Block(ctx context.Context, hash chainhash.Hash) ([]byte,
	error) {

	return promptly(ctx, func() ([]byte, error) {
		return p.source.Block(ctx, hash)
	})
}

// promptly returns what a call returns, or the context's error if that ends
// first.
func promptly[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}

	// The buffer lets an abandoned call end.
	answers := make(chan answer, 1)
	go func() {
		value, err := call()
		answers <- answer{value: value, err: err}
	}()

	select {
	case a := <-answers:
		return a.value, a.err

	case <-ctx.Done():
		var none T

		return none, ctx.Err()
	}
}
