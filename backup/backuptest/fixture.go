// Package backuptest makes generations, and the keys of seeds that do not
// exist, for the tests of whoever handles backups.
package backuptest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightninglabs/aperture/l402"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/staticaddr"
	"gopkg.in/macaroon.v2"
)

// created is the creation time of the token of generation 0, in unix
// nanoseconds. Each further generation is a nanosecond younger.
const created = int64(1_700_000_000_123_456_789)

// Signer stands for the lnd of a seed. It derives a shared key for every
// locator, though not lnd's.
type Signer byte

var _ backup.SharedKeyDeriver = Signer(0)

// DeriveSharedKey implements backup.SharedKeyDeriver.
func (s Signer) DeriveSharedKey(_ context.Context, public *btcec.PublicKey,
	locator *keychain.KeyLocator) ([32]byte, error) {

	return sha256.Sum256(fmt.Appendf(nil, "%d/%d/%d/%x", s, locator.Family,
		locator.Index, public.SerializeCompressed())), nil
}

// Keys returns the keys of a seed.
func Keys(seed byte) backup.Keys {
	keys, err := backup.DeriveKeys(context.Background(), Signer(seed))
	must(err)

	return keys
}

// Token returns the bytes of the paid token of a generation.
func Token(generation byte) []byte {
	preimage := bytes.Repeat([]byte{generation + 1}, 32)
	hash := sha256.Sum256(preimage)

	var id bytes.Buffer
	must(l402.EncodeIdentifier(&id, &l402.Identifier{
		Version:     l402.LatestVersion,
		PaymentHash: hash,
		TokenID:     tokenID(generation),
	}))
	mac, err := macaroon.New(
		[]byte("root"), id.Bytes(), "loop", macaroon.LatestVersion,
	)
	must(err)
	raw, err := mac.MarshalBinary()
	must(err)

	data := binary.BigEndian.AppendUint32(nil, uint32(len(raw)))
	data = append(data, raw...)
	data = append(data, hash[:]...)
	data = append(data, preimage...)
	data = binary.BigEndian.AppendUint64(data, 7_000)
	data = binary.BigEndian.AppendUint64(data, 1)

	return binary.BigEndian.AppendUint64(
		data, uint64(created)+uint64(generation),
	)
}

// tokenID returns the id of a generation's token.
func tokenID(generation byte) [32]byte {
	return [32]byte(bytes.Repeat([]byte{0xa0, generation}, 16))
}

// Content returns what the backup of a generation holds.
func Content(network string, generation byte) *backup.Content {
	_, server := btcec.PrivKeyFromBytes([]byte{1, generation})
	_, client := btcec.PrivKeyFromBytes([]byte{2, generation})

	return &backup.Content{
		Network:      network,
		TokenID:      tokenID(generation),
		TokenCreated: time.Unix(0, created+int64(generation)),
		Token:        Token(generation),
		Address: staticaddr.Descriptor{
			ServerKey: server,
			ClientKey: client,
			ClientLocator: keychain.KeyLocator{
				Family: keychain.KeyFamily(
					staticaddr.LegacyFamily,
				),
				Index: uint32(generation),
			},
			Expiry:              14_400,
			ReceiveFamily:       staticaddr.ReceiveFamily,
			ChangeFamily:        staticaddr.ChangeFamily,
			FirstHeight:         850_000,
			FamiliesFirstHeight: 850_001,
		},
	}
}

// must panics: nothing here can fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
