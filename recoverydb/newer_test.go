package recoverydb

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// writeNewer makes a full journal and lets a newer version have written it.
func writeNewer(t *testing.T, path string, statements ...string) {
	t.Helper()

	db, err := Open(path)
	require.NoError(t, err)
	fill(t, db)
	for _, statement := range append(
		statements, "PRAGMA user_version = 9000",
	) {
		_, err = db.writer.Exec(statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
}

// filesIn returns the contents of all files below a directory by their names.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()

	files := make(map[string]string)
	require.NoError(t, filepath.WalkDir(dir, func(path string,
		entry os.DirEntry, err error) error {

		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)

		return err
	}))

	return files
}

// TestNewer shows what a user has who went back to an older version: the
// journal of the newer one is left alone, to the byte; it can be read; and
// nothing is written to it.
func TestNewer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")
	writeNewer(t, path)
	before := filesIn(t, filepath.Dir(path))

	db, err := Open(path)
	require.NoError(t, err)
	newer := db.Report().Newer
	require.NotNil(t, newer)
	require.Equal(t, 9000, newer.Found)
	require.Less(t, newer.Known, 9000)
	require.True(t, newer.Readable)
	require.Equal(t, states.RecreateAddress, newer.Unfinished.State)
	notices := db.Report().Notices()
	require.Len(t, notices, 1)
	require.Equal(t, states.WarnJournalNewer, notices[0].Warning)

	runs, err := db.Journal().Runs(t.Context(), allRows)
	require.NoError(t, err)
	require.NotEmpty(t, runs)

	for name, write := range map[string]func() error{
		"run": func() error {
			return db.Journal().CreateRun(
				t.Context(), recoveryfsm.Run{},
			)
		},
		"ledger": func() error {
			return db.Ledger().Commit(
				t.Context(), lndview.Change{},
			)
		},
	} {
		reason, permanent := states.PermanentReason(write())
		require.True(t, permanent, name)
		require.Equal(t, states.JournalNewer, reason, name)
	}

	// What it says of lnd's wallet cannot be relied on.
	snapshot, err := db.Ledger().Load(t.Context())
	require.NoError(t, err)
	require.True(t, snapshot.Unproven)
	for _, script := range snapshot.Scripts {
		require.False(t, script.Covered())
	}

	require.NoError(t, db.Close())
	require.Equal(t, before, filesIn(t, filepath.Dir(path)))
}

// TestNewerUnreadable shows that a journal whose tables changed is empty to
// this version, and not an error; where its run stands is not known then.
func TestNewerUnreadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")
	writeNewer(t, path,
		"ALTER TABLE runs RENAME COLUMN finished TO over",
		"DROP TABLE view_publications",
	)

	db := open(t, path)
	require.NotNil(t, db.Report().Newer)
	require.False(t, db.Report().Newer.Readable)

	runs, err := db.Journal().Runs(t.Context(), allRows)
	require.NoError(t, err)
	require.Empty(t, runs)
	unfinished, err := db.Journal().Unfinished(t.Context())
	require.NoError(t, err)
	require.Nil(t, unfinished)

	snapshot, err := db.Ledger().Load(t.Context())
	require.NoError(t, err)
	require.True(t, snapshot.Unproven)
}

// TestNewerFacts shows that rows which a newer version writes in another form
// count as absent; where the unfinished run stands is told all the same.
func TestNewerFacts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")
	writeNewer(t, path, "UPDATE runs SET facts = x'00'")

	db := open(t, path)
	runs, err := db.Journal().Runs(t.Context(), allRows)
	require.NoError(t, err)
	require.Empty(t, runs)
	require.Equal(t, states.RecreateAddress,
		db.Report().Newer.Unfinished.State)
}

// TestNewerForeign shows that a high version alone does not make a database
// ours.
func TestNewerForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")
	pool, err := sql.Open(driverName, path)
	require.NoError(t, err)
	_, err = pool.Exec("CREATE TABLE songs (x); " +
		"PRAGMA user_version = 9000")
	require.NoError(t, err)
	require.NoError(t, pool.Close())

	db := open(t, path)
	require.Nil(t, db.Report().Newer)
	require.Equal(t, Foreign, db.Report().SetAside[0].Damage)
}
