package recoverydb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// open opens a database in a directory of the test.
func open(t *testing.T, path string) *DB {
	t.Helper()

	db, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })

	return db
}

// TestFileIsPrivate checks that nobody else can read the journal, even if a
// file with a wider mode was there, and even if its directory has an odd name.
func TestFileIsPrivate(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "odd ?name%20&#x")
	require.NoError(t, os.Mkdir(directory, 0o700))
	path := filepath.Join(directory, "recovery.db")
	db, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, os.Chmod(path, 0o644))

	open(t, path)

	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

// TestSettings checks that what durability rests on is really in force on the
// connections, and that readers cannot write.
func TestSettings(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "recovery.db"))

	for _, pool := range []*sql.DB{db.writer, db.reader} {
		for pragma, wanted := range map[string]string{
			"journal_mode": "wal",
			"synchronous":  "2",
			"foreign_keys": "1",
			"busy_timeout": "5000",
		} {
			var value string
			err := pool.QueryRow("PRAGMA " + pragma).Scan(&value)
			require.NoError(t, err)
			require.Equal(t, wanted, value, pragma)
		}
	}

	_, err := db.reader.Exec("DELETE FROM runs")
	require.Error(t, err)
}

// TestReadersDoNotWait checks that a status is answered while a write
// transaction is open, with what was committed before.
func TestReadersDoNotWait(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "recovery.db"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()

	count := func() int {
		var runs int
		err := db.view(ctx, func(ctx context.Context,
			tx *sql.Tx) error {

			return tx.QueryRowContext(
				ctx, "SELECT count(*) FROM runs",
			).Scan(&runs)
		})
		require.NoError(t, err)

		return runs
	}

	err := db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO runs VALUES ('a', "+
			"'', 1, '', '', '', '', 0, '', 0, 0, 0, 0, 0, 0, 0, "+
			"0, 0, x'', NULL)")
		require.NoError(t, err)
		require.Zero(t, count())

		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 1, count())
}

// TestMigrationsAreContiguous checks that no step is missing or doubled, which
// would leave a database half migrated for good.
func TestMigrationsAreContiguous(t *testing.T) {
	steps, err := migrations(migrationFiles)
	require.NoError(t, err)
	require.NotEmpty(t, steps)

	for i, step := range steps {
		require.Equal(t, i+1, step.version, step.name)
	}
}

// TestMigrationIsAtomic checks that a step that fails leaves the schema of
// before, so that the next start can try again.
func TestMigrationIsAtomic(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "recovery.db"))
	ctx := t.Context()

	var before int
	row := db.writer.QueryRow("PRAGMA user_version")
	require.NoError(t, row.Scan(&before))

	name := fmt.Sprintf("migrations/%06d_broken.sql", before+1)
	steps, err := migrations(fstest.MapFS{
		name: {Data: []byte("CREATE TABLE half (x); broken;")},
	})
	require.NoError(t, err)
	err = db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return apply(ctx, tx, steps, before)
	})
	require.Error(t, err)

	var after, tables int
	row = db.writer.QueryRow("PRAGMA user_version")
	require.NoError(t, row.Scan(&after))
	require.Equal(t, before, after)
	row = db.writer.QueryRow(
		"SELECT count(*) FROM sqlite_schema WHERE name = 'half'",
	)
	require.NoError(t, row.Scan(&tables))
	require.Zero(t, tables)
}
