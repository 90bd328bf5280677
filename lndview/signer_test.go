package lndview_test

import (
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/stretchr/testify/require"
)

// TestSigner checks that a rebuilt lnd signs with the key of the static
// address: its locator is added where upstream names the key alone, every other input is
// signed as asked, and the signatures come back in their order.
func TestSigner(t *testing.T) {
	h := newHarness(t)
	key := func() *btcec.PublicKey {
		private, err := btcec.NewPrivateKey()
		require.NoError(t, err)

		return private.PubKey()
	}
	client, stranger := key(), key()
	locator := keychain.KeyLocator{Family: 42060, Index: 21}
	h.view.SetKeys([]keychain.KeyDescriptor{
		{PubKey: client, KeyLocator: locator},
	})

	describe := func(input int,
		key keychain.KeyDescriptor) *lndclient.SignDescriptor {

		return &lndclient.SignDescriptor{
			InputIndex: input, KeyDesc: key,
		}
	}
	byLocator := keychain.KeyDescriptor{
		KeyLocator: keychain.KeyLocator{Family: 99, Index: 3},
	}
	ours := keychain.KeyDescriptor{PubKey: client}
	asked := []*lndclient.SignDescriptor{
		describe(0, keychain.KeyDescriptor{PubKey: stranger}),
		describe(1, ours),
		describe(2, byLocator),
		describe(3, ours),
	}

	sigs, err := h.seen.Signer.SignOutputRaw(t.Context(), nil, asked, nil)
	require.NoError(t, err)
	require.Equal(t, [][]byte{{0}, {1}, {2}, {3}}, sigs)
	require.Equal(t, ours, asked[1].KeyDesc)

	require.Len(t, h.lnd.signed, 4)
	for _, request := range h.lnd.signed {
		switch input := request.descriptor.InputIndex; input {
		case 1, 3:
			require.True(t, request.withLocator)
			require.Equal(t, keychain.KeyDescriptor{
				KeyLocator: locator,
			}, request.descriptor.KeyDesc)

		default:
			require.False(t, request.withLocator)
			require.Equal(t, asked[input], request.descriptor)
		}
	}

	for _, method := range []string{
		"SignOutputRaw", "SignOutputRawKeyLocator",
	} {
		h.lnd.fail(method, errDown)
		_, err = h.seen.Signer.SignOutputRaw(
			t.Context(), nil, asked, nil,
		)
		require.ErrorIs(t, err, errDown)
		h.lnd.fail(method, nil)
	}
}

// TestDecorateTwice checks that a connection is decorated once.
func TestDecorateTwice(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	h.scanned("run")
	h.view.Decorate(h.seen)
	h.sees(deposit)
}
