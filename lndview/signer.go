package lndview

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
)

// signer is lnd's signer with the locators of the client keys, which does not
// sign away what is not proven to be there.
type signer struct {
	lndclient.SignerClient

	view *View
}

// MuSig2CreateSession creates a signing session. While a deposit is reported
// without proof it refuses one with the key of a static address, with an
// *UnverifiedError: such a session signs what spends deposits together with the
// server (a withdrawal, a loop-in, the opening of a channel), and the outputs it
// would spend are not known here. So it refuses for all deposits what may be
// wrong for one. The way home after the timeout needs no session and is never
// refused.
func (s *signer) MuSig2CreateSession(ctx context.Context,
	version input.MuSig2Version, key *keychain.KeyLocator,
	signers [][]byte, opts ...lndclient.MuSig2SessionOpts) (
	*input.MuSig2SessionInfo, error) {

	if key != nil && s.view.isClientKey(*key) {
		provisional, err := s.view.Provisional(ctx)
		if err != nil {
			return nil, err
		}
		if len(provisional) > 0 {
			return nil, &UnverifiedError{OutPoints: provisional}
		}
	}

	return s.SignerClient.MuSig2CreateSession(
		ctx, version, key, signers, opts...,
	)
}

// SignOutputRaw signs the inputs of a transaction. Upstream names the key of a
// static address by its public key alone. An lnd that was rebuilt from its seed
// has not derived that key and would sign with another one, so that the locator
// is added. All other inputs are signed as asked.
func (s *signer) SignOutputRaw(ctx context.Context, tx *wire.MsgTx,
	descriptors []*lndclient.SignDescriptor,
	prevOutputs []*wire.TxOut) ([][]byte, error) {

	var located, plain signBatch
	for i, descriptor := range descriptors {
		locator, ok := s.view.locator(descriptor.KeyDesc)
		if !ok {
			plain.add(i, descriptor)

			continue
		}

		withLocator := *descriptor
		withLocator.KeyDesc = keychain.KeyDescriptor{
			KeyLocator: locator,
		}
		located.add(i, &withLocator)
	}

	signatures := make([][]byte, len(descriptors))
	for _, part := range []struct {
		batch signBatch
		sign  signFunc
	}{
		{located, s.SignOutputRawKeyLocator},
		{plain, s.SignerClient.SignOutputRaw},
	} {
		err := part.batch.sign(
			ctx, part.sign, tx, prevOutputs, signatures,
		)
		if err != nil {
			return nil, err
		}
	}

	return signatures, nil
}

// signFunc is one of the ways in which lnd signs.
type signFunc func(ctx context.Context, tx *wire.MsgTx,
	descriptors []*lndclient.SignDescriptor,
	prevOutputs []*wire.TxOut) ([][]byte, error)

// signBatch are descriptors that are signed in one way.
type signBatch struct {
	descriptors []*lndclient.SignDescriptor

	// index is each descriptor's place in the caller's list.
	index []int
}

// add appends a descriptor.
func (b *signBatch) add(index int, descriptor *lndclient.SignDescriptor) {
	b.descriptors = append(b.descriptors, descriptor)
	b.index = append(b.index, index)
}

// sign signs the batch and puts the signatures where the caller expects them.
func (b *signBatch) sign(ctx context.Context, sign signFunc, tx *wire.MsgTx,
	prevOutputs []*wire.TxOut, all [][]byte) error {

	if len(b.descriptors) == 0 {
		return nil
	}

	signatures, err := sign(ctx, tx, b.descriptors, prevOutputs)
	if err != nil {
		return err
	}
	if len(signatures) != len(b.index) {
		return fmt.Errorf("lnd made %d signatures instead of %d",
			len(signatures), len(b.index))
	}
	for i, signature := range signatures {
		all[b.index[i]] = signature
	}

	return nil
}

// locator returns the locator of a key that is named by its public key, if it
// is one of the client keys.
func (v *View) locator(key keychain.KeyDescriptor) (keychain.KeyLocator,
	bool) {

	if key.PubKey == nil {
		return keychain.KeyLocator{}, false
	}
	locator, ok := (*v.keys.Load())[keyBytes(key.PubKey)]

	return locator, ok
}

// isClientKey says whether a locator is that of a static address's client key.
func (v *View) isClientKey(locator keychain.KeyLocator) bool {
	for _, known := range *v.keys.Load() {
		if known == locator {
			return true
		}
	}

	return false
}

// keyBytes returns a public key in its compressed form.
func keyBytes(key *btcec.PublicKey) [33]byte {
	var compressed [33]byte
	copy(compressed[:], key.SerializeCompressed())

	return compressed
}
