package backup

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/keychain"
)

const (
	// KeyFamily and KeyIndex are the locator in lnd's key tree that backups
	// are encrypted under. Nothing else uses this family.
	KeyFamily keychain.KeyFamily = 42_071
	KeyIndex  uint32             = 0

	// legacyFamily and legacyIndex are the locator of the older format. It
	// is also that of the first static address: hence a locator of our own.
	legacyFamily keychain.KeyFamily = 42_060
	legacyIndex  uint32             = 0

	// keyLabel and checkLabel separate the two uses of the shared key.
	keyLabel   = "looprecovery/backup/v1/key"
	checkLabel = "looprecovery/backup/v1/check"
)

// Key encrypts the backups of one lnd seed. It is secret.
type Key [32]byte

// Keys are what files are opened with.
type Keys struct {
	// Native is the key of our own format.
	Native Key

	// Legacy is the key of the older format.
	Legacy Key

	// check tells a holder of the seed whether a file is his. It is not
	// secret: it stands in every file.
	check [keyCheckSize]byte
}

// SharedKeyDeriver is lnd's signer, which derives the same shared key from the
// same seed anywhere. It needs the macaroon permission signer:generate.
type SharedKeyDeriver interface {
	// DeriveSharedKey returns SHA-256 of the compressed point of the ECDH
	// between the public key and the key at the locator.
	DeriveSharedKey(ctx context.Context, ephemeral *btcec.PublicKey,
		locator *keychain.KeyLocator) ([32]byte, error)
}

// DeriveKeys derives the keys of lnd's seed. An error is lnd's.
func DeriveKeys(ctx context.Context, signer SharedKeyDeriver) (Keys, error) {
	shared, err := signer.DeriveSharedKey(
		ctx, lndclient.SharedKeyNUMS, &keychain.KeyLocator{
			Family: KeyFamily,
			Index:  KeyIndex,
		},
	)
	if err != nil {
		return Keys{}, fmt.Errorf("backup key: %w", err)
	}
	legacy, err := signer.DeriveSharedKey(
		ctx, lndclient.SharedKeyNUMS, &keychain.KeyLocator{
			Family: legacyFamily,
			Index:  legacyIndex,
		},
	)
	if err != nil {
		return Keys{}, fmt.Errorf("key of the older format: %w", err)
	}

	return newKeys(shared, legacy)
}

// newKeys expands lnd's shared key (HKDF-SHA256 of RFC 5869, no salt). That of
// the older format is used as it is.
func newKeys(shared, legacy [32]byte) (Keys, error) {
	keys := Keys{Legacy: legacy}

	key, err := hkdf.Key(
		sha256.New, shared[:], nil, keyLabel, len(keys.Native),
	)
	if err != nil {
		return keys, err
	}
	check, err := hkdf.Key(
		sha256.New, shared[:], nil, checkLabel, keyCheckSize,
	)
	if err != nil {
		return keys, err
	}
	copy(keys.Native[:], key)
	copy(keys.check[:], check)

	return keys, nil
}
