package actions

import (
	"context"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/generation"
)

// Backups finds and opens backup files. Its methods need lnd's shared key;
// while lnd is locked or down they return a passing error.
type Backups interface {
	// List reads every file in every backup place whose name claims to be
	// a backup and judges it. A place that cannot be listed is an error
	// of type *backup.PlaceError; the entries of the other places are
	// returned beside it.
	List(ctx context.Context) ([]backup.Entry, error)

	// Judge reads and judges one file by path.
	Judge(ctx context.Context, path string) (backup.Entry, error)
}

// Node is lnd as the actions see it. Every method is one or a few RPCs; an
// error is passing unless stated.
type Node interface {
	// Identity returns lnd's identity key.
	Identity(ctx context.Context) ([33]byte, error)

	// Params returns the parameters of the network that loopd was
	// configured for.
	Params() *chaincfg.Params

	// DeriveKey returns the public key at a locator. It moves no counter.
	DeriveKey(ctx context.Context, locator keychain.KeyLocator) (
		*btcec.PublicKey, error)

	// Account returns the extended public key of a key family, whose
	// children 0/index are lnd's keys, and the next index that
	// AdvanceKey would hand out.
	Account(ctx context.Context, family int32) (*hdkeychain.ExtendedKey,
		uint32, error)

	// AdvanceKey derives the next key of a family, which moves lnd's
	// counter by one, and returns the index derived.
	AdvanceKey(ctx context.Context, family int32) (uint32, error)

	// ImportScript makes lnd's wallet watch a static address. It returns
	// false if the wallet watches it already.
	ImportScript(ctx context.Context, address *script.StaticAddress) (bool,
		error)
}

// Chain is the best chain as lnd's node sees it.
type Chain interface {
	// BestBlock returns the tip. While the node is not synced, and so does
	// not know it, that is a passing error.
	BestBlock(ctx context.Context) (chainscan.BlockStamp, error)

	// BlockHash returns the hash of the best chain's block at a height.
	BlockHash(ctx context.Context, height int32) (chainhash.Hash, error)

	// BlockTime returns the time in the header of the best chain's block
	// at a height.
	BlockTime(ctx context.Context, height int32) (time.Time, error)
}

// Tokens is the L402 token file on this machine. Its methods do not need lnd.
type Tokens interface {
	// Probe says what is in place.
	Probe() (generation.TokenProbe, error)

	// Place publishes the token file durably and never replaces one:
	// an existing file is an error that wraps fs.ErrExist.
	Place(token []byte) error

	// SetAside moves a token file that does not parse to a named place
	// and returns that place. It refuses to move a file that parses.
	SetAside() (string, error)
}

// Rows is the table of static addresses in loopd's database. A second
// connection beside the embedded daemon's is in order.
type Rows interface {
	// All returns all rows.
	All(ctx context.Context) ([]*script.Parameters, error)

	// Create inserts a row.
	Create(ctx context.Context, row *script.Parameters) error
}

// Gate holds the embedded daemon back while the token file or the address row
// is written.
type Gate interface {
	// Close returns when the embedded daemon is down and will stay down
	// until Open. It is idempotent. If swaps or withdrawals are in flight
	// it returns a *BlockError with states.SwapsInFlight and leaves the
	// daemon up.
	Close(ctx context.Context) error

	// Open lets the embedded daemon start again. It is idempotent and does
	// not wait for the daemon to be up.
	Open()
}

// Visibility is the memory of what lnd's wallet cannot see (package lndview).
type Visibility interface {
	// ImportIntent is saved before a script is imported: until
	// ImportDone the wallet counts as blind for it.
	ImportIntent(ctx context.Context, pkScript []byte) error

	// ImportDone records whether the script was new to the wallet.
	ImportDone(ctx context.Context, pkScript []byte, isNew bool) error

	// Publish makes the result of a finished scan known to the embedded
	// daemon, outputs and spends together, and ends the blindness for the
	// scripts the scan covered. It is idempotent.
	Publish(ctx context.Context, runID string,
		result *chainscan.Result) error
}

// Scanner runs the chain scan of a run. Progress is kept with the run by the
// implementation.
type Scanner interface {
	// Scan resumes or begins the scan of the run. See chainscan.Run for
	// its errors.
	Scan(ctx context.Context, runID string, request ScanRequest) (
		*chainscan.Result, error)

	// Result returns the outputs that the run's scan has stored.
	Result(ctx context.Context, runID string) ([]chainscan.Output, error)
}

// ScanRequest is what a scan looks for.
type ScanRequest struct {
	// Birthday is the first height to walk.
	Birthday int32

	// Families are the scripts to look for.
	Families []chainscan.Family

	// LookAhead is the number of scripts beyond the last used one that are
	// tested in each family that grows. It is twice Deps.LookAhead: see
	// scanLookAhead.
	LookAhead uint32
}

// Deps are the ports and settings of all actions.
type Deps struct {
	Backups    Backups
	Node       Node
	Chain      Chain
	Tokens     Tokens
	Rows       Rows
	Gate       Gate
	Visibility Visibility
	Scanner    Scanner

	// Network is the network as loopd spells it.
	Network string

	// LookAhead is the number of keys beyond the last used one of a family
	// that may have been handed out without being used;
	// chainscan.DefaultLookAhead if zero.
	LookAhead uint32

	// KeyMargin is how many keys of the legacy family, beyond the highest
	// known one, are not handed out again after a restore: HTLC keys of
	// that family leave no trace to scan for.
	KeyMargin uint32

	// IndexBound is the highest index at which a client key is looked for
	// whose backup does not tell its index; DefaultIndexBound if zero.
	IndexBound uint32
}

// DefaultKeyMargin is the default of Deps.KeyMargin, in keys.
const DefaultKeyMargin = 1_000

// DefaultIndexBound is the default of Deps.IndexBound. Keys of swap HTLCs share
// the family, so that an index above 20 is ordinary.
const DefaultIndexBound = 10_000
