package itest

import (
	"database/sql"
	"os"
	"path/filepath"
	"syscall"

	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // The embedded daemon's database.
)

const (
	// swapDatabase and journalName are the databases of a directory.
	swapDatabase = "loop_sqlite.db"
	journalName  = "recovery.db"

	// pageSize is that of SQLite.
	pageSize = 4096

	// manyFiles is how many files of others lie in a shared place.
	manyFiles = 10_000
)

// garbage is no database.
var garbage = []byte("this was a database once\n")

// troubles are all of them.
func troubles() []trouble {
	var all []trouble
	all = append(all, databaseTroubles()...)
	all = append(all, postgresTroubles()...)
	all = append(all, journalTroubles()...)
	all = append(all, placeTroubles()...)
	all = append(all, credentialTroubles()...)
	all = append(all, nodeTroubles()...)
	all = append(all, tokenTroubles()...)
	all = append(all, processTroubles()...)

	return all
}

// databaseTroubles are those of the embedded daemon's database, none of which
// upstream survives.
func databaseTroubles() []trouble {
	down := func(name string, reason states.Reason,
		cause func(*patient)) trouble {

		return trouble{
			name: name, before: healthy,
			cause: func(p *patient) {
				copyFile(p, swapDatabase)
				cause(p)
			},
			mend: func(p *patient) { p.putBack(swapDatabase) },
			want: symptoms{
				reason: reason, status: 3,
				log: `\[ERR\] RCVD: .*` + string(reason),
			},
		}
	}
	newer := down("database-newer", states.DatabaseNewer,
		func(p *patient) {
			p.exec(swapDatabase, "UPDATE schema_migrations "+
				"SET version = version + 1")
		})
	newer.brief = true

	return []trouble{
		newer,
		down("database-dirty", states.DatabaseDirty,
			func(p *patient) {
				p.exec(swapDatabase, "UPDATE "+
					"schema_migrations SET dirty = 1")
			}),
		down("database-garbage", states.DatabaseDamaged,
			func(p *patient) { p.write(swapDatabase, garbage) }),
		down("database-directory", states.DatabaseDamaged,
			func(p *patient) {
				name := p.path(swapDatabase)
				require.NoError(p, os.Remove(name))
				require.NoError(p, os.Mkdir(name, 0o700))
			}),
	}
}

// journalTroubles are those of recovery.db, which never hold the swap client.
func journalTroubles() []trouble {
	aside := func(name string, cause func(*patient)) trouble {
		return trouble{
			name: name, before: healthy, cause: cause,
			mend: func(*patient) {},
			want: symptoms{
				up: true, warning: states.WarnJournalSetAside,
			},
		}
	}
	damaged := aside("journal-garbage", func(p *patient) {
		p.write(journalName, garbage)
	})
	damaged.brief = true

	return []trouble{
		damaged,
		aside("journal-page", func(p *patient) {
			page := make([]byte, pageSize)
			for i := range page {
				page[i] = 0xa5
			}
			p.overwrite(journalName, page, 2*pageSize)
		}),
		aside("journal-directory", func(p *patient) {
			require.NoError(p, os.Remove(p.path(journalName)))
			require.NoError(p, os.Mkdir(p.path(journalName), 0o700))
		}),
		{
			name: "journal-newer", brief: true, before: healthy,
			cause: func(p *patient) {
				copyFile(p, journalName)
				p.exec(journalName, "PRAGMA user_version = 999")
			},
			mend: func(p *patient) { p.putBack(journalName) },
			want: symptoms{
				up: true, warning: states.WarnJournalNewer,
			},
		},
	}
}

// placeTroubles are those of backup places.
func placeTroubles() []trouble {
	missing := func(p *patient) {
		p.args = []string{"--recovery.backupdir=" + p.place("usb")}
	}
	mount := func(p *patient) {
		require.NoError(p, os.Mkdir(p.place("usb"), 0o700))
	}
	shared := func(name string, fill func(p *patient, place string),
	) trouble {

		return trouble{
			name: name, before: healthy,
			cause: func(p *patient) {
				missing(p)
				mount(p)
				fill(p, p.place("usb"))
			},
			mend: func(*patient) {},
			want: symptoms{up: true},
		}
	}

	return []trouble{{
		name: "place-missing-token-alone", brief: true,
		before: tokenAlone, cause: missing, mend: mount,
		want: symptoms{
			up: true, warning: states.WarnPlaceUnreadable,
		},
	}, {
		name: "place-missing-healthy", before: healthy,
		cause: missing, mend: mount,
		want: symptoms{
			up: true, warning: states.WarnPlaceBehind,
		},
	}, {
		name: "place-missing-empty", brief: true,
		before: empty, cause: missing, mend: mount,
		want: symptoms{reason: states.BackupAwaited, status: 3},
	}, {
		name:   "place-missing-empty-given-up",
		before: empty, cause: missing, mend: func(*patient) {},
		want: symptoms{
			reason: states.BackupAwaited, status: 3,
			typed: []typing{{"loop recover cancel", 0}},
		},
	}, shared("place-with-pipes", func(p *patient, place string) {
		for _, name := range []string{
			"loop_recovery_1700000000000000000_" + zeros(64) +
				".lrb",
			".looprecovery-0123-l402.token",
		} {
			require.NoError(p, syscall.Mkfifo(
				filepath.Join(place, name), 0o600,
			))
		}
	}), shared("place-with-links", func(p *patient, place string) {
		name := "loop_recovery_1700000000000000000_" + zeros(64) +
			".lrb"
		require.NoError(p, os.Symlink(
			name, filepath.Join(place, name),
		))
	}), shared("place-crowded", func(p *patient, place string) {
		for i := range manyFiles {
			sparse(p, filepath.Join(place, number(i)), 1<<20)
		}
	})}
}

// exec changes a database of a stopped daemon.
func (p *patient) exec(name, statement string) {
	p.Helper()

	db, err := sql.Open("sqlite", p.path(name))
	require.NoError(p, err)
	_, err = db.ExecContext(p.Context(), statement)
	require.NoError(p, err)
	require.NoError(p, db.Close())
}

// overwrite puts bytes over those at an offset of a file.
func (p *patient) overwrite(name string, data []byte, at int64) {
	p.Helper()

	file, err := os.OpenFile(p.path(name), os.O_WRONLY, 0)
	require.NoError(p, err)
	_, err = file.WriteAt(data, at)
	require.NoError(p, err)
	require.NoError(p, file.Close())
}
