package lndnode

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/internal/testkit/fakelnd"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// family is a key family of the tests.
const family = 42060

// TestKeys checks the keys of a family: looked at without moving the counter,
// moved one by one, and derivable from the account.
func TestKeys(t *testing.T) {
	lnd, node := connected(t)
	keys := node.Keys()
	require.Equal(t, &chaincfg.RegressionNetParams, keys.Params())
	identity, err := keys.Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, lnd.Identity(), identity)

	account, next, err := keys.Account(t.Context(), family)
	require.NoError(t, err)
	require.Zero(t, next)
	derived, err := keys.DeriveKey(t.Context(), keychain.KeyLocator{
		Family: family, Index: 7,
	})
	require.NoError(t, err)
	child, err := staticaddr.ChildKey(account, 7)
	require.NoError(t, err)
	require.True(t, child.IsEqual(derived))

	for want := range uint32(3) {
		index, err := keys.AdvanceKey(t.Context(), family)
		require.NoError(t, err)
		require.Equal(t, want, index)
	}
	_, next, err = keys.Account(t.Context(), family)
	require.NoError(t, err)
	require.EqualValues(t, 3, next)
}

// TestImportScript checks that it is told whether a script was new to lnd's
// wallet: that decides whether the wallet is blind.
func TestImportScript(t *testing.T) {
	_, node := connected(t)
	key, err := btcec.NewPrivateKey()
	require.NoError(t, err)
	address, err := script.NewStaticAddress(
		input.MuSig2Version100RC2, 144, key.PubKey(), key.PubKey(),
	)
	require.NoError(t, err)
	for _, isNew := range []bool{true, false, false} {
		got, err := node.Keys().ImportScript(t.Context(), address)
		require.NoError(t, err)
		require.Equal(t, isNew, got)
	}
}

// TestChain checks the tip and the blocks, and that an lnd that has not caught
// up does not know the tip.
func TestChain(t *testing.T) {
	lnd, node := connected(t)
	chain := node.Chain()
	tip, err := chain.BestBlock(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, fakelnd.TipHeight, tip.Height)
	require.Equal(t, fakelnd.TipHash(), tip.Hash)
	hash, err := chain.BlockHash(t.Context(), fakelnd.TipHeight)
	require.NoError(t, err)
	require.Equal(t, tip.Hash, hash)
	at, err := chain.BlockTime(t.Context(), 7)
	require.NoError(t, err)
	header := fakelnd.Header(7)
	require.WithinDuration(t, header.Timestamp, at, time.Second)
	best, err := node.NewSource().BestBlock(t.Context())
	require.NoError(t, err)
	require.Equal(t, tip, best)

	lnd.Set(func(b *fakelnd.Behaviour) { b.Synced = false })
	_, err = chain.BestBlock(t.Context())
	require.ErrorIs(t, err, ErrNotSynced)
	requireTransient(t, err, states.Starting)
}

// TestWatchSweepAddresses checks that lnd derives the addresses that sweeps pay
// to, up to the last one and no further.
func TestWatchSweepAddresses(t *testing.T) {
	lnd, node := connected(t)
	pays, err := lnd.TaprootScript(2)
	require.NoError(t, err)
	scripts := map[string]bool{string(pays): true, "elsewhere": true}
	next := "/walletrpc.WalletKit/NextAddr"
	require.NoError(t, node.WatchSweepAddresses(t.Context(), nil))
	require.Zero(t, lnd.Calls(next))
	for range 2 {
		err := node.WatchSweepAddresses(t.Context(), scripts)
		require.NoError(t, err)
		require.Equal(t, 3, lnd.Calls(next))
	}

	lnd.Set(func(b *fakelnd.Behaviour) { b.NoTaproot = true })
	requirePermanent(t, node.WatchSweepAddresses(t.Context(), scripts),
		states.LndUnsuitable, "taproot")
}

// TestPortsNameTheCall checks that an error of a port says which call it was,
// and keeps its kind.
func TestPortsNameTheCall(t *testing.T) {
	lnd, node := connected(t)
	keys, chain := node.Keys(), node.Chain()
	key, err := btcec.NewPrivateKey()
	require.NoError(t, err)
	address, err := script.NewStaticAddress(
		input.MuSig2Version100RC2, 144, key.PubKey(), key.PubKey(),
	)
	require.NoError(t, err)
	pays, err := lnd.TaprootScript(0)
	require.NoError(t, err)

	ports := map[string]func() error{
		"/lnrpc.Lightning/GetInfo": func() error {
			_, err := keys.Identity(t.Context())
			_, second := chain.BestBlock(t.Context())

			return errors.Join(err, second)
		},
		"/walletrpc.WalletKit/DeriveKey": func() error {
			_, err := keys.DeriveKey(
				t.Context(), keychain.KeyLocator{},
			)
			_, _, second := keys.Account(t.Context(), family)

			return errors.Join(err, second)
		},
		"/walletrpc.WalletKit/ListAccounts": func() error {
			_, _, err := keys.Account(t.Context(), family)

			return err
		},
		"/walletrpc.WalletKit/DeriveNextKey": func() error {
			_, err := keys.AdvanceKey(t.Context(), family)

			return err
		},
		"/walletrpc.WalletKit/ImportTapscript": func() error {
			_, err := keys.ImportScript(t.Context(), address)

			return err
		},
		"/walletrpc.WalletKit/NextAddr": func() error {
			return node.WatchSweepAddresses(
				t.Context(),
				map[string]bool{string(pays): true},
			)
		},
		"/chainrpc.ChainKit/GetBestBlock": func() error {
			_, err := chain.BestBlock(t.Context())

			return err
		},
		"/chainrpc.ChainKit/GetBlockHash": func() error {
			_, err := chain.BlockTime(t.Context(), 1)

			return err
		},
		"/chainrpc.ChainKit/GetBlockHeader": func() error {
			_, err := chain.BlockTime(t.Context(), 1)

			return err
		},
	}
	for method, ask := range ports {
		for code, reason := range map[codes.Code]states.Reason{
			codes.PermissionDenied: states.LndRefuses,
			codes.Unimplemented:    states.LndUnsuitable,
			codes.Unavailable:      states.LndDown,
			codes.Internal:         "",
		} {
			lnd.Set(func(b *fakelnd.Behaviour) {
				b.Errors = map[string]error{
					method: status.Error(code, "no"),
				}
			})
			err := ask()
			require.Error(t, err, method)
			require.ErrorContains(t, err, "lnd's ")
			if strings.HasSuffix(method, "ImportTapscript") {
				// lndclient makes text of this one.
				reason = ""
			}
			got, permanent := states.PermanentReason(err)
			if !permanent {
				got, _ = states.TransientReason(err)
			}
			require.Equal(t, reason, got, "%s: %v", method, err)
		}
	}
}

// TestPortsWithoutLnd checks that every port says that there is no lnd, instead
// of failing in a way of its own.
func TestPortsWithoutLnd(t *testing.T) {
	node := newNode(t, Config{Network: "regtest", Host: "127.0.0.1:1"})
	keys, chain := node.Keys(), node.Chain()
	for name, ask := range map[string]func() error{
		"Identity": func() error {
			_, err := keys.Identity(t.Context())
			return err
		},
		"DeriveKey": func() error {
			_, err := keys.DeriveKey(
				t.Context(), keychain.KeyLocator{},
			)
			return err
		},
		"Account": func() error {
			_, _, err := keys.Account(t.Context(), family)
			return err
		},
		"AdvanceKey": func() error {
			_, err := keys.AdvanceKey(t.Context(), family)
			return err
		},
		"ImportScript": func() error {
			_, err := keys.ImportScript(t.Context(), nil)
			return err
		},
		"BestBlock": func() error {
			_, err := chain.BestBlock(t.Context())
			return err
		},
		"BlockHash": func() error {
			_, err := chain.BlockHash(t.Context(), 1)
			return err
		},
		"BlockTime": func() error {
			_, err := chain.BlockTime(t.Context(), 1)
			return err
		},
		"NewSource": func() error {
			_, err := node.NewSource().BestBlock(t.Context())
			return err
		},
		"WatchSweepAddresses": func() error {
			return node.WatchSweepAddresses(
				t.Context(), map[string]bool{"": true},
			)
		},
	} {
		err := ask()
		require.ErrorIs(t, err, ErrNotReady, name)
		requireTransient(t, err, states.LndDown)
	}
}
