package contract

import (
	"database/sql"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/lightninglabs/loop/fsm"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/lightninglabs/loop/staticaddr/deposit"
	"github.com/lightninglabs/loop/staticaddr/loopin"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// migrations is the number of upstream's migrations of its database.
const migrations = 21

// TestMigrations holds the number of the schema that this version knows: one
// above it was written by a newer version.
func TestMigrations(t *testing.T) {
	cfg := config(t)
	store, err := loopdb.NewSqliteStore(cfg.Sqlite, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })

	var (
		version int
		dirty   bool
	)
	row := store.QueryRowContext(
		t.Context(), "SELECT version, dirty FROM schema_migrations",
	)
	require.NoError(t, row.Scan(&version, &dirty))
	require.Equal(t, migrations, version)
	require.False(t, dirty)
}

// TestTables holds the tables and columns that we read beside the running
// daemon, or without it.
func TestTables(t *testing.T) {
	cfg := config(t)
	store, err := loopdb.NewSqliteStore(cfg.Sqlite, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })

	rows, err := store.QueryContext(t.Context(), `
		SELECT m.name, c.name, c.type FROM sqlite_master m,
			pragma_table_info(m.name) c
		WHERE m.type = 'table' ORDER BY m.name, c.cid`)
	require.NoError(t, err)
	requireSnapshot(t, "tables.txt", `
		Upstream's database: table.column type.
		We read static_addresses and deposits, and what tells swaps in
		flight, while upstream is down or beside it.
	`, readColumns(t, rows))
}

// readColumns reads rows of table, column and type.
func readColumns(t *testing.T, rows *sql.Rows) []string {
	t.Helper()

	var lines []string
	for rows.Next() {
		var table, column, kind string
		require.NoError(t, rows.Scan(&table, &column, &kind))
		lines = append(lines, fmt.Sprintf("%s.%s %s", table, column,
			kind))
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())

	return lines
}

// TestTwoConnections holds that a second connection reads and writes beside
// the first.
func TestTwoConnections(t *testing.T) {
	cfg := config(t)
	start(t, cfg)

	second := *cfg.Sqlite
	second.SkipMigrations = true
	store, err := loopdb.NewSqliteStore(&second, nil)
	require.NoError(t, err)
	swaps, err := store.FetchLoopOutSwaps(t.Context())
	require.NoError(t, err)
	require.Empty(t, swaps)
	require.NoError(t, store.Close())
}

// TestConversion holds when upstream converts its database of years ago, which
// we must not forestall by making the new one: if loop.db is there and the file
// of the default name is not.
func TestConversion(t *testing.T) {
	cfg := config(t)
	_, err := loopdb.NewBoltSwapStore(cfg.DataDir, nil)
	require.NoError(t, err)
	_, err = os.Stat(inDataDir(cfg, "loop.db"))
	require.NoError(t, err)
	require.Equal(t, inDataDir(cfg, "loop_sqlite.db"),
		cfg.Sqlite.DatabaseFileName)
}

// TestDepositStates holds the states of a deposit and which are final: in the
// others, but Deposited, something is under way that a stop would interrupt.
func TestDepositStates(t *testing.T) {
	var lines []string
	for _, state := range []fsm.StateType{
		deposit.Deposited, deposit.Withdrawing, deposit.Withdrawn,
		deposit.OpeningChannel, deposit.ChannelPublished,
		deposit.LoopingIn, deposit.LoopedIn, deposit.SweepHtlcTimeout,
		deposit.HtlcTimeoutSwept, deposit.PublishExpirySweep,
		deposit.WaitForExpirySweep, deposit.Expired,
	} {
		row := &deposit.Deposit{}
		row.SetState(state)
		kind := "live"
		if row.IsInFinalState() {
			kind = "final"
		}
		lines = append(lines, fmt.Sprintf("deposit %s %s", state, kind))
	}
	for _, state := range loopin.PendingStates {
		lines = append(lines, fmt.Sprintf("loopin %s pending", state))
	}
	lines = append(
		lines, enumLines(looprpc.DepositState(0).Descriptor())...,
	)
	lines = append(lines, enumLines(looprpc.SwapState(0).Descriptor())...)
	lines = append(lines, enumLines(
		looprpc.StaticAddressLoopInSwapState(0).Descriptor(),
	)...)

	requireSnapshot(t, "states.txt", `
		The states of upstream's deposits and swaps.
		What is asked before the daemon is stopped (busy.go) divides them
		into settled and under way.
	`, lines)
}

// enumLines returns the values of an enumeration.
func enumLines(enum protoreflect.EnumDescriptor) []string {
	var lines []string
	values := enum.Values()
	for i := range values.Len() {
		lines = append(lines, fmt.Sprintf("%s %s", enum.Name(),
			values.Get(i).Name()))
	}
	slices.Sort(lines)

	return lines
}
