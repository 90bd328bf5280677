package recoverydb

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	_ "modernc.org/sqlite" // Register the driver "sqlite".
)

const (
	// driverName is the name that modernc.org/sqlite registers.
	driverName = "sqlite"

	// maxReaders is the number of connections that only read.
	maxReaders = 4

	// busyTimeout is how long a statement waits for a lock that another
	// connection holds, in milliseconds.
	busyTimeout = "5000"

	// fileMode is the mode of the database file; SQLite gives its
	// companions the same one.
	fileMode = 0o600
)

// DB is an open recovery database. Its methods can be called from several
// goroutines at once.
type DB struct {
	// writer has one connection: SQLite allows one writer at a time, and
	// waiting for a connection ends with the context, while waiting for a
	// file lock does not. It is nil for a journal of a newer version.
	writer *sql.DB

	// reader has connections that cannot write.
	reader *sql.DB

	// report is what Open found.
	report Report

	// scratch is the directory of the copy that a newer journal is read
	// from; empty otherwise.
	scratch string

	// damaged says that SQLite found damage since the database was opened.
	damaged atomic.Bool
}

// Close closes the database. Transactions under way fail.
func (db *DB) Close() error {
	err := db.reader.Close()
	if db.writer != nil {
		err = errors.Join(err, db.writer.Close())
	}

	return errors.Join(err, db.discard())
}

// body is what runs in a transaction. The context is for its statements.
type body func(ctx context.Context, tx *sql.Tx) error

// tx runs a function in one write transaction. If the function or the commit
// fails nothing of it is stored. The transaction takes the write lock at its
// begin, so that what it reads is still true when it writes.
func (db *DB) tx(ctx context.Context, body body) error {
	if err := db.report.refused(); err != nil {
		return err
	}

	return db.noted(inTx(ctx, db.writer, nil, body))
}

// view runs a function in one read transaction: all that it reads is of one
// moment. It never waits for a writer.
func (db *DB) view(ctx context.Context, body body) error {
	err := inTx(ctx, db.reader, &sql.TxOptions{ReadOnly: true}, body)
	if db.report.Newer != nil && unfit(ctx, err) {
		return nil
	}

	return db.noted(err)
}

// Damaged says whether SQLite found damage since the database was opened. The
// next Open sets it aside.
func (db *DB) Damaged() bool {
	return db.damaged.Load()
}

// noted returns an error, and remembers if it tells of damage.
func (db *DB) noted(err error) error {
	if damageOf(err) != "" && !db.damaged.Swap(true) {
		log.Errorf("The recovery database is damaged; it is set aside "+
			"at the next start: %v", err)
	}

	return err
}

// inTx runs a function in a transaction of the given pool.
//
// The caller's context ends the wait for a connection, and no statement: they
// are short, and with this driver an interrupted one can leave its transaction
// open on the connection, where the next reader would be answered from the
// moment at which the interrupted one began.
func inTx(ctx context.Context, pool *sql.DB, options *sql.TxOptions,
	body body) error {

	connection, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()

	ctx = context.WithoutCancel(ctx)
	tx, err := connection.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()

	if err := body(ctx, tx); err != nil {
		return err
	}

	return tx.Commit()
}

// connect returns a pool of connections to the database file. The pragmas are
// given with the name, so that every connection of the pool gets them.
func connect(path string, connections int, options url.Values) (*sql.DB,
	error) {

	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}

	for _, pragma := range []string{
		"busy_timeout(" + busyTimeout + ")",
		"foreign_keys(1)",
		"journal_mode(WAL)",
		"synchronous(FULL)",

		// On macOS fsync alone does not reach the disk.
		"fullfsync(1)",
	} {
		options.Add("_pragma", pragma)
	}
	name := url.URL{
		Scheme:   "file",
		Path:     filepath.ToSlash(absolute),
		RawQuery: options.Encode(),
	}

	pool, err := sql.Open(driverName, name.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)

	if err := pool.Ping(); err != nil {
		return nil, errors.Join(err, pool.Close())
	}

	return pool, nil
}

// createFile creates a file that nobody else can read. SQLite would create it
// with a mode that depends on the umask.
func createFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR,
		fileMode)
	if err != nil {
		return err
	}

	return errors.Join(file.Chmod(fileMode), file.Close())
}
