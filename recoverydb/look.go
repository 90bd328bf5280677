package recoverydb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"syscall"
	"time"
)

const (
	// lookTime bounds the look at a database before it is opened. What it
	// did not come to is found when it is used, and at the next start.
	lookTime = 2 * time.Second

	// lookSize is the size in bytes above which a database is not copied
	// to be looked at: at 300 bytes a row, nearly a million deposits.
	lookSize = 256 << 20

	// checkProblems is the number of problems after which SQLite's check
	// ends: one is enough.
	checkProblems = 1
)

// look checks a database without touching it. It returns an error with a
// Damage if it is damaged, and what is known of it if a newer version wrote it.
// A file that is not there, or that there is no time or room to look at, is in
// order.
func (p place) look(ctx context.Context) (*Newer, error) {
	there, err := p.shape()
	if err != nil || !there {
		return nil, err
	}

	err = p.copy()
	if noRoom(err) || errors.Is(err, errTooLarge) {
		log.Warnf("The recovery database was not looked at before it "+
			"is opened: %v", err)

		return nil, nil
	}
	if err != nil {
		return nil, err
	}

	if err := checkLog(p.inScratch(copyName + logSuffix)); err != nil {
		return nil, err
	}
	newer, err := lookAt(ctx, p.inScratch(copyName))
	if outOfTime(ctx, err) {
		log.Warnf("The recovery database was not looked at to its " +
			"end before it is opened: it is too large")

		return nil, nil
	}

	return newer, err
}

// shape looks at the names of the database and its companions, and reports
// whether there is a file to open.
func (p place) shape() (bool, error) {
	logged := false
	for _, suffix := range companions {
		info, err := os.Lstat(p.path + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue

		case err != nil:
			return false, err

		case !info.Mode().IsRegular():
			return false, &damageError{damage: NotAFile}
		}
		logged = logged || suffix == logSuffix && info.Size() > 0
	}

	info, err := os.Stat(p.path)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return false, &damageError{damage: NotAFile}

	case errors.Is(err, fs.ErrNotExist) && !logged:
		return false, p.dangling()

	case errors.Is(err, fs.ErrNotExist):
		return false, &damageError{damage: LogAlone}

	case err != nil:
		return false, err

	case !info.Mode().IsRegular():
		return false, &damageError{damage: NotAFile}

	case info.Size() == 0:
		return false, &damageError{damage: Empty}
	}

	return true, nil
}

// dangling returns an error if the name is a link that leads nowhere: the disk
// it leads to may come back.
func (p place) dangling() error {
	if _, err := os.Lstat(p.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := os.Stat(p.path)

	return err
}

// errTooLarge says that a database is too large to be copied.
var errTooLarge = errors.New("too large to be looked at")

// copy copies the database and its log into the scratch directory.
func (p place) copy() error {
	if err := p.clear(); err != nil {
		return err
	}
	for _, suffix := range []string{"", logSuffix} {
		err := copyFile(p.path+suffix, p.inScratch(copyName+suffix))
		if errors.Is(err, fs.ErrNotExist) && suffix != "" {
			continue
		}
		if err != nil {
			return err
		}
	}

	return nil
}

// copyFile copies a file that is not too large.
func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()

	if info, err := source.Stat(); err != nil || info.Size() > lookSize {
		return errors.Join(err, errTooLarge)
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY,
		fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, io.LimitReader(source, lookSize))

	return errors.Join(err, target.Close())
}

// lookAt looks at a copy.
func lookAt(ctx context.Context, path string) (_ *Newer, err error) {
	pool, err := connect(path, 1, url.Values{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()

	newer, err := checkSchema(ctx, pool)
	if err != nil || newer != nil {
		return newer, err
	}
	if err := quickCheck(ctx, pool, ""); err != nil {
		return nil, err
	}
	if err := migrate(ctx, pool); err != nil {
		return nil, err
	}

	return nil, (&DB{writer: pool, reader: pool}).verify(ctx)
}

// quickCheck lets SQLite check the structure of a table, or of all of them.
func quickCheck(ctx context.Context, pool *sql.DB, table string) error {
	argument := table
	if table == "" {
		argument = fmt.Sprint(checkProblems)
	}

	var result string
	err := pool.QueryRowContext(ctx, "PRAGMA quick_check("+argument+
		")").Scan(&result)
	if err != nil {
		return err
	}

	// This word is the pragma's result
	// (https://www.sqlite.org/pragma.html#pragma_quick_check).
	if result != "ok" {
		return &damageError{
			damage: Corrupt, cause: errors.New(result),
		}
	}

	return nil
}

// checkSchema checks that a database has the tables that its version must have.
// It returns what is known of it if that version is newer than any we know.
func checkSchema(ctx context.Context, pool *sql.DB) (*Newer, error) {
	steps, err := migrations(migrationFiles)
	if err != nil {
		return nil, err
	}

	var found int
	err = pool.QueryRowContext(ctx, "PRAGMA user_version").Scan(&found)
	if err != nil {
		return nil, err
	}
	tables, err := schemaOf(ctx, pool)
	if err != nil {
		return nil, err
	}
	known := knownVersion(steps)
	if found > known {
		return readNewer(ctx, pool, found, known)
	}

	wanted, err := schemaAt(ctx, steps, found)
	switch {
	case err != nil:
		return nil, err

	case len(tables) == 0:
		return nil, &damageError{damage: Empty}

	case !slices.Equal(tables, wanted):
		return nil, &damageError{damage: Foreign}
	}

	return nil, nil
}

// schemaAt returns the schema that a version has.
func schemaAt(ctx context.Context, steps []migration, version int) ([]string,
	error) {

	pool, err := sql.Open(driverName, ":memory:")
	if err != nil {
		return nil, err
	}
	defer func() { _ = pool.Close() }()

	// Each connection would have a database of its own.
	pool.SetMaxOpenConns(1)
	steps = slices.DeleteFunc(slices.Clone(steps), func(m migration) bool {
		return m.version > version
	})
	if err := migrateTo(ctx, pool, steps); err != nil {
		return nil, err
	}

	return schemaOf(ctx, pool)
}

// schemaOf returns the statements that make the schema of a database.
func schemaOf(ctx context.Context, pool *sql.DB) ([]string, error) {
	rows, err := pool.QueryContext(ctx, `SELECT sql FROM sqlite_schema
		WHERE sql IS NOT NULL ORDER BY type, name`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()

	var schema []string
	for rows.Next() {
		var statement string
		if err := rows.Scan(&statement); err != nil {
			return nil, err
		}
		schema = append(schema, statement)
	}

	return schema, rows.Err()
}
