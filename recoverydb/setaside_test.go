package recoverydb

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestInterruptedSetAside kills the process between any two steps of setting a
// journal aside, and checks that the next start ends it: the same files are set
// aside, the same rows are salvaged, and the user is told.
func TestInterruptedSetAside(t *testing.T) {
	l := newLogged(t)
	log := bytes.Clone(l.log)
	log[l.ends[3]+walFrame] ^= 1

	// What an undisturbed start leads to.
	d := l.damaged(t, log)
	report, rows := d.open()
	aside := report.SetAside[0].Path
	name := filepath.Base(d.path)
	next := filepath.Join(aside, nextName)

	// The steps that lead there, from the last one back to the first.
	undo := []func(t *testing.T){
		func(t *testing.T) {
			require.NoError(t, os.Rename(d.path, next))
		},
		func(t *testing.T) {
			require.NoError(t, os.Link(
				filepath.Join(aside, name), d.path,
			))
		},
		func(t *testing.T) {
			require.NoError(
				t, os.Remove(filepath.Join(aside, name)),
			)
		},
		func(t *testing.T) {
			require.NoError(t, os.Rename(
				filepath.Join(aside, name+logSuffix),
				d.path+logSuffix,
			))
		},
		func(t *testing.T) {
			scratch := d.path + scratchSuffix
			require.NoError(t, os.MkdirAll(scratch, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(
				scratch, newName), []byte("half"), 0o600))
		},
	}
	for steps := range undo {
		for _, step := range undo[:steps+1] {
			step(t)
		}
		db, err := Open(d.path)
		require.NoError(t, err)
		require.Equal(t, report, db.Report(), steps)
		require.Equal(t, rows, dump(t, db), steps)
		require.NoError(t, db.Close())

		files := filesIn(t, filepath.Dir(d.path))
		require.Equal(
			t, string(l.file), files[filepath.Join(aside, name)],
		)
		require.Equal(t, string(log),
			files[filepath.Join(aside, name+logSuffix)])
		require.Len(t, files, 3)
	}
}

// TestSetAsideBegun checks that a process which died before the new journal was
// complete leaves nothing that stands in the way.
func TestSetAsideBegun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")
	require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(filepath.Dir(path),
		asideDir, asidePrefix+"20260101T000000.000000000Z-corrupt"),
		0o700))
	scratch := path + scratchSuffix
	require.NoError(t, os.Mkdir(scratch, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(scratch, newName),
		[]byte("half"), 0o600))

	db := open(t, path)
	require.Len(t, db.Report().SetAside, 1)
	require.NoDirExists(t, scratch)
}

// TestPlaceTaken checks that a journal which another version began in the
// middle of a replacement is not overwritten.
func TestPlaceTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")
	require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
	db, err := Open(path)
	require.NoError(t, err)
	aside := db.Report().SetAside[0].Path
	require.NoError(t, db.Close())
	require.NoError(t, os.Rename(path, filepath.Join(aside, nextName)))

	whole := newIntact(t)
	require.NoError(t, os.WriteFile(path, whole.file, 0o600))
	db = open(t, path)
	require.Equal(t, whole.rows, dump(t, db))
	require.FileExists(t, filepath.Join(aside, unusedName))
}

// TestDamagedAgain checks that a second damage tells of both, that naming the
// scripts concerned ends the doubt for good, and that the news of the first one
// survives the second.
func TestDamagedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")
	require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
	db, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, db.Ledger().Commit(t.Context(), lndview.Change{
		Scripts: []lndview.Script{{PkScript: script(1), Blind: true}},
		Named:   true,
	}))
	snapshot, err := db.Ledger().Load(t.Context())
	require.NoError(t, err)
	require.False(t, snapshot.Unproven)
	_, err = db.writer.Exec("DROP TABLE view_trail")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	db = open(t, path)
	asides := db.Report().SetAside
	require.Len(t, asides, 2)
	require.Equal(t, NotADatabase, asides[0].Damage)
	require.Equal(t, Foreign, asides[1].Damage)
	require.Equal(t, asides[1:], db.Report().Unsettled())
	notices := db.Report().Notices()
	require.Len(t, notices, 1)
	require.Equal(t, states.WarnJournalSetAside, notices[0].Warning)
	require.Contains(t, notices[0].Detail, asides[1].Path)
	require.Contains(t, notices[0].Detail, "1 of view_scripts")
	snapshot, err = db.Ledger().Load(t.Context())
	require.NoError(t, err)
	require.True(t, snapshot.Unproven)
	require.True(t, snapshot.Scripts[string(script(1))].Blind)
}

// damagePages overwrites most of a database, and of its log, that somebody has
// open.
func damagePages(t *testing.T, path string) {
	for name, at := range map[string]int64{
		path: pageSize, path + logSuffix: walHeader + walFrame,
	} {
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		require.NoError(t, err)
		info, err := file.Stat()
		require.NoError(t, err)
		if size := info.Size() - at; size > 0 {
			_, err = file.WriteAt(
				bytes.Repeat([]byte{0xff}, int(size)), at,
			)
			require.NoError(t, err)
		}
		require.NoError(t, file.Close())
	}
}

// TestDamageWhileRunning checks that damage that is met while the journal is
// open is an error with SQLite's code, is remembered, and that the next start
// sets the journal aside.
func TestDamageWhileRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")
	db, err := Open(path)
	require.NoError(t, err)
	fill(t, db)
	require.NoError(t, db.Close())

	db, err = Open(path)
	require.NoError(t, err)
	damagePages(t, path)

	require.False(t, db.Damaged())
	_, err = db.Journal().Runs(t.Context(), allRows)
	require.Equal(t, Corrupt, damageOf(err))
	require.True(t, db.Damaged())
	require.NoError(t, db.Close())

	db = open(t, path)
	require.False(t, db.Damaged())
	require.Equal(t, Corrupt, db.Report().SetAside[0].Damage)
	require.True(t, slices.ContainsFunc(db.Report().SetAside[0].Tables,
		func(table TableReport) bool { return table.Unread }))
}
