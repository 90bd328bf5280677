package loopd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/staticaddr/address"
	"github.com/lightninglabs/loop/staticaddr/deposit"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/owner"
	"github.com/looprecovery/looprecovery/lndview"
)

// boltFilename is upstream's database of years ago, which the embedded daemon
// still converts.
const boltFilename = "loop.db"

// sqliteFilename is the file whose presence tells the embedded daemon that
// there is nothing to convert.
const sqliteFilename = "loop_sqlite.db"

// loopDatabase is a second connection to the embedded daemon's database, for
// the address row and the deposits.
type loopDatabase struct {
	cfg    *Config
	params *chaincfg.Params

	// owns reports whether this process owns the database. Nobody else
	// touches it: opening it alone brings its schema up to date.
	owns func() bool

	mu     sync.Mutex
	base   *loopdb.BaseDB
	closed bool
}

// Compile-time checks of the ports.
var (
	_ actions.Rows = (*loopDatabase)(nil)
	_ lndview.Rows = (*loopDatabase)(nil)
)

// open returns the connection and makes it at the first call. The schema is
// brought up to date as the embedded daemon would do it: both are of the same
// version.
func (l *loopDatabase) open() (*loopdb.BaseDB, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.closed || !l.owns() {
		return nil, owner.ErrNotOwner
	}
	if l.base != nil {
		return l.base, nil
	}

	switch l.cfg.DatabaseBackend {
	case upstream.DatabaseBackendSqlite:
		store, err := loopdb.NewSqliteStore(l.cfg.Sqlite, l.params)
		if err != nil {
			return nil, fmt.Errorf("loop database: %w", err)
		}
		l.base = store.BaseDB

	case upstream.DatabaseBackendPostgres:
		store, err := loopdb.NewPostgresStore(l.cfg.Postgres, l.params)
		if err != nil {
			return nil, fmt.Errorf("loop database: %w", err)
		}
		l.base = store.BaseDB

	default:
		return nil, fmt.Errorf("unknown database backend: %s",
			l.cfg.DatabaseBackend)
	}

	return l.base, nil
}

// close ends the connection for good.
func (l *loopDatabase) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.closed = true
	if l.base == nil {
		return nil
	}
	err := l.base.Close()
	l.base = nil

	return err
}

// awaitsConversion reports whether the embedded daemon still has to convert
// its database of years ago. It does so only if the new one does not exist, so
// that we must not open, and thereby make, it first.
func (l *loopDatabase) awaitsConversion() bool {
	return l.cfg.DatabaseBackend == upstream.DatabaseBackendSqlite &&
		lnrpc.FileExists(filepath.Join(l.cfg.DataDir, boltFilename)) &&
		!lnrpc.FileExists(filepath.Join(l.cfg.DataDir, sqliteFilename))
}

// All implements actions.Rows.
func (l *loopDatabase) All(ctx context.Context) ([]*script.Parameters, error) {
	if l.awaitsConversion() {
		return nil, nil
	}
	base, err := l.open()
	if err != nil {
		return nil, err
	}

	return address.NewSqlStore(base).GetAllStaticAddresses(ctx)
}

// errAwaitsConversion is passing: the embedded daemon converts at its start.
var errAwaitsConversion = errors.New("the old loop database was not " +
	"converted yet")

// Create implements actions.Rows.
func (l *loopDatabase) Create(ctx context.Context,
	row *script.Parameters) error {

	if l.awaitsConversion() {
		return errAwaitsConversion
	}
	base, err := l.open()
	if err != nil {
		return err
	}

	return address.NewSqlStore(base).CreateStaticAddress(ctx, row)
}

// LiveDeposits implements lndview.Rows.
func (l *loopDatabase) LiveDeposits(ctx context.Context) ([]lndview.Deposit,
	error) {

	rows, deposits, err := l.live(ctx)
	if err != nil {
		return nil, err
	}

	var live []lndview.Deposit
	for _, row := range deposits {
		live = append(live, lndview.Deposit{
			OutPoint:           row.OutPoint,
			PkScript:           rows[0].PkScript,
			Value:              btcutil.Amount(row.Value),
			ConfirmationHeight: row.ConfirmationHeight,
			State:              string(row.GetState()),
		})
	}

	return live, nil
}

// live returns the addresses of the database and those of their deposits that
// are not at their end. Without an address there is no deposit.
func (l *loopDatabase) live(ctx context.Context) ([]*script.Parameters,
	[]*deposit.Deposit, error) {

	rows, err := l.All(ctx)
	if err != nil || len(rows) == 0 {
		return nil, nil, err
	}
	base, err := l.open()
	if err != nil {
		return nil, nil, err
	}
	deposits, err := deposit.NewSqlStore(base).AllDeposits(ctx)
	if err != nil {
		return nil, nil, err
	}

	return rows, slices.DeleteFunc(deposits,
		(*deposit.Deposit).IsInFinalState), nil
}
