package swapdb

import (
	"errors"
	"path/filepath"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/states"
)

// knownMigrations is the number of migrations of the embedded upstream, which
// is the version of the schema it leaves behind.
const knownMigrations = 21

const (
	// boltFilename is upstream's database of years ago, which the embedded
	// daemon still converts.
	boltFilename = "loop.db"

	// sqliteFilename is the file whose presence tells the embedded daemon
	// that there is nothing to convert.
	sqliteFilename = "loop_sqlite.db"
)

// Config says where the database is.
type Config struct {
	// DataDir is the network directory, where a database of years ago is.
	DataDir string

	// Sqlite is the database's file, if Postgres is nil.
	Sqlite *loopdb.SqliteConfig

	// Postgres is the database's server, or nil.
	Postgres *loopdb.PostgresConfig

	// Params is the network.
	Params *chaincfg.Params

	// InstantOuts says that the embedded daemon knows of instant outs,
	// which upstream hides behind --experimental.
	InstantOuts bool

	// whole says that the tables need not be read.
	whole bool
}

// name names the database to a person, without a password.
func (c *Config) name() string {
	if c.Postgres != nil {
		return c.Postgres.DSN(true)
	}

	return c.Sqlite.DatabaseFileName
}

// awaitsConversion reports whether the embedded daemon still has to convert
// its database of years ago. It does so only if the new one does not exist, so
// that we must not open, and thereby make, it first.
func (c *Config) awaitsConversion() bool {
	return c.Postgres == nil &&
		lnrpc.FileExists(filepath.Join(c.DataDir, boltFilename)) &&
		!lnrpc.FileExists(filepath.Join(c.DataDir, sqliteFilename))
}

// Trouble is the kind of a transient error of the database.
type Trouble string

const (
	// TroubleDenied means that we may not read the database.
	TroubleDenied Trouble = "permission denied"

	// TroubleDisk means that the disk failed, or is full.
	TroubleDisk Trouble = "input/output error"

	// TroubleLocked means that another program has the database locked.
	TroubleLocked Trouble = "locked by another program"

	// TroubleServer means that the database server does not answer, or not
	// to us.
	TroubleServer Trouble = "the server does not answer"

	// TroubleChanging means that the database changed under our eyes.
	TroubleChanging Trouble = "in use"

	// TroubleOther is any other.
	TroubleOther Trouble = "not readable"
)

// TransientError is an error that may go away by itself. Every error of this
// package about the database is this or a *states.PermanentError. It wraps a
// *states.TransientError with states.DatabaseDown.
type TransientError struct {
	// Trouble is the kind.
	Trouble Trouble

	// Err says what the database is, the kind, and the cause.
	Err error
}

// transient returns an error that may go away by itself.
func transient(name string, trouble Trouble, err error) error {
	return &TransientError{
		Trouble: trouble,
		Err: &states.TransientError{
			Reason: states.DatabaseDown,
			Detail: name + ": " + string(trouble),
			Err:    err,
		},
	}
}

// Error implements error.
func (e *TransientError) Error() string {
	return e.Err.Error()
}

// Unwrap returns the *states.TransientError.
func (e *TransientError) Unwrap() error {
	return e.Err
}

// damaged returns the error of a database that cannot be read by anybody.
func damaged(name string, err error) error {
	return &states.PermanentError{
		Reason: states.DatabaseDamaged, Detail: name, Err: err,
	}
}

// errNotRegular means that there is something else than a file.
var errNotRegular = errors.New("not a file")
