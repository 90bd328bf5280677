package lndview

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/keychain"
)

// signer is lnd's signer with the locators of the client keys.
type signer struct {
	lndclient.SignerClient

	view *View
}

// SignOutputRaw signs the inputs of a transaction. Upstream names the key of a
// static address by its public key alone. An lnd that was rebuilt from its seed
// has not derived that key and would sign with another one, so that the locator
// is added. All other inputs are signed as asked.
func (s *signer) SignOutputRaw(ctx context.Context, tx *wire.MsgTx,
	descriptors []*lndclient.SignDescriptor,
	prevOutputs []*wire.TxOut) ([][]byte, error) {

	var (
		located, plain           []*lndclient.SignDescriptor
		locatedIndex, plainIndex []int
	)
	for i, descriptor := range descriptors {
		locator, ok := s.view.locator(descriptor.KeyDesc)
		if !ok {
			plain = append(plain, descriptor)
			plainIndex = append(plainIndex, i)

			continue
		}

		withLocator := *descriptor
		withLocator.KeyDesc = keychain.KeyDescriptor{
			KeyLocator: locator,
		}
		located = append(located, &withLocator)
		locatedIndex = append(locatedIndex, i)
	}

	if len(located) == 0 {
		return s.SignerClient.SignOutputRaw(
			ctx, tx, descriptors, prevOutputs,
		)
	}

	signatures := make([][]byte, len(descriptors))
	locatedSigs, err := s.SignOutputRawKeyLocator(
		ctx, tx, located, prevOutputs,
	)
	if err != nil {
		return nil, err
	}
	if err := place(signatures, locatedSigs, locatedIndex); err != nil {
		return nil, err
	}

	if len(plain) > 0 {
		plainSigs, err := s.SignerClient.SignOutputRaw(
			ctx, tx, plain, prevOutputs,
		)
		if err != nil {
			return nil, err
		}
		err = place(signatures, plainSigs, plainIndex)
		if err != nil {
			return nil, err
		}
	}

	return signatures, nil
}

// place puts signatures where the caller expects them.
func place(all, some [][]byte, index []int) error {
	if len(some) != len(index) {
		return fmt.Errorf("lnd made %d signatures instead of %d; "+
			"nothing was signed", len(some), len(index))
	}
	for i, signature := range some {
		all[index[i]] = signature
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

// keyBytes returns a public key in its compressed form.
func keyBytes(key *btcec.PublicKey) [33]byte {
	var compressed [33]byte
	copy(compressed[:], key.SerializeCompressed())

	return compressed
}
