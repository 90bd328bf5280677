package chainscan

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// MaxBlockSize is the largest serialised block that is accepted from a source,
// in bytes. Consensus allows four million.
const MaxBlockSize = 4_000_000

// Source yields the blocks of the user's own node. The scanner calls it from
// several goroutines at once. An error that is neither ErrUnavailable nor a
// context error is taken as passing and retried.
type Source interface {
	// Name says what the source is, for the coverage report: for example
	// "lnd chainkit".
	Name() string

	// BestBlock returns the tip of the best chain.
	BestBlock(ctx context.Context) (BlockStamp, error)

	// BlockHash returns the hash of the best chain's block at a height.
	// The height can have left the best chain by the time of the call;
	// then the source returns an error or another hash.
	BlockHash(ctx context.Context, height int32) (chainhash.Hash, error)

	// Block returns the serialised block with the given hash. The scanner
	// checks the bytes against the hash and the merkle root itself.
	Block(ctx context.Context, hash chainhash.Hash) ([]byte, error)
}

// ErrUnavailable is wrapped by a source whose node does not have a block and
// will not get it by itself, for example because it is pruned.
var ErrUnavailable = errors.New("block not available from the node")

// UnavailableError names the first block that a scan could not get.
type UnavailableError struct {
	// Block is the missing block.
	Block BlockStamp

	// Err is the source's error.
	Err error
}

// Error implements error.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("block %d (%v) not available: %v", e.Block.Height,
		e.Block.Hash, e.Err)
}

// Unwrap returns the source's error.
func (e *UnavailableError) Unwrap() error {
	return e.Err
}
