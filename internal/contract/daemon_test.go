package contract

import (
	"reflect"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/assets"
	"github.com/lightninglabs/loop/loopd"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/lightninglabs/loop/swap"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/stretchr/testify/require"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// macaroonStore is upstream's file of macaroon root keys.
const macaroonStore = "macaroons.db"

// TestLife holds how one life of upstream's daemon goes: it is its own
// service; Stop does not wait; one value says that all of it ended; nothing
// starts a second time.
func TestLife(t *testing.T) {
	cfg := config(t)
	daemon := newDaemon(t, cfg)
	var _ looprpc.SwapClientServer = daemon

	require.NoError(t, daemon.StartAsSubserver(newLnd(), false))
	require.Error(t, daemon.StartAsSubserver(newLnd(), false))
	require.Equal(t, 1, cap(daemon.ErrChan))

	daemon.Stop()
	daemon.Stop()
	select {
	case err := <-daemon.ErrChan:
		require.NoError(t, err)

	case <-time.After(patience):
		t.Fatal("no value on ErrChan")
	}

	// Another one may follow in the same process, on the same files.
	next := start(t, cfg)
	_, err := next.GetInfo(t.Context(), &looprpc.GetInfoRequest{})
	require.NoError(t, err)
	require.Empty(t, daemon.ErrChan)
}

// TestStopDaemonOnlyStops checks that upstream's own StopDaemon ends nothing
// but its daemon: the process is ours to end.
func TestStopDaemonOnlyStops(t *testing.T) {
	daemon := newDaemon(t, config(t))
	require.NoError(t, daemon.StartAsSubserver(newLnd(), false))
	_, err := daemon.StopDaemon(t.Context(), &looprpc.StopDaemonRequest{})
	require.NoError(t, err)
	require.NoError(t, <-daemon.ErrChan)
}

// TestMacaroonStoreExcludes holds what keeps upstream's loopd away while we
// hold its macaroon store, and us while it runs: a subserver opens the file
// whatever it is told about macaroons, and whoever holds it makes the other's
// start fail.
func TestMacaroonStoreExcludes(t *testing.T) {
	const short = 100 * time.Millisecond

	cfg := config(t)
	_, held, err := lndclient.NewBoltMacaroonStore(
		cfg.DataDir, macaroonStore, short,
	)
	require.NoError(t, err)
	err = newDaemon(t, cfg).StartAsSubserver(newLnd(), false)
	require.ErrorContains(t, err, "no other loop daemon process")
	require.NoError(t, held.Close())

	start(t, cfg)
	_, _, err = lndclient.NewBoltMacaroonStore(
		cfg.DataDir, macaroonStore, short,
	)
	require.ErrorIs(t, err, bbolterrors.ErrTimeout)
}

// TestNoAssetClient holds that a subserver has no client of tapd, whatever the
// options say: --tapd.activate must be refused, not ignored.
func TestNoAssetClient(t *testing.T) {
	cfg := config(t)
	cfg.Tapd.Activate = true
	cfg.Tapd.TLSPath = inDataDir(cfg, "does-not-exist")
	_, err := assets.NewTapdClient(cfg.Tapd)
	require.Error(t, err)

	daemon := start(t, cfg)
	field := reflect.ValueOf(daemon).Elem().FieldByName("assetClient")
	require.True(t, field.IsValid())
	require.Equal(t, reflect.TypeFor[*assets.TapdClient](), field.Type())
	require.True(t, field.IsNil())
}

// TestKeys holds where upstream's keys come from. A restored wallet advances
// these families; a backup is sealed with a key of the first.
func TestKeys(t *testing.T) {
	require.EqualValues(t, 42060, swap.StaticAddressKeyFamily)
	require.EqualValues(t, 99, swap.KeyFamily)
	require.Equal(t, keychain.KeyLocator{Family: 21},
		*lndclient.SharedKeyLocator)
	require.True(t, btcec.IsCompressedPubKey(
		lndclient.SharedKeyNUMS.SerializeCompressed(),
	))
	require.EqualValues(t, 18, loopd.LoopMinRequiredLndVersion.AppMinor)
	require.EqualValues(t, 4, loopd.LoopMinRequiredLndVersion.AppPatch)
	require.Equal(t, []string{
		"signrpc", "walletrpc", "chainrpc", "invoicesrpc",
	}, loopd.LoopMinRequiredLndVersion.BuildTags)
}
