package itest

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// renamed is what loopd's database is called while it is not to be found.
const renamed = postgresDatabase + "_renamed"

// sessionsQuery counts the sessions on a database but its own.
const sessionsQuery = `
	SELECT count(*) FROM pg_stat_activity
	WHERE datname = $1 AND pid <> pg_backend_pid()`

// postgresTroubles are those of a database on a server. One that leaks sessions
// shuts out every other program that uses the server.
func postgresTroubles() []trouble {
	all := []trouble{
		changed("postgres-newer", states.DatabaseNewer,
			"UPDATE schema_migrations SET version = version + 1",
			"UPDATE schema_migrations SET version = version - 1"),
		changed("postgres-dirty", states.DatabaseDirty,
			"UPDATE schema_migrations SET dirty = true",
			"UPDATE schema_migrations SET dirty = false"),
		{
			name:  "postgres-without-database",
			cause: rename(postgresDatabase, renamed),
			mend:  rename(renamed, postgresDatabase),
			want: symptoms{
				reason: states.DatabaseRefuses, status: 3,
				log: `DATABASE_REFUSES`,
			},
		},
	}
	for _, running := range []bool{false, true} {
		name := "postgres-down"
		if running {
			name += "-while-running"
		}
		all = append(all, trouble{
			name: name, running: running,
			cause: func(p *patient) {
				require.NoError(p, p.database.Stop())
			},
			mend: func(p *patient) {
				require.NoError(
					p, p.database.Start(p.Context()),
				)
			},
			want: symptoms{
				reason: states.DatabaseDown,
				log:    `DATABASE_DOWN`,
			},
		})
	}
	for i := range all {
		all[i].before = onPostgres
	}

	return all
}

// onPostgres makes a healthy daemon whose database is on a server of its own.
func onPostgres(p *patient) {
	p.Helper()

	server, options := p.newPostgres()
	p.Cleanup(func() { require.NoError(p, server.Destroy()) })
	p.database, p.args = server, options
	healthy(p)
}

// changed is a trouble that somebody makes, and takes back, in the database.
func changed(name string, reason states.Reason, cause, mend string) trouble {
	exec := func(statement string) func(*patient) {
		return func(p *patient) {
			require.NoError(p, p.database.Exec(
				p.Context(), postgresDatabase, statement,
			))
		}
	}

	return trouble{
		name: name, cause: exec(cause), mend: exec(mend),
		want: symptoms{
			reason: reason, status: 3,
			log: `\[ERR\] RCVD: .*` + string(reason),
		},
	}
}

// rename gives a database another name. Who is asked is the server's own one:
// nobody may be in the database that is renamed, whatever looks at it ends.
func rename(from, to string) func(*patient) {
	return func(p *patient) {
		quoted := pgx.Identifier{from}.Sanitize()
		require.NoError(p, p.database.Exec(p.Context(), "postgres",
			fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", quoted,
				pgx.Identifier{to}.Sanitize())))
	}
}

// sessions returns how many sessions the patient has on its server, which may
// be down.
func (p *patient) sessions() int {
	p.Helper()
	if p.database == nil || !p.database.Running() {
		return 0
	}

	// A database that loopd cannot find is one nobody has a session on.
	conn, err := p.database.Connect(p.Context(), "postgres")
	require.NoError(p, err)
	defer conn.Close(p.Context())
	var count int
	require.NoError(p, conn.QueryRow(
		p.Context(), sessionsQuery, postgresDatabase,
	).Scan(&count))

	return count
}
