package recoverydb

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"

	sqlite3 "modernc.org/sqlite/lib"
)

// openCopy opens a journal that a newer version wrote. It is read from the copy
// that was looked at: reading a file in place would make a log beside it.
func (p place) openCopy(newer Newer) (*DB, error) {
	reader, err := connect(p.inScratch(copyName), maxReaders, url.Values{
		"_pragma": {"query_only(1)"},
	})
	if err != nil {
		return nil, err
	}

	return &DB{
		reader:  reader,
		scratch: p.scratch,
		report:  Report{Newer: &newer},
	}, nil
}

// discard removes the copy of a newer journal.
func (db *DB) discard() error {
	if db.scratch == "" {
		return nil
	}

	return os.RemoveAll(db.scratch)
}

// readNewer tells what can be read of a journal of a newer version. A database
// that has no table of runs is none of ours, whatever its version.
func readNewer(ctx context.Context, pool *sql.DB, found, known int) (*Newer,
	error) {

	var ours bool
	err := pool.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM
		sqlite_schema WHERE type = 'table' AND name = 'runs')`).Scan(
		&ours,
	)
	if err != nil {
		return nil, err
	}
	if !ours {
		return nil, &damageError{damage: Foreign}
	}

	newer := &Newer{Found: found, Known: known}
	var run UnfinishedRun
	err = pool.QueryRowContext(ctx, `SELECT id, kind, version, state,
		blocked_from FROM runs WHERE finished = 0`).Scan(
		&run.ID, &run.Kind, &run.Version, &run.State, &run.BlockedFrom,
	)
	switch {
	case err == nil:
		newer.Readable, newer.Unfinished = true, &run

	case errors.Is(err, sql.ErrNoRows):
		newer.Readable = true

	// The columns are others.
	case resultCode(err) == sqlite3.SQLITE_ERROR:

	default:
		return nil, err
	}

	return newer, nil
}

// unfit says whether reading a newer journal failed because what is asked for
// is not there in a form that this version knows: the statement does not fit to
// the schema, or the row does not decode. It counts as absent.
func unfit(ctx context.Context, err error) bool {
	code := resultCode(err)

	return err != nil && ctx.Err() == nil &&
		(code == sqlite3.SQLITE_ERROR || code == 0)
}
