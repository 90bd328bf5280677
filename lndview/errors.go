package lndview

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
)

var (
	// ErrPaged is returned by ListTransactions if the caller asks for a
	// page of the list while outputs are added to it.
	ErrPaged = errors.New("a list of transactions that is completed from " +
		"the chain cannot be read in pages")

	// ErrNoScripts is returned by Publish if the caller does not say which
	// scripts the scan tested.
	ErrNoScripts = errors.New("a scan was published without the scripts " +
		"it tested")

	// ErrBroken is wrapped by an error that says that a change would make
	// the ledger contradict itself; it was not stored.
	ErrBroken = errors.New("inconsistent change of the view's ledger")

	// errMoved says that the best chain changed under a call, which begins
	// again.
	errMoved = errors.New("the best chain changed")
)

// LedgerError says that the ledger cannot be read or written. What must not be
// forgotten was not done; answers go on without the ledger.
type LedgerError struct {
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *LedgerError) Error() string {
	return fmt.Sprintf("what lnd's wallet cannot see cannot be saved or "+
		"read: %v", e.Err)
}

// Unwrap returns the cause.
func (e *LedgerError) Unwrap() error {
	return e.Err
}

// BehindError says that the chain has not been followed to lnd's tip yet, or
// that the tip is below what was followed, on the same chain. What was followed
// is kept.
type BehindError struct {
	// Followed is the last block that was walked.
	Followed chainscan.BlockStamp

	// Tip is lnd's tip.
	Tip chainscan.BlockStamp
}

// NodeIsBehind says whether lnd's node is below what was followed.
func (e *BehindError) NodeIsBehind() bool {
	return e.Followed.Height > e.Tip.Height
}

// Error implements error.
func (e *BehindError) Error() string {
	if e.NodeIsBehind() {
		return fmt.Sprintf("lnd's node is at block %d and catches up "+
			"to %d", e.Tip.Height, e.Followed.Height)
	}

	return fmt.Sprintf("still reading the blocks since the last start: at "+
		"%d of %d", e.Followed.Height, e.Tip.Height)
}

// ChainError says that a block could not be read, so that the chain cannot be
// followed.
type ChainError struct {
	// Height is the height of the block.
	Height int32

	// Err is the cause.
	Err error
}

// Error implements error.
func (e *ChainError) Error() string {
	return fmt.Sprintf("block %d cannot be read from the node: %v",
		e.Height, e.Err)
}

// Unwrap returns the cause.
func (e *ChainError) Unwrap() error {
	return e.Err
}

// FundingError says that the transaction that made a deposit was not found near
// the height that the embedded daemon's database names. The end of a scan
// settles it.
type FundingError struct {
	// OutPoint is the deposit.
	OutPoint wire.OutPoint

	// Height is the height in the database, 0 for an unconfirmed deposit.
	Height int32
}

// Error implements error.
func (e *FundingError) Error() string {
	return fmt.Sprintf("the transaction of deposit %v was not found near "+
		"block %d; nothing was reported. `loop recover rescan` "+
		"settles it", e.OutPoint, e.Height)
}

// UnverifiedError says that deposits are reported without proof, so that
// nothing is signed that could spend one: it may have been spent already.
type UnverifiedError struct {
	// OutPoints are these deposits.
	OutPoints []wire.OutPoint
}

// Error implements error.
func (e *UnverifiedError) Error() string {
	return fmt.Sprintf("%d deposits are not verified (%v), and nothing "+
		"was signed; `loop recover rescan` settles them",
		len(e.OutPoints), e.OutPoints[0])
}
