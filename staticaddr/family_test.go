package staticaddr

import (
	"bytes"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightninglabs/loop/staticaddr/version"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testSeed is the wallet seed of these tests.
var testSeed = bytes.Repeat([]byte{0x42}, 32)

// privateAccount derives m/1017'/coin'/family' of the test seed.
func privateAccount(t testing.TB, params *chaincfg.Params,
	family uint32) *hdkeychain.ExtendedKey {

	t.Helper()

	key, err := hdkeychain.NewMaster(testSeed, params)
	require.NoError(t, err)

	for _, child := range []uint32{
		keychain.BIP0043Purpose, params.HDCoinType, family,
	} {
		key, err = key.Derive(hdkeychain.HardenedKeyStart + child)
		require.NoError(t, err)
	}

	return key
}

// publicAccount returns the account as ListAccounts would export it.
func publicAccount(t *testing.T, params *chaincfg.Params,
	family uint32) string {

	t.Helper()

	account, err := privateAccount(t, params, family).Neuter()
	require.NoError(t, err)

	return account.String()
}

// testDescriptor returns a descriptor with the given client locator.
func testDescriptor(locator keychain.KeyLocator) Descriptor {
	_, server := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{7}, 32))
	_, client := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{9}, 32))

	return Descriptor{
		ProtocolVersion: uint32(version.ProtocolVersion_V0),
		ServerKey:       server,
		ClientKey:       client,
		ClientLocator:   locator,
		Expiry:          14_400,
		ReceiveFamily:   ReceiveFamily,
		ChangeFamily:    ChangeFamily,
		FirstHeight:     100,
	}
}

// TestParseAccount shows which extended keys are taken for an account: a wrong
// one would make a scan look for scripts that nobody was ever paid to.
func TestParseAccount(t *testing.T) {
	t.Parallel()

	regtest := &chaincfg.RegressionNetParams
	private := privateAccount(t, regtest, uint32(ReceiveFamily))
	branch, err := private.Derive(0)
	require.NoError(t, err)
	branch, err = branch.Neuter()
	require.NoError(t, err)

	soft, err := hdkeychain.NewMaster(testSeed, regtest)
	require.NoError(t, err)
	for range accountDepth {
		soft, err = soft.Derive(1)
		require.NoError(t, err)
	}
	soft, err = soft.Neuter()
	require.NoError(t, err)

	good := publicAccount(t, regtest, uint32(ReceiveFamily))
	account, err := ParseAccount(good, regtest)
	require.NoError(t, err)
	require.Equal(t, good, account.String())

	mainnet := publicAccount(
		t, &chaincfg.MainNetParams, uint32(ReceiveFamily),
	)
	_, err = ParseAccount(mainnet, &chaincfg.MainNetParams)
	require.NoError(t, err)

	for name, text := range map[string]string{
		"other network": mainnet,
		"private":       private.String(),
		"too deep":      branch.String(),
		"not hardened":  soft.String(),
		"empty":         "",
		"checksum":      good[:len(good)-1] + "1",
	} {
		_, err := ParseAccount(text, regtest)
		require.ErrorIs(t, err, ErrAccount, name)
		require.NotContains(t, err.Error(), private.String(), name)
	}
}

// TestChildKey compares the keys derived from the public account with those
// derived from the private one, which is how lnd does it.
func TestChildKey(t *testing.T) {
	t.Parallel()

	params := &chaincfg.RegressionNetParams
	private := privateAccount(t, params, uint32(ReceiveFamily))
	account, err := ParseAccount(
		publicAccount(t, params, uint32(ReceiveFamily)), params,
	)
	require.NoError(t, err)

	branch, err := private.Derive(0)
	require.NoError(t, err)

	for index := range uint32(50) {
		child, err := branch.Derive(index)
		require.NoError(t, err)
		wanted, err := child.ECPubKey()
		require.NoError(t, err)

		got, err := ChildKey(account, index)
		require.NoError(t, err)
		require.True(t, wanted.IsEqual(got), "index %d", index)
	}

	_, err = ChildKey(account, maxIndex+1)
	require.ErrorIs(t, err, ErrAccount)
	_, err = ChildKey(nil, 0)
	require.ErrorIs(t, err, ErrAccount)
}

// TestFamilyConcurrent derives scripts from several goroutines at once, as the
// scanner does, and compares them with the descriptor's own.
func TestFamilyConcurrent(t *testing.T) {
	t.Parallel()

	params := &chaincfg.RegressionNetParams
	descriptor := testDescriptor(keychain.KeyLocator{Family: 42060})
	account, err := ParseAccount(
		publicAccount(t, params, uint32(ChangeFamily)), params,
	)
	require.NoError(t, err)

	family := NewFamily(descriptor, ChangeFamily, account)
	require.Equal(t, ChangeFamily, family.ID())
	_, fixed := family.Fixed()
	require.False(t, fixed)

	const count = 32
	scripts := make([][]byte, count)
	errs := make([]error, count)

	var wg sync.WaitGroup
	for index := range uint32(count) {
		wg.Go(func() {
			scripts[index], errs[index] = family.Script(index)
		})
	}
	wg.Wait()

	for index := range uint32(count) {
		require.NoError(t, errs[index])

		key, err := ChildKey(account, index)
		require.NoError(t, err)
		wanted, err := descriptor.PkScript(key)
		require.NoError(t, err)
		require.Equal(t, wanted, scripts[index])
		require.Len(t, scripts[index], 34)
	}

	_, err = NewFamily(descriptor, ReceiveFamily, account).Script(0)
	require.ErrorIs(t, err, ErrAccount, "account of another family")
}

// TestFixedFamily shows that the legacy address is tested at its own index and
// at no other: 42060 also holds keys of swap HTLCs.
func TestFixedFamily(t *testing.T) {
	t.Parallel()

	descriptor := testDescriptor(keychain.KeyLocator{
		Family: keychain.KeyFamily(LegacyFamily), Index: 23,
	})
	family := NewFixedFamily(descriptor)
	require.Equal(t, LegacyFamily, family.ID())

	index, fixed := family.Fixed()
	require.True(t, fixed)
	require.EqualValues(t, 23, index)

	pkScript, err := family.Script(index)
	require.NoError(t, err)
	wanted, err := descriptor.PkScript(descriptor.ClientKey)
	require.NoError(t, err)
	require.Equal(t, wanted, pkScript)

	_, err = family.Script(index + 1)
	require.ErrorIs(t, err, ErrInvalid)
}

// BenchmarkFamilyScript measures the derivation of one script: the child key,
// the key aggregation and the taproot tweak.
func BenchmarkFamilyScript(b *testing.B) {
	params := &chaincfg.RegressionNetParams
	master, err := hdkeychain.NewMaster(testSeed, params)
	require.NoError(b, err)
	account, err := master.Neuter()
	require.NoError(b, err)

	family := NewFamily(
		testDescriptor(keychain.KeyLocator{Family: 42060}),
		ReceiveFamily, account,
	)

	var index uint32
	for b.Loop() {
		_, err := family.Script(index)
		require.NoError(b, err)
		index++
	}
}

// TestRememberedAddresses checks that an address that is remembered is the one
// that upstream makes, for more addresses than are remembered, by several who
// ask at once.
func TestRememberedAddresses(t *testing.T) {
	descriptor := testDescriptor(keychain.KeyLocator{Family: 1})
	var askers sync.WaitGroup
	for range 4 {
		askers.Go(func() {
			for number := range byte(maxRemembered + 10) {
				_, client := btcec.PrivKeyFromBytes(
					[]byte{7, number % 70},
				)
				got, err := descriptor.Script(client)
				if !assert.NoError(t, err) {
					return
				}
				want, err := script.NewStaticAddress(
					input.MuSig2Version100RC2,
					int64(descriptor.Expiry), client,
					descriptor.ServerKey,
				)
				assert.NoError(t, err)
				assert.Equal(t, want, got)
			}
		})
	}
	askers.Wait()
	require.Len(t, addresses.known, maxRemembered)
	require.Len(t, addresses.order, maxRemembered)
}
