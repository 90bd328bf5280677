package twin

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/lightninglabs/aperture/l402"
	"github.com/lightningnetwork/lnd/lntypes"
	"gopkg.in/macaroon.v2"
)

// NewToken returns the bytes of an l402.token as aperture writes it: paid, or
// pending if it is to have no preimage. The name makes tokens differ.
func NewToken(name string, created time.Time, paid bool) []byte {
	preimage := lntypes.Preimage(sha256.Sum256([]byte("preimage " + name)))
	hash := preimage.Hash()

	var id bytes.Buffer
	must(l402.EncodeIdentifier(&id, &l402.Identifier{
		Version:     l402.LatestVersion,
		PaymentHash: hash,
		TokenID:     TokenID(name),
	}))

	mac, err := macaroon.New(
		[]byte("root key "+name), id.Bytes(), "loop",
		macaroon.LatestVersion,
	)
	must(err)
	macBytes, err := mac.MarshalBinary()
	must(err)

	if !paid {
		preimage = lntypes.Preimage{}
	}

	const amountMsat, feeMsat = 1_000_000, 1_000
	token := binary.BigEndian.AppendUint32(nil, uint32(len(macBytes)))
	token = append(token, macBytes...)
	token = append(token, hash[:]...)
	token = append(token, preimage[:]...)
	token = binary.BigEndian.AppendUint64(token, amountMsat)
	token = binary.BigEndian.AppendUint64(token, feeMsat)

	return binary.BigEndian.AppendUint64(
		token, uint64(created.UnixNano()),
	)
}

// TokenID returns the id of a token made by NewToken.
func TokenID(name string) [32]byte {
	return sha256.Sum256([]byte("token " + name))
}

// must panics on an error that only a mistake in this package can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
