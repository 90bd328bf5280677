package swapdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/looprecovery/looprecovery/internal/testkit/handles"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// looks is how often a test looks to see that nothing is left open; manyLooks
// is that for the kinds of verdicts.
const (
	looks     = 10
	manyLooks = 200
)

// kinds are databases with each kind of verdict.
var kinds = map[string]bool{
	"good": true, "missing": true, "newer": true, "dirty": true,
	"garbage": true, "directory": true,
	"page of the swaps overwritten": true,
}

// pageSize is SQLite's, of a database of upstream's.
const pageSize = 4096

// fileConfig returns the configuration of a database in a directory.
func fileConfig(dir string) Config {
	return Config{
		DataDir: dir,
		Sqlite: &loopdb.SqliteConfig{
			DatabaseFileName: filepath.Join(dir, sqliteFilename),
		},
		Params: &chaincfg.RegressionNetParams,
	}
}

// upstream opens a database as the embedded daemon does, and makes it if it is
// not there.
func upstream(t *testing.T, cfg Config) *loopdb.SqliteSwapStore {
	t.Helper()

	store, err := loopdb.NewSqliteStore(cfg.Sqlite, cfg.Params)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })

	return store
}

// goodFile is the content of a good database, made once.
var goodFile = sync.OnceValues(func() ([]byte, error) {
	//nolint:usetesting // It is made once for all tests.
	dir, err := os.MkdirTemp("", "swapdb")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)

	cfg := fileConfig(dir)
	store, err := loopdb.NewSqliteStore(cfg.Sqlite, cfg.Params)
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}

	return os.ReadFile(cfg.Sqlite.DatabaseFileName)
})

// putGood puts a good database in place.
func putGood(t *testing.T, cfg Config) {
	t.Helper()

	content, err := goodFile()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(
		cfg.Sqlite.DatabaseFileName, content, 0o600,
	))
}

// execute changes a database that nobody has open.
func execute(t *testing.T, path string, statements ...string) {
	t.Helper()

	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	for _, statement := range statements {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
}

// overwrite writes bytes into a file.
func overwrite(t *testing.T, path string, offset int64, content []byte) {
	t.Helper()

	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(content, offset)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// garbage returns bytes that are nothing.
func garbage(size int) []byte {
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i*i>>3 + 7)
	}

	return content
}

// rootPage returns the page at which a table begins.
func rootPage(t *testing.T, path, table string) int64 {
	t.Helper()

	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	var page int64
	require.NoError(t, db.QueryRowContext(
		t.Context(), "SELECT rootpage FROM sqlite_schema "+
			"WHERE type = 'table' AND name = $1", table,
	).Scan(&page))

	return page
}

// damagePage overwrites the page at which a table begins.
func damagePage(table string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		page := rootPage(t, path, table)
		overwrite(t, path, (page-1)*pageSize, garbage(pageSize))
	}
}

// run returns a change of a database.
func run(statements ...string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		execute(t, path, statements...)
	}
}

// files are the databases that a look can meet: what is done to a good one, and
// what the look says.
var files = map[string]struct {
	change func(t *testing.T, path string)

	// reason is the reason of a permanent error; trouble the kind of a
	// transient one. Neither means that the daemon can start.
	reason  states.Reason
	trouble Trouble
}{
	"good": {change: run()},
	"missing": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
		},
	},
	"empty": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.Truncate(path, 0))
		},
	},
	"older": {
		change: run(
			"UPDATE schema_migrations SET version = 20",
			"ALTER TABLE static_address_swaps "+
				"DROP COLUMN confirmation_risk_decision",
			"ALTER TABLE static_address_swaps "+
				"DROP COLUMN confirmation_risk_decision_time",
		),
	},
	"of another program": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			execute(t, path, "CREATE TABLE x (y)")
		},
	},
	"version lost": {
		change: run("DELETE FROM schema_migrations"),
		reason: states.DatabaseDamaged,
	},
	"no table of migrations": {
		change: run("DROP TABLE schema_migrations"),
		reason: states.DatabaseDamaged,
	},
	"not written ahead": {
		change: run("PRAGMA journal_mode = DELETE"),
	},
	"link that leads nowhere yet": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Symlink(path+".new", path))
		},
	},
	"table that is not read at the start damaged": {
		change: damagePage("withdrawals"),
	},
	"newer": {
		change: run("UPDATE schema_migrations SET version = 22"),
		reason: states.DatabaseNewer,
	},
	"much newer": {
		change: run("UPDATE schema_migrations SET version = 9999"),
		reason: states.DatabaseNewer,
	},
	"dirty": {
		change: run("UPDATE schema_migrations SET dirty = 1"),
		reason: states.DatabaseDirty,
	},
	"newer and dirty": {
		change: run("UPDATE schema_migrations " +
			"SET version = 22, dirty = 1"),
		reason: states.DatabaseNewer,
	},
	"version that is no number": {
		change: run("UPDATE schema_migrations SET version = 'x'"),
		reason: states.DatabaseDamaged,
	},
	"garbage": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(
				path, garbage(3*pageSize), 0o600,
			))
		},
		reason: states.DatabaseDamaged,
	},
	"one byte": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.Truncate(path, 1))
		},
	},
	"two bytes": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.Truncate(path, 2))
		},
		reason: states.DatabaseDamaged,
	},
	"header only": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.Truncate(path, 100))
		},
		reason: states.DatabaseDamaged,
	},
	"truncated": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.Truncate(path, 8*pageSize))
		},
		reason: states.DatabaseDamaged,
	},
	"first page overwritten": {
		change: func(t *testing.T, path string) {
			overwrite(t, path, 100, garbage(pageSize-100))
		},
		reason: states.DatabaseDamaged,
	},
	"page of the swaps overwritten": {
		change: damagePage("swaps"),
		reason: states.DatabaseDamaged,
	},
	"page of the deposits overwritten": {
		change: damagePage("deposits"),
		reason: states.DatabaseDamaged,
	},
	"page of the migrations overwritten": {
		change: damagePage("schema_migrations"),
		reason: states.DatabaseDamaged,
	},
	"directory": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		},
		reason: states.DatabaseDamaged,
	},
	"link to itself": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Symlink(path, path))
		},
		reason: states.DatabaseDamaged,
	},
	"log without its index": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(
				path+"-wal", garbage(pageSize), 0o600,
			))
		},
	},
	"empty log": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(
				path+"-wal", nil, 0o600,
			))
		},
	},
	"journal to roll back": {
		change: func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(
				path+"-journal", garbage(pageSize), 0o600,
			))
		},
	},
}

// TestCheck looks at databases in every condition and checks that the verdict
// leads a person, that nothing was made or changed, and that nothing is left
// open however often one looks.
func TestCheck(t *testing.T) {
	for name, test := range files {
		t.Run(name, func(t *testing.T) {
			cfg := fileConfig(t.TempDir())
			putGood(t, cfg)
			test.change(t, cfg.Sqlite.DatabaseFileName)
			before := listing(t, cfg.DataDir)

			requireVerdict(
				t, Check(t.Context(), cfg), cfg, test.reason,
				test.trouble,
			)
			opened := handles.Open(t)
			times := looks
			if kinds[name] {
				times = manyLooks
			}
			for range times {
				_ = Check(t.Context(), cfg)
			}
			require.Equal(t, opened, handles.Open(t))
			require.Equal(t, before, listing(t, cfg.DataDir))
		})
	}
}

// requireVerdict checks the result of a look.
func requireVerdict(t *testing.T, err error, cfg Config, reason states.Reason,
	trouble Trouble) {

	t.Helper()

	permanent, is := states.PermanentReason(err)
	require.Equal(t, reason, permanent, "%v", err)
	if is {
		require.ErrorContains(t, err, cfg.Sqlite.DatabaseFileName)
		return
	}
	if trouble == "" {
		require.NoError(t, err)
		return
	}
	var transient *TransientError
	require.ErrorAs(t, err, &transient)
	require.Equal(t, trouble, transient.Trouble)
	require.ErrorContains(t, err, cfg.Sqlite.DatabaseFileName)
}

// TestVerdictIsUpstreams checks the verdicts against upstream itself: what a
// look lets pass upstream opens, and what a look calls permanent it refuses.
func TestVerdictIsUpstreams(t *testing.T) {
	later := map[string]bool{
		// These are found out by the parts that read the tables, which
		// come after the open.
		"page of the swaps overwritten":    true,
		"page of the deposits overwritten": true,

		// A log or a journal of garbage is none, and ignored.
	}
	for name, test := range files {
		if later[name] {
			continue
		}
		t.Run(name, func(t *testing.T) {
			cfg := fileConfig(t.TempDir())
			putGood(t, cfg)
			test.change(t, cfg.Sqlite.DatabaseFileName)

			verdict := Check(t.Context(), cfg)
			store, err := loopdb.NewSqliteStore(
				cfg.Sqlite, cfg.Params,
			)
			if err == nil {
				require.NoError(t, store.Close())
			}
			require.Equal(t, verdict == nil, err == nil,
				"we: %v, upstream: %v", verdict, err)
		})
	}
}

// TestCheckOddPath checks that a path is taken for what it is.
func TestCheckOddPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my loop #1 100%20")
	require.NoError(t, os.Mkdir(dir, 0o700))
	cfg := fileConfig(dir)
	require.NoError(t, upstream(t, cfg).Close())
	found, err := inspect(t.Context(), cfg)
	require.NoError(t, err)
	require.EqualValues(t, knownMigrations, found.version)
}

// TestCheckReadsTablesOnce checks that the looks of one start read the tables
// once, and again as soon as the file is another.
func TestCheckReadsTablesOnce(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	path := cfg.Sqlite.DatabaseFileName
	require.NoError(t, upstream(t, cfg).Close())
	db := newDB(t, cfg)
	require.NoError(t, db.Check(t.Context()))

	seen, err := os.Stat(path)
	require.NoError(t, err)
	damagePage("swaps")(t, path)
	require.NoError(t, os.Chtimes(path, time.Time{}, seen.ModTime()))
	require.NoError(t, db.Check(t.Context()))

	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now()))
	reason, _ := states.PermanentReason(db.Check(t.Context()))
	require.Equal(t, states.DatabaseDamaged, reason)
}

// TestCheckBesideDaemon checks that a look beside a running daemon, and at what
// a killed one left, sees what was written last, and changes none of the files.
func TestCheckBesideDaemon(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	store := upstream(t, cfg)
	_, err := store.ExecContext(
		t.Context(), "UPDATE schema_migrations SET version = 22",
	)
	require.NoError(t, err)

	killed := fileConfig(t.TempDir())
	for _, suffix := range []string{"", "-wal", "-shm"} {
		content, err := os.ReadFile(
			cfg.Sqlite.DatabaseFileName + suffix,
		)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(
			killed.Sqlite.DatabaseFileName+suffix, content, 0o600,
		))
	}

	for _, cfg := range []Config{cfg, killed} {
		before := listing(t, cfg.DataDir)
		requireVerdict(
			t, Check(t.Context(), cfg), cfg, states.DatabaseNewer,
			"",
		)
		after := listing(t, cfg.DataDir)

		// A reader in the process of the daemon shares its index of
		// the log.
		if cfg != killed {
			delete(before, sqliteFilename+"-shm")
			delete(after, sqliteFilename+"-shm")
		}
		require.Equal(t, before, after)
	}

	// The daemon goes on beside it.
	_, err = store.ExecContext(
		t.Context(), "UPDATE schema_migrations SET version = 21",
	)
	require.NoError(t, err)
	require.NoError(t, Check(t.Context(), cfg))
}

// TestTransientTroubles checks which errors may go away by themselves: nobody
// is told to mend a database that is only locked, or on a disk that fails.
func TestTransientTroubles(t *testing.T) {
	require.Equal(t, TroubleDenied, troubleOf(
		t, fileError("db", os.ErrPermission),
	))
	require.Equal(t, TroubleDisk, troubleOf(t, fileError("db", io.EOF)))
	require.Equal(t, TroubleOther, troubleOf(
		t, typed("db", context.Canceled),
	))

	// A database that another program writes, and not as upstream does.
	cfg := fileConfig(t.TempDir())
	path := cfg.Sqlite.DatabaseFileName
	require.NoError(t, upstream(t, cfg).Close())
	writer, err := sql.Open("sqlite", path+
		"?_pragma=locking_mode=exclusive&_pragma=journal_mode=delete")
	require.NoError(t, err)
	_, err = writer.ExecContext(
		t.Context(), "UPDATE schema_migrations SET dirty = 0",
	)
	require.NoError(t, err)

	reader, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer reader.Close()
	_, err = readTables(t.Context(), reader)
	require.Equal(t, TroubleLocked, troubleOf(t, typed("db", err)))

	require.NoError(t, writer.Close())
	_, err = reader.ExecContext(t.Context(), "PRAGMA query_only = 1")
	require.NoError(t, err)
	_, err = reader.ExecContext(t.Context(), "CREATE TABLE x (y)")
	require.Equal(t, TroubleDenied, troubleOf(t, typed("db", err)))
}

// troubleOf returns the kind of a transient error.
func troubleOf(t *testing.T, err error) Trouble {
	t.Helper()

	var transient *TransientError
	require.ErrorAs(t, err, &transient)
	var reason *states.TransientError
	require.ErrorAs(t, err, &reason)
	require.Equal(t, states.DatabaseDown, reason.Reason)
	require.ErrorContains(t, err, string(transient.Trouble))

	return transient.Trouble
}

// TestChangingFile checks that what was read without locks does not count if
// somebody wrote meanwhile.
func TestChangingFile(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	path := cfg.Sqlite.DatabaseFileName
	require.NoError(t, upstream(t, cfg).Close())
	before, err := stat(path)
	require.NoError(t, err)

	opened := upstream(t, cfg)
	after, err := stat(path)
	require.NoError(t, err)
	require.NotEqual(t, before, after)
	require.NoError(t, opened.Close())

	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now()))
	touched, err := stat(path)
	require.NoError(t, err)
	require.NotEqual(t, before, touched)
}

// TestLookIsBounded checks that a look at a database that is too large to be
// read in time says nothing against it.
func TestLookIsBounded(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	store := upstream(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tables, err := readTables(t.Context(), store.DB)
	require.NoError(t, err)
	require.NoError(t, checkTables(ctx, store.DB, tables))

	err = Check(ctx, cfg)
	require.ErrorIs(t, err, context.Canceled)
	_, permanent := states.PermanentReason(err)
	require.False(t, permanent)
}

// TestTablesAreKnown checks that each of upstream's tables was put to one of
// two sides: read at the start, so that its damage keeps the daemon down, or
// read on request only.
func TestTablesAreKnown(t *testing.T) {
	onRequest := []string{
		// Read at the start with --experimental only.
		"instantout_swaps", "instantout_updates", "reservations",
		"reservation_updates",

		// Listed on request.
		"withdrawals", "withdrawal_deposits",

		// Left by a migration, and never read.
		"sweeps_old",
	}
	store := upstream(t, fileConfig(t.TempDir()))
	tables, err := readTables(t.Context(), store.DB)
	require.NoError(t, err)
	require.ElementsMatch(t, append(onRequest, readAtStart...),
		slices.Collect(maps.Keys(tables)))
}

// TestKnownMigrations holds the number of upstream's migrations.
func TestKnownMigrations(t *testing.T) {
	store := upstream(t, fileConfig(t.TempDir()))
	found, err := readSchema(t.Context(), store.DB, map[string]bool{
		migrationsTable: true, firstTable: true,
	})
	require.NoError(t, err)
	require.Equal(t, schema{
		exists: true, used: true, version: knownMigrations,
	}, found)
}

// listing returns what is in a directory, with its contents.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	seen := make(map[string]string)
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		info, err := os.Lstat(path)
		require.NoError(t, err)
		text := fmt.Sprintf("%v %d %v", info.Mode(), info.Size(),
			info.ModTime())
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			text += fmt.Sprintf(" %x", sha256.Sum256(content))
		}
		seen[entry.Name()] = text
	}

	return seen
}
