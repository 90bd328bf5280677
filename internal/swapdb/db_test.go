package swapdb

import (
	"os"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/fsm"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/staticaddr/deposit"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightninglabs/loop/staticaddr/version"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/internal/testkit/handles"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// owned tells that this process owns the database.
func owned() bool { return true }

// newDB returns our connection to a database, closed at the end of the test.
func newDB(t *testing.T, cfg Config) *DB {
	t.Helper()

	db := New(cfg, owned)
	t.Cleanup(func() { require.NoError(t, db.Close()) })

	return db
}

// testRow is a static address.
func testRow(t *testing.T) *script.Parameters {
	t.Helper()

	client, err := btcec.NewPrivateKey()
	require.NoError(t, err)
	server, err := btcec.NewPrivateKey()
	require.NoError(t, err)

	return &script.Parameters{
		ClientPubkey: client.PubKey(),
		ServerPubkey: server.PubKey(),
		PkScript:     []byte{0x51, 0x20, 0x01},
		Expiry:       14400,
		KeyLocator: keychain.KeyLocator{
			Family: 42060, Index: 3,
		},
		ProtocolVersion:  version.ProtocolVersion_V0,
		InitiationHeight: 100,
	}
}

// testDeposit is a deposit in a state.
func testDeposit(t *testing.T, index uint32,
	state fsm.StateType) *deposit.Deposit {

	t.Helper()

	id, err := deposit.GetRandomDepositID()
	require.NoError(t, err)
	row := &deposit.Deposit{
		ID: id,
		OutPoint: wire.OutPoint{
			Hash: chainhash.Hash{0x01}, Index: index,
		},
		Value:                50_000,
		ConfirmationHeight:   110,
		TimeOutSweepPkScript: []byte{0x51, 0x20, byte(index)},
	}
	row.SetState(state)

	return row
}

// TestLookDoesNotMake checks that questions about a database that is not there
// are answered, and do not make it: the embedded daemon converts one of years
// ago only if there is no other.
func TestLookDoesNotMake(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	db := newDB(t, cfg)
	before := listing(t, cfg.DataDir)

	requireEmpty(t, db)
	require.Equal(t, before, listing(t, cfg.DataDir))

	// What is to be written makes it.
	row := testRow(t)
	require.NoError(t, db.Create(t.Context(), row))
	rows, err := db.All(t.Context())
	require.NoError(t, err)
	require.Equal(t, []*script.Parameters{row}, rows)
}

// requireEmpty checks that a database has nothing in it.
func requireEmpty(t *testing.T, db *DB) {
	t.Helper()

	rows, err := db.All(t.Context())
	require.NoError(t, err)
	require.Empty(t, rows)
	live, err := db.LiveDeposits(t.Context())
	require.NoError(t, err)
	require.Empty(t, live)
	scripts, err := db.SweepScripts(t.Context())
	require.NoError(t, err)
	require.Empty(t, scripts)
	task, err := db.InFlight(t.Context())
	require.NoError(t, err)
	require.Empty(t, task)
	some, err := db.HasSwaps(t.Context())
	require.NoError(t, err)
	require.False(t, some)
}

// TestBesideDaemon checks that rows written by the running daemon are seen at
// once, and ours by it.
func TestBesideDaemon(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	store := upstream(t, cfg)
	db := newDB(t, cfg)
	requireEmpty(t, db)

	row := testRow(t)
	require.NoError(t, db.Create(t.Context(), row))
	deposits := deposit.NewSqlStore(store.BaseDB)
	for index, state := range []fsm.StateType{
		deposit.Deposited, deposit.Withdrawn, deposit.LoopingIn,
	} {
		require.NoError(t, deposits.CreateDeposit(
			t.Context(), testDeposit(t, uint32(index), state),
		))
	}

	live, err := db.LiveDeposits(t.Context())
	require.NoError(t, err)
	require.Len(t, live, 2)
	require.Equal(t, "Deposited", live[0].State)
	require.Equal(t, row.PkScript, live[0].PkScript)
	require.EqualValues(t, 50_000, live[0].Value)
	require.EqualValues(t, 110, live[0].ConfirmationHeight)
	require.Equal(t, "LoopingIn", live[1].State)

	scripts, err := db.SweepScripts(t.Context())
	require.NoError(t, err)
	require.Len(t, scripts, 2)
	some, err := db.HasSwaps(t.Context())
	require.NoError(t, err)
	require.True(t, some)
}

// TestOnlyTheOwnerOpens checks that a standby does not touch the database,
// whose schema it might change by opening it.
func TestOnlyTheOwnerOpens(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	require.NoError(t, upstream(t, cfg).Close())
	owns := false
	db := New(cfg, func() bool { return owns })

	_, err := db.All(t.Context())
	require.ErrorIs(t, err, ErrNotOwner)
	_, err = db.InFlight(t.Context())
	require.ErrorIs(t, err, ErrNotOwner)
	require.ErrorIs(t, db.Create(t.Context(), testRow(t)), ErrNotOwner)
	_, err = db.LiveDeposits(t.Context())
	require.ErrorIs(t, err, ErrNotOwner)
	_, err = db.SweepScripts(t.Context())
	require.ErrorIs(t, err, ErrNotOwner)
	_, err = db.HasSwaps(t.Context())
	require.ErrorIs(t, err, ErrNotOwner)
	require.NoError(t, db.Check(t.Context()))

	owns = true
	requireEmpty(t, db)
	require.NoError(t, db.Close())
	_, err = db.All(t.Context())
	require.ErrorIs(t, err, ErrNotOwner)
}

// TestAwaitsConversion checks that a database of years ago is left to the
// embedded daemon, which converts it only if there is no other: until then
// there is no row, nothing is written, and nobody can say what is in flight.
func TestAwaitsConversion(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	old, err := loopdb.NewBoltSwapStore(
		cfg.DataDir, &chaincfg.RegressionNetParams,
	)
	require.NoError(t, err)
	require.NoError(t, old.Close())
	db := newDB(t, cfg)
	before := listing(t, cfg.DataDir)

	require.True(t, db.AwaitsConversion())
	require.NoError(t, db.Check(t.Context()))
	rows, err := db.All(t.Context())
	require.NoError(t, err)
	require.Empty(t, rows)
	require.ErrorIs(
		t, db.Create(t.Context(), testRow(t)), ErrAwaitsConversion,
	)
	_, err = db.InFlight(t.Context())
	require.ErrorIs(t, err, ErrAwaitsConversion)
	require.Equal(t, before, listing(t, cfg.DataDir))

	require.NoError(t, upstream(t, cfg).Close())
	require.False(t, db.AwaitsConversion())
	requireEmpty(t, db)
}

// TestPermanentErrorsLeaveNothingOpen checks that a database that a person must
// mend is not opened, however often it is asked for, and is as soon as another
// one is in its place.
func TestPermanentErrorsLeaveNothingOpen(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	path := cfg.Sqlite.DatabaseFileName
	require.NoError(t, upstream(t, cfg).Close())
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, garbage(pageSize), 0o600))
	db := newDB(t, cfg)

	opened := handles.Open(t)
	for range looks {
		_, err := db.All(t.Context())
		reason, _ := states.PermanentReason(err)
		require.Equal(t, states.DatabaseDamaged, reason)
	}
	require.Equal(t, opened, handles.Open(t))

	require.NoError(t, os.WriteFile(path, good, 0o600))
	requireEmpty(t, db)
}

// TestDisconnect checks that a connection can be given up and opened anew, to
// what a person has put in its place, without anything being left open.
func TestDisconnect(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	db := newDB(t, cfg)
	require.NoError(t, db.Create(t.Context(), testRow(t)))
	require.NoError(t, db.Disconnect())
	require.NoError(t, db.Disconnect())

	opened := handles.Open(t)
	for range looks {
		rows, err := db.All(t.Context())
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.NoError(t, db.Disconnect())
	}
	require.Equal(t, opened, handles.Open(t))

	require.NoError(t, os.Remove(cfg.Sqlite.DatabaseFileName))
	requireEmpty(t, db)
}

// TestDamageOfAnOpenDatabase checks that damage found while the connection is
// open has the same reason as that found before.
func TestDamageOfAnOpenDatabase(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	require.NoError(t, upstream(t, cfg).Close())
	damagePage("static_addresses")(t, cfg.Sqlite.DatabaseFileName)

	db := newDB(t, cfg)
	var err error
	db.base, err = cfg.connect()
	require.NoError(t, err)
	_, err = db.All(t.Context())
	reason, _ := states.PermanentReason(err)
	require.Equal(t, states.DatabaseDamaged, reason)
}

// TestUpgrade checks that a schema of an older version is brought up to date,
// as the embedded daemon does at its start, and that an upgrade which fails is
// not tried for ever: each time upstream leaves its handles open.
func TestUpgrade(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	require.NoError(t, upstream(t, cfg).Close())
	files["older"].change(t, cfg.Sqlite.DatabaseFileName)
	db := newDB(t, cfg)
	requireEmpty(t, db)
	found, err := inspect(t.Context(), cfg)
	require.NoError(t, err)
	require.EqualValues(t, knownMigrations, found.version)

	// The column that the upgrade adds is there already.
	failing := fileConfig(t.TempDir())
	require.NoError(t, upstream(t, failing).Close())
	execute(t, failing.Sqlite.DatabaseFileName,
		"UPDATE schema_migrations SET version = 20")
	db = newDB(t, failing)
	_, err = db.All(t.Context())
	require.Equal(t, TroubleOther, troubleOf(t, err))

	// What broke off is for a person to mend.
	_, err = db.All(t.Context())
	reason, _ := states.PermanentReason(err)
	require.Equal(t, states.DatabaseDirty, reason)

	for db.upgrades < maxUpgrades {
		execute(t, failing.Sqlite.DatabaseFileName,
			"UPDATE schema_migrations SET version = 20, dirty = 0")
		_, err = db.All(t.Context())
		require.Error(t, err)
	}
	execute(t, failing.Sqlite.DatabaseFileName,
		"UPDATE schema_migrations SET version = 20, dirty = 0")
	opened := handles.Open(t)
	for range looks {
		_, err = db.All(t.Context())
		require.ErrorIs(t, err, errTooManyUpgrades)
	}
	require.Equal(t, opened, handles.Open(t))
}
