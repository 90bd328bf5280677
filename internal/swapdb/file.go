package swapdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// primaryCode masks the part of an SQLite result code that tells its kind.
const primaryCode = 0xff

// readAtStart are the tables that the embedded daemon reads at its start. The
// damage of another one does not keep it from starting, so that it must not be
// a reason for us to hold it back.
var readAtStart = []string{
	"deposit_updates", "deposits", "htlc_keys", "liquidity_params",
	"loopin_swaps", "loopout_swaps", "loopout_swaps_asset_info",
	"migration_tracker", "schema_migrations", "static_address_swap_updates",
	"static_address_swaps", "static_addresses", "swap_updates", "swaps",
	"sweep_batches", "sweeps",
}

// emptySize is the size up to which SQLite takes a file for an empty database:
// on some file systems it writes a byte before anything else.
const emptySize = 1

// inspectFile looks at an SQLite database. It leaves the opening of files to
// SQLite: closing a handle of our own would end the locks that the embedded
// daemon, in this process, holds on the same file.
func inspectFile(ctx context.Context, cfg Config) (schema, error) {
	path := cfg.Sqlite.DatabaseFileName
	before, err := stat(path)
	if err != nil || before.size <= emptySize {
		return schema{}, err
	}
	way, possible := before.way()
	if !possible {
		return schema{exists: true}, nil
	}

	found, err := readFile(ctx, path, way, cfg.whole)
	if err != nil {
		err = typed(path, err)
	}
	if way != wayImmutable {
		return found, err
	}

	// Nobody had the database open. If somebody has by now, then what was
	// read without locks proves nothing.
	after, statErr := stat(path)
	if statErr == nil && after != before {
		return schema{}, transient(path, TroubleChanging, nil)
	}

	return found, err
}

// footprint is what can be seen of a database's files from outside.
type footprint struct {
	size     int64
	modified time.Time

	// wal and journal are the sizes of the log and of the rollback
	// journal; shared says that there is the log's index, which every
	// program has that has the database open.
	wal, journal int64
	shared       bool
}

// stat looks at a database's files. A missing database has no size.
func stat(path string) (footprint, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return footprint{}, nil

	case err != nil:
		return footprint{}, fileError(path, err)

	case !info.Mode().IsRegular():
		return footprint{}, damaged(path, errNotRegular)
	}

	size := func(suffix string) (int64, bool) {
		info, err := os.Stat(path + suffix)
		if err != nil {
			return 0, false
		}

		return info.Size(), true
	}
	seen := footprint{size: info.Size(), modified: info.ModTime()}
	seen.wal, _ = size("-wal")
	seen.journal, _ = size("-journal")
	_, seen.shared = size("-shm")

	return seen, nil
}

const (
	// wayImmutable reads the file alone, without locks.
	wayImmutable = "immutable=1"

	// wayShared reads the file and its log through the index that is there
	// already, beside the program that made it, if that still runs.
	wayShared = "readonly_shm=1"
)

// way returns how the database can be read without making or changing a file,
// or false if it cannot: SQLite would make the index of a log, or roll back
// what a journal holds. The embedded daemon will.
func (f footprint) way() (string, bool) {
	switch {
	case f.journal > 0:
		return "", false

	case f.wal == 0:
		return wayImmutable, true

	default:
		return wayShared, f.shared
	}
}

// readFile reads the schema, and whether what the embedded daemon reads at its
// start is whole, unless that is known.
func readFile(ctx context.Context, path, way string, whole bool) (schema,
	error) {

	absolute, err := filepath.Abs(path)
	if err != nil {
		return schema{}, err
	}
	uri := url.URL{
		Scheme:   "file",
		Path:     filepath.ToSlash(absolute),
		RawQuery: "mode=ro&" + way + "&_pragma=busy_timeout(1000)",
	}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return schema{}, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)

	tables, err := readTables(ctx, db)
	if err != nil {
		return schema{}, err
	}
	found, err := readSchema(ctx, db, tables)
	if err != nil || whole {
		return found, err
	}

	return found, checkTables(ctx, db, tables)
}

// readTables returns the names of the tables.
func readTables(ctx context.Context, db *sql.DB) (map[string]bool, error) {
	rows, err := db.QueryContext(
		ctx, "SELECT name FROM sqlite_schema WHERE type = 'table'",
	)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	tables := make(map[string]bool)
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		tables[name] = true
	}

	return tables, rows.Err()
}

// readSchema reads the version that the migrations left.
func readSchema(ctx context.Context, db *sql.DB, tables map[string]bool) (
	schema, error) {

	found := schema{exists: true, used: tables[firstTable]}
	if !tables[migrationsTable] {
		return found, nil
	}

	var sound bool
	err := db.QueryRowContext(ctx, `
		SELECT CAST(version AS INTEGER), CAST(dirty AS INTEGER) <> 0,
			typeof(version) = 'integer'
		FROM schema_migrations LIMIT 1`,
	).Scan(&found.version, &found.dirty, &sound)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return found, nil

	case err == nil && !sound:
		return found, &errTable{migrationsTable, "no number"}

	default:
		return found, err
	}
}

// errTable is what SQLite says about a table that is not whole.
type errTable struct {
	table, finding string
}

// Error implements error.
func (e *errTable) Error() string {
	return fmt.Sprintf("table %s: %s", e.table, e.finding)
}

// checkTables checks that the tables are whole, as far as time allows.
func checkTables(ctx context.Context, db *sql.DB,
	tables map[string]bool) error {

	ctx, cancel := context.WithTimeout(ctx, integrityLimit)
	defer cancel()

	for _, table := range readAtStart {
		if !tables[table] {
			continue
		}

		var finding string
		err := db.QueryRowContext(ctx, fmt.Sprintf(
			"PRAGMA quick_check('%s')", table,
		)).Scan(&finding)
		switch {
		case ctx.Err() != nil:
			return nil

		case err != nil:
			return err

		case finding != "ok":
			return &errTable{table, finding}
		}
	}

	return nil
}

// typed gives an error of SQLite its type, if it has none.
func typed(name string, err error) error {
	trouble := TroubleOther

	var (
		answer *sqlite.Error
		table  *errTable
		known  *TransientError
	)
	switch {
	case errors.As(err, &known):
		return err

	case errors.As(err, &table):
		return damaged(name, err)

	case errors.As(err, &answer):
		switch answer.Code() & primaryCode {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return damaged(name, err)

		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			trouble = TroubleLocked

		case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL:
			trouble = TroubleDisk

		case sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_AUTH:

			trouble = TroubleDenied
		}
	}

	return transient(name, trouble, err)
}

// fileError gives an error of the file system its type. A path that leads
// nowhere does not mend itself.
func fileError(path string, err error) error {
	trouble := TroubleDisk
	switch {
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENOTDIR):
		return damaged(path, err)

	case errors.Is(err, fs.ErrPermission):
		trouble = TroubleDenied
	}

	return transient(path, trouble, err)
}
