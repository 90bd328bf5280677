package swapdb

import (
	"os"
	"runtime"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/jackc/pgx/v5"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// postgres is the one server of all tests.
var postgres regtest.SharedPostgres

// TestMain ends the server.
func TestMain(m *testing.M) {
	os.Exit(postgres.Main(m.Run))
}

// serverConfig returns the configuration of an empty database on a server.
func serverConfig(t *testing.T) Config {
	t.Helper()

	_, config, err := postgres.Database(t.Context())
	require.NoError(t, err)

	return Config{
		DataDir: t.TempDir(), Postgres: config,
		Params: &chaincfg.RegressionNetParams,
	}
}

// onServer executes a statement.
func onServer(t *testing.T, cfg Config, statement string) {
	t.Helper()

	conn, err := pgx.Connect(t.Context(), cfg.Postgres.DSN(false))
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

// backends returns how many connections a database has, without the one that
// asks.
func backends(t *testing.T, cfg Config) int {
	t.Helper()

	conn, err := pgx.Connect(t.Context(), cfg.Postgres.DSN(false))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var count int
	require.NoError(t, conn.QueryRow(
		t.Context(), "SELECT count(*) FROM pg_stat_activity "+
			"WHERE datname = current_database() "+
			"AND pid <> pg_backend_pid()",
	).Scan(&count))

	return count
}

// requireNoBackends waits until a database has no connection. The server takes
// a moment to end one; and upstream's migrations keep one that their store's
// Close does not reach, until it is collected.
func requireNoBackends(t *testing.T, cfg Config) {
	t.Helper()

	require.Eventually(t, func() bool {
		runtime.GC()

		return backends(t, cfg) == 0
	}, checkLimit, checkLimit/100)
}

// TestCheckServer looks at databases on a server in every condition, and checks
// that no look leaves a connection behind: one a second would in the end keep
// every program from the server.
func TestCheckServer(t *testing.T) {
	cfg := serverConfig(t)
	require.NoError(t, Check(t.Context(), cfg))
	store, err := loopdb.NewPostgresStore(cfg.Postgres, cfg.Params)
	require.NoError(t, err)
	require.NoError(t, store.Close())

	for _, test := range []struct {
		name, statement string
		reason          states.Reason
	}{
		{"good", "SELECT 1", ""},
		{"newer", "UPDATE schema_migrations SET version = 22",
			states.DatabaseNewer},
		{"dirty", "UPDATE schema_migrations " +
			"SET version = 21, dirty = true", states.DatabaseDirty},
		{"version lost", "DELETE FROM schema_migrations",
			states.DatabaseDamaged},
		{"no table of migrations", "DROP TABLE schema_migrations",
			states.DatabaseDamaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			onServer(t, cfg, test.statement)
			for range looks {
				err := Check(t.Context(), cfg)
				reason, _ := states.PermanentReason(err)
				require.Equal(t, test.reason, reason, err)
			}
			requireNoBackends(t, cfg)
		})
	}
}

// TestServerDown checks that a server that is away, or does not let us in, is a
// reason to wait, and that no password is told.
func TestServerDown(t *testing.T) {
	cfg := serverConfig(t)
	away := *cfg.Postgres
	away.Port = 1
	locked := *cfg.Postgres
	locked.DBName = "there_is_none"
	misspelt := *cfg.Postgres
	misspelt.Host = "a host"

	for _, server := range []*loopdb.PostgresConfig{
		&away, &locked, &misspelt,
	} {
		server.Password = "hunter2"
		err := Check(t.Context(), Config{Postgres: server})
		require.Equal(t, TroubleServer, troubleOf(t, err))
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// TestRowsOnServer checks that our connection makes, reads and writes a
// database on a server like a file, and can be given up.
func TestRowsOnServer(t *testing.T) {
	cfg := serverConfig(t)
	db := newDB(t, cfg)
	requireEmpty(t, db)

	row := testRow(t)
	require.NoError(t, db.Create(t.Context(), row))
	rows, err := db.All(t.Context())
	require.NoError(t, err)
	require.Equal(t, []*script.Parameters{row}, rows)
	require.False(t, db.AwaitsConversion())

	require.NoError(t, db.Disconnect())
	requireNoBackends(t, cfg)

	// A statement that fails is the server's error.
	onServer(t, cfg, "DROP TABLE static_addresses CASCADE")
	_, err = db.All(t.Context())
	require.Equal(t, TroubleServer, troubleOf(t, err))
}

// TestUpgradeFailsOnServer checks that an upgrade that upstream cannot make is
// told.
func TestUpgradeFailsOnServer(t *testing.T) {
	cfg := serverConfig(t)
	store, err := loopdb.NewPostgresStore(cfg.Postgres, cfg.Params)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	onServer(t, cfg, "UPDATE schema_migrations SET version = 20")

	_, err = newDB(t, cfg).All(t.Context())
	require.Equal(t, TroubleServer, troubleOf(t, err))
}
