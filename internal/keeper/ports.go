package keeper

import (
	"context"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/generation"
)

// Keys returns the keys of the seed of the lnd of the moment. They are asked
// for each time and never kept. An error is passing.
type Keys func(ctx context.Context) (backup.Keys, error)

// Tokens is the L402 token file on this machine. Its methods read the disk of
// the data directory.
type Tokens interface {
	// Probe says what is in place.
	Probe() (generation.TokenProbe, error)

	// Read returns the bytes of the paid token's file. They are secret.
	Read() ([]byte, error)
}

// Rows is the table of static addresses in loopd's database.
type Rows interface {
	// All returns all rows.
	All(ctx context.Context) ([]*script.Parameters, error)
}

// Node is lnd's key tree. Every error is passing.
type Node interface {
	// DeriveKey returns the public key at a locator. It moves no counter.
	DeriveKey(ctx context.Context, locator keychain.KeyLocator) (
		*btcec.PublicKey, error)

	// Account returns the extended public key of a key family, whose
	// children 0/index are lnd's keys, and the next index.
	Account(ctx context.Context, family int32) (*hdkeychain.ExtendedKey,
		uint32, error)
}

// Chain is the best chain as lnd's node sees it. Every error is passing.
type Chain interface {
	// BestBlock returns the tip.
	BestBlock(ctx context.Context) (chainscan.BlockStamp, error)

	// BlockTime returns the time in the header of the best chain's block
	// at a height.
	BlockTime(ctx context.Context, height int32) (time.Time, error)
}

// Disk tells what directory a path leads to. Its method may never return: it
// is called in the goroutine of the place.
type Disk interface {
	// Identify follows links. An error is that of the directory: it does
	// not exist, or may not be reached.
	Identify(path string) (Identity, error)
}

// Identity is a directory on this machine.
type Identity struct {
	// Device and Inode are the same for two paths to one directory. Both
	// are 0 where the system does not tell.
	Device, Inode uint64

	// MountRoot is the directory at which the file system is mounted that
	// the directory is on, or "" where the system does not tell.
	MountRoot string
}

// known reports whether the system tells directories apart.
func (i Identity) known() bool {
	return i != Identity{}
}

// Memory is what the keeper remembers of earlier lives of the process. Its
// methods are called from several goroutines. Nothing depends on it alone: a
// method that fails, or a memory that was lost, proves and refutes nothing.
type Memory interface {
	// Pair returns the strongest recorded proof that a token and an
	// address belong together, or nil.
	Pair(ctx context.Context, id PairID) (*Pair, error)

	// RecordPair records a proof. A stronger one that is recorded stays.
	RecordPair(ctx context.Context, pair Pair) error

	// MountRoot returns the recorded mount root of a place, or "".
	MountRoot(ctx context.Context, place string) (string, error)

	// RecordMountRoot records the mount root of a place.
	RecordMountRoot(ctx context.Context, place, root string) error
}
