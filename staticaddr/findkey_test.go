package staticaddr

import (
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/stretchr/testify/require"
)

// TestFindKey shows that a key is found wherever it lies up to the bound, and
// nowhere above it.
func TestFindKey(t *testing.T) {
	t.Parallel()

	params := &chaincfg.RegressionNetParams
	account, err := ParseAccount(
		publicAccount(t, params, uint32(LegacyFamily)), params,
	)
	require.NoError(t, err)

	for _, index := range []uint32{0, 1, 20, 21, 60} {
		key, err := ChildKey(account, index)
		require.NoError(t, err)

		found, ok, err := FindKey(account, key, 60)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, index, found)
	}

	above, err := ChildKey(account, 61)
	require.NoError(t, err)
	_, ok, err := FindKey(account, above, 60)
	require.NoError(t, err)
	require.False(t, ok)

	_, _, err = FindKey(nil, above, 60)
	require.ErrorIs(t, err, ErrAccount)
}

// BenchmarkFindKey measures the search for a key that is not there, up to the
// index at which a restore gives up.
func BenchmarkFindKey(b *testing.B) {
	params := &chaincfg.RegressionNetParams
	account, err := privateAccount(b, params, uint32(LegacyFamily)).Neuter()
	require.NoError(b, err)
	absent, err := account.ECPubKey()
	require.NoError(b, err)

	for b.Loop() {
		_, ok, err := FindKey(account, absent, 10_000)
		require.NoError(b, err)
		require.False(b, ok)
	}
}
