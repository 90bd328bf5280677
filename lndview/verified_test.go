package lndview_test

import (
	"context"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/require"
)

// clientKey is the locator of the static address's client key.
var clientKey = keychain.KeyLocator{Family: 42060, Index: 21}

// MuSig2CreateSession makes a session.
func (s *fakeSigner) MuSig2CreateSession(ctx context.Context,
	_ input.MuSig2Version, _ *keychain.KeyLocator, _ [][]byte,
	_ ...lndclient.MuSig2SessionOpts) (*input.MuSig2SessionInfo, error) {

	if err := s.enter(ctx, "MuSig2CreateSession"); err != nil {
		return nil, err
	}

	return &input.MuSig2SessionInfo{}, nil
}

// cosigns makes a session with a key, as a withdrawal, a loop-in and the
// opening of a channel do.
func (h *harness) cosigns(key keychain.KeyLocator) error {
	_, err := h.seen.Signer.MuSig2CreateSession(
		h.t.Context(), input.MuSig2Version100RC2, &key, nil,
	)

	return err
}

// newGuarded returns a blind View that knows the client key.
func newGuarded(t *testing.T) (*harness, *btcec.PublicKey) {
	private, err := btcec.NewPrivateKey()
	require.NoError(t, err)
	h := newBlind(t)
	h.keys = []keychain.KeyDescriptor{{
		KeyLocator: clientKey, PubKey: private.PubKey(),
	}}
	h.view.SetKeys(h.keys)

	return h, private.PubKey()
}

// TestUnverifiedIsNotSigned checks that, however a deposit is named by whoever
// wants to spend it, nothing is signed together with the server while one is
// unproven; and that the way home, and everything else, is.
func TestUnverifiedIsNotSigned(t *testing.T) {
	h, key := newGuarded(t)
	require.NoError(t, h.cosigns(clientKey))

	deposit := h.deposit(1_000)
	h.row(deposit, 1_000, int64(h.chain.height()))
	var unverified *lndview.UnverifiedError
	require.ErrorAs(t, h.cosigns(clientKey), &unverified)
	require.Equal(t, []wire.OutPoint{deposit}, unverified.OutPoints)

	// HTLC keys are of the same family.
	other := clientKey
	other.Index++
	require.NoError(t, h.cosigns(other))

	_, err := h.seen.Signer.SignOutputRaw(t.Context(), nil,
		[]*lndclient.SignDescriptor{{
			KeyDesc: keychain.KeyDescriptor{PubKey: key},
		}}, nil)
	require.NoError(t, err)
	_, err = h.seen.Signer.SignOutputRawKeyLocator(t.Context(), nil,
		[]*lndclient.SignDescriptor{{
			KeyDesc: keychain.KeyDescriptor{KeyLocator: clientKey},
		}}, nil)
	require.NoError(t, err)

	// What cannot be asked is not proven.
	h.rows.err = errDown
	require.ErrorIs(t, h.cosigns(clientKey), errDown)
	h.rows.err = nil
	h.lnd.fail("ListTransactions", errDown)
	require.ErrorIs(t, h.cosigns(clientKey), errDown)
	h.lnd.fail("ListTransactions", nil)

	h.scanned("run")
	require.NoError(t, h.cosigns(clientKey))
}

// TestSeeingWalletSigns checks that a healthy user is refused nothing, and that
// nobody is asked for it.
func TestSeeingWalletSigns(t *testing.T) {
	h, _ := newGuarded(t)
	h.scanned("run")
	h.row(h.deposit(1_000), 1_000, int64(h.chain.height()))
	h.rows.err = errDown
	h.lnd.fail("ListUnspent", errDown)
	require.NoError(t, h.cosigns(clientKey))
}

// TestListedOrOwnedIsProven checks that a live row is not taken for unproven
// when lnd's wallet knows it: a withdrawal in flight made `loop static withdraw
// --all` fail although every other deposit was there to be withdrawn.
func TestListedOrOwnedIsProven(t *testing.T) {
	for name, prove := range map[string]func(*harness, *wire.MsgTx){
		"lnd lists it": func(h *harness, deposit *wire.MsgTx) {
			h.learns(deposit, 0, h.chain.height())
		},
		"lnd owns it": func(h *harness, deposit *wire.MsgTx) {
			h.lnd.list(deposit, h.chain.height(), 0)
		},
		"lnd holds its spend": func(h *harness, deposit *wire.MsgTx) {
			h.lnd.list(h.spend(wire.OutPoint{
				Hash: deposit.TxHash(),
			}), 0)
		},
		"we published its spend": func(h *harness, deposit *wire.MsgTx) {
			h.lnd.unlisted = true
			h.publish(h.spend(wire.OutPoint{
				Hash: deposit.TxHash(),
			}))
			h.unspent()
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newGuarded(t)
			deposit := h.pay(1_000)
			h.chain.mine(deposit)
			h.row(wire.OutPoint{Hash: deposit.TxHash()}, 1_000,
				int64(h.chain.height()))

			provisional, err := h.view.Provisional(t.Context())
			require.NoError(t, err)
			require.Len(t, provisional, 1)
			require.Error(t, h.cosigns(clientKey))

			prove(h, deposit)
			provisional, err = h.view.Provisional(t.Context())
			require.NoError(t, err)
			require.Empty(t, provisional)
			require.NoError(t, h.cosigns(clientKey))
		})
	}
}
