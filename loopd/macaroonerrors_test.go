package loopd

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/loopdb"
	looptest "github.com/lightninglabs/loop/test"
	"github.com/lightningnetwork/lnd/macaroons"
	"github.com/looprecovery/looprecovery/internal/testkit/handles"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// storeOf makes a macaroon store that a password opens.
func storeOf(t *testing.T, dir string, password []byte) {
	t.Helper()

	store, db, err := lndclient.NewBoltMacaroonStore(
		dir, macaroonDBName, loopdb.DefaultLoopDBTimeout,
	)
	require.NoError(t, err)
	keys, ok := store.(*macaroons.RootKeyStorage)
	require.True(t, ok)
	require.NoError(t, keys.CreateUnlock(&password))
	require.NoError(t, keys.GenerateNewRootKey())
	require.NoError(t, db.Close())
}

// damage overwrites a file of a valid store from an offset on.
func damage(offset int64) func(*testing.T, string, *Config) {
	return func(t *testing.T, path string, cfg *Config) {
		storeOf(t, cfg.DataDir, []byte{})
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		info, err := file.Stat()
		require.NoError(t, err)
		garbage := make([]byte, info.Size()-offset)
		for i := range garbage {
			garbage[i] = byte(7 * i)
		}
		_, err = file.WriteAt(garbage, offset)
		require.NoError(t, errors.Join(err, file.Close()))
	}
}

// TestMacaroonsDamaged checks that what is wrong with loopd's own macaroons is
// told by its reason and the file, leaves nothing open however often it is
// looked at, and is forgotten as soon as the file is moved away. Upstream exits
// with the cause; a "not ready" for ever would not even name the file.
func TestMacaroonsDamaged(t *testing.T) {
	for name, broken := range map[string]struct {
		make   func(*testing.T, string, *Config)
		file   string
		reason states.Reason
	}{
		"garbage": {
			damage(0), macaroonDBName, states.MacaroonsDamaged,
		},
		"pages damaged": {
			damage(8192), macaroonDBName, states.MacaroonsDamaged,
		},
		"directory": {func(t *testing.T, path string, _ *Config) {
			require.NoError(t, os.Mkdir(path, 0o700))
		}, macaroonDBName, states.MacaroonsDamaged},
		"of another lnd": {func(t *testing.T, _ string, cfg *Config) {
			storeOf(t, cfg.DataDir, []byte("of another lnd"))
		}, macaroonDBName, states.WrongLnd},
		"macaroon is garbage": {func(t *testing.T, _ string,
			cfg *Config) {

			require.NoError(t, os.WriteFile(
				cfg.MacaroonPath, []byte("garbage"), 0o600,
			))
		}, "loop.macaroon", states.MacaroonsDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.DataDir = t.TempDir()
			cfg.MacaroonPath = filepath.Join(
				cfg.DataDir, "loop.macaroon",
			)
			path := filepath.Join(cfg.DataDir, broken.file)
			broken.make(t, path, &cfg)
			lnd := looptest.NewMockLnd().LndServices
			a := newAuthenticator(cfg.DataDir)

			var before int
			for look := range 4 {
				err := a.unlock(t.Context(), &cfg, &lnd)
				var permanent *states.PermanentError
				require.ErrorAs(t, err, &permanent)
				require.Equal(t, broken.reason,
					permanent.Reason, "%v", err)
				require.Contains(t, permanent.Detail, path)
				if look == 0 {
					before = handles.Open(t)
				}
			}
			require.LessOrEqual(t, handles.Open(t), before)

			require.NoError(t, os.Rename(path, path+".aside"))
			require.NoError(t, a.unlock(t.Context(), &cfg, &lnd))
			require.NoError(t, a.store.letGo())
		})
	}
}

// TestMacaroonsOfAnotherProcess checks that a store that another loopd has open
// is waited for, and that a store of the time before lnd's key is still read.
func TestMacaroonsOfAnotherProcess(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DataDir = t.TempDir()
	cfg.MacaroonPath = filepath.Join(cfg.DataDir, "loop.macaroon")
	storeOf(t, cfg.DataDir, []byte{})
	_, db, err := lndclient.NewBoltMacaroonStore(
		cfg.DataDir, macaroonDBName, loopdb.DefaultLoopDBTimeout,
	)
	require.NoError(t, err)

	lnd := looptest.NewMockLnd().LndServices
	a := newAuthenticator(cfg.DataDir)
	err = a.unlock(t.Context(), &cfg, &lnd)
	reason, ok := states.TransientReason(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, states.Standby, reason)

	require.NoError(t, db.Close())
	require.NoError(t, a.unlock(t.Context(), &cfg, &lnd))
	require.NoError(t, a.store.letGo())
}
