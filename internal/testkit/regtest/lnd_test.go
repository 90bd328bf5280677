package regtest

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/macaroon.v2"
)

// TestReadMacaroon: a macaroon that lnd has not written to its end yet is
// refused, so that no connection keeps it. If this breaks, a node that is just
// being made is now and then never reached.
func TestReadMacaroon(t *testing.T) {
	t.Parallel()

	mac, err := macaroon.New(
		[]byte("root key"), []byte("id"), "lnd", macaroon.LatestVersion,
	)
	require.NoError(t, err)
	whole, err := mac.MarshalBinary()
	require.NoError(t, err)

	path := filepath.Join(t.TempDir(), "admin.macaroon")
	_, err = readMacaroon(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	for size := range whole {
		require.NoError(t, os.WriteFile(path, whole[:size], 0o600))
		_, err := readMacaroon(path)
		require.Error(t, err, "%d bytes", size)
	}

	require.NoError(t, os.WriteFile(path, whole, 0o600))
	read, err := readMacaroon(path)
	require.NoError(t, err)
	require.EqualValues(t, hex.EncodeToString(whole), read)
}
