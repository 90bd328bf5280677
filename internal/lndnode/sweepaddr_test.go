package lndnode

import (
	"testing"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
	"github.com/stretchr/testify/require"
)

// bip86Account is the account of the test vectors of BIP 86, and bip86Addresses
// are its first two external addresses.
const bip86Account = "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj" +
	"2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ"

var bip86Addresses = []string{
	"bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
	"bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh",
}

// TestFindSweepScripts checks that the addresses of sweeps are found where a
// wallet keeps them: otherwise swept coins do not show in a rebuilt wallet.
func TestFindSweepScripts(t *testing.T) {
	account, err := hdkeychain.NewKeyFromString(bip86Account)
	require.NoError(t, err)

	var known [][]byte
	for index, text := range bip86Addresses {
		script, err := taprootScript(account, uint32(index))
		require.NoError(t, err)
		_, addresses, _, err := txscript.ExtractPkScriptAddrs(
			script, &chaincfg.MainNetParams,
		)
		require.NoError(t, err)
		require.Len(t, addresses, 1)
		require.Equal(t, text, addresses[0].EncodeAddress())
		known = append(known, script)
	}

	next, missing, err := findSweepScripts(account, map[string]bool{
		string(known[1]): true,
	})
	require.NoError(t, err)
	require.EqualValues(t, 2, next)
	require.Zero(t, missing)

	next, missing, err = findSweepScripts(account, map[string]bool{
		string(known[0]): true, "elsewhere": true,
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, next)
	require.Equal(t, 1, missing)
}
