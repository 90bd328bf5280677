package swapdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"

	// The driver of PostgreSQL, as upstream registers it.
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/loopdb/sqlc"
)

const (
	// maxConnections bounds our connections to the database.
	maxConnections = 4

	// maxUpgrades bounds how often a DB lets upstream make the database or
	// bring its schema up to date: each time that fails it leaves its
	// handles open.
	maxUpgrades = 3
)

// ErrNotOwner is returned while this process does not own the database. It is
// passing.
var ErrNotOwner = errors.New("this loopd does not own the database (yet)")

// ErrAwaitsConversion is returned while the embedded daemon has to convert a
// database of years ago first, which it does at its start.
var ErrAwaitsConversion = errors.New("the old loop database was not " +
	"converted yet")

// errTooManyUpgrades ends the attempts of a DB to make or upgrade a database.
var errTooManyUpgrades = errors.New("gave up bringing it up to date")

// DB is a second connection to the embedded daemon's database. It is opened
// when it is first needed, after Check passed. Its methods are safe for
// concurrent use.
type DB struct {
	cfg Config

	// owns reports whether this process owns the database. Nobody else
	// touches it: opening it alone brings its schema up to date.
	owns func() bool

	mu       sync.Mutex
	base     *loopdb.BaseDB
	upgrades int
	closed   bool

	// whole is what the files looked like when the tables were last found
	// to be whole: they need not be read again for each look of a start.
	whole footprint
}

// New returns a connection that is not open. owns tells whether this process
// owns the database now.
func New(cfg Config, owns func() bool) *DB {
	return &DB{cfg: cfg, owns: owns}
}

// Check is the look of the same name. It needs no owner.
func (d *DB) Check(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()

	_, err := d.inspect(ctx)

	return err
}

// inspect is the look of the same name, which reads only the schema of files
// that have not changed since they were found to be whole. mu is held.
func (d *DB) inspect(ctx context.Context) (schema, error) {
	cfg := d.cfg
	var seen footprint
	if cfg.Postgres == nil {
		// What is wrong is for the look to tell.
		seen, _ = stat(cfg.Sqlite.DatabaseFileName)
	}
	cfg.whole = seen != (footprint{}) && seen == d.whole

	found, err := inspect(ctx, cfg)
	if err == nil {
		d.whole = seen
	}

	return found, err
}

// AwaitsConversion reports whether the embedded daemon still has to convert
// its database of years ago.
func (d *DB) AwaitsConversion() bool {
	return d.cfg.awaitsConversion()
}

// Disconnect closes the connection. It is opened anew when it is needed: to
// another file, if a person has put one in its place.
func (d *DB) Disconnect() error {
	d.mu.Lock()
	defer d.mu.Unlock()

	if d.base == nil {
		return nil
	}
	err := d.base.Close()
	d.base = nil

	return err
}

// Close closes the connection for good.
func (d *DB) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()

	return d.Disconnect()
}

// open returns the connection and opens it at need. If there is no database
// yet it returns nil, or makes it if asked to. The schema is brought up to date
// as the embedded daemon would do it: both are of the same version.
func (d *DB) open(ctx context.Context, create bool) (*loopdb.BaseDB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()

	switch {
	case d.closed || !d.owns():
		return nil, ErrNotOwner

	case d.cfg.awaitsConversion():
		return nil, ErrAwaitsConversion

	case d.base != nil:
		return d.base, nil
	}

	found, err := d.inspect(ctx)
	if err != nil {
		return nil, err
	}
	if !found.exists && !create {
		return nil, nil
	}
	if found.version != knownMigrations {
		if err := d.upgrade(); err != nil {
			return nil, d.typed(err)
		}
	}
	d.base, err = d.cfg.connect()

	return d.base, d.typed(err)
}

// upgrade lets upstream make the database and its schema.
func (d *DB) upgrade() error {
	if d.upgrades == maxUpgrades {
		return errTooManyUpgrades
	}
	d.upgrades++

	var (
		base *loopdb.BaseDB
		err  error
	)
	if d.cfg.Postgres != nil {
		var store *loopdb.PostgresStore
		store, err = loopdb.NewPostgresStore(
			d.cfg.Postgres, d.cfg.Params,
		)
		if err == nil {
			base = store.BaseDB
		}
	} else {
		var store *loopdb.SqliteSwapStore
		store, err = loopdb.NewSqliteStore(d.cfg.Sqlite, d.cfg.Params)
		if err == nil {
			base = store.BaseDB
		}
	}
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	d.upgrades = 0

	return base.Close()
}

// pragmas are the settings of upstream's own connection to SQLite.
var pragmas = []string{
	"foreign_keys=on", "journal_mode=WAL", "busy_timeout=5000",
	"synchronous=full", "fullfsync=true",
}

// connect opens a connection of our own to a database whose schema is up to
// date, so that a failure leaves nothing open. The stores that we use need no
// more of upstream's type.
func (c *Config) connect() (*loopdb.BaseDB, error) {
	driver, source := "sqlite", ""
	if c.Postgres != nil {
		driver, source = "pgx", c.Postgres.DSN(false)
	} else {
		options := url.Values{"_pragma": pragmas}
		source = c.Sqlite.DatabaseFileName + "?" + options.Encode()
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(maxConnections)

	return &loopdb.BaseDB{DB: db, Queries: sqlc.New(db)}, nil
}

// typed gives an error of the database its type.
func (d *DB) typed(err error) error {
	if err == nil {
		return nil
	}
	var known *TransientError
	if d.cfg.Postgres != nil && !errors.As(err, &known) {
		return transient(d.cfg.name(), TroubleServer, err)
	}

	return typed(d.cfg.name(), err)
}
