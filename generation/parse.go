package generation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/lightninglabs/aperture/l402"
	"gopkg.in/macaroon.v2"
)

// The layout of a token file, as upstream writes it (aperture/l402/token.go):
// all numbers big endian; a macaroon behind its length, payment hash, preimage,
// amount paid and routing fee in millisatoshis, creation time in unix
// nanoseconds.
const (
	lengthSize   = 4
	hashSize     = 32
	preimageSize = 32
	amountsSize  = 8 + 8
	createdSize  = 8

	// fixedSize is the size of a token file without its macaroon.
	fixedSize = lengthSize + hashSize + preimageSize + amountsSize +
		createdSize

	// identifierSize is the smallest size of the macaroon's identifier: a
	// version, the payment hash and the token id.
	identifierSize = 2 + hashSize + l402.TokenIDSize

	// MaxTokenSize is the largest token file that is read, in bytes. A
	// real one has about 240.
	MaxTokenSize = 64 * 1024
)

// ErrNotToken is wrapped by every error of ParseToken.
var ErrNotToken = errors.New("not an L402 token")

// ParseToken parses the bytes of a token file. Every length is checked before
// anything is allocated for it, and nothing may follow the token. A token is
// paid if it has a preimage, which must be that of its payment hash; the
// payment hash must be the one in the macaroon's identifier.
func ParseToken(data []byte) (*Token, error) {
	if len(data) < fixedSize || len(data) > MaxTokenSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrNotToken, len(data))
	}
	macaroonSize := binary.BigEndian.Uint32(data)
	if int64(macaroonSize) != int64(len(data)-fixedSize) {
		return nil, fmt.Errorf("%w: a macaroon of %d bytes in %d",
			ErrNotToken, macaroonSize, len(data))
	}

	rest := data[lengthSize:]
	id, err := parseIdentifier(rest[:macaroonSize])
	if err != nil {
		return nil, err
	}

	rest = rest[macaroonSize:]
	paymentHash, rest := rest[:hashSize], rest[hashSize:]
	preimage, rest := rest[:preimageSize], rest[preimageSize:]
	created := binary.BigEndian.Uint64(rest[amountsSize:])

	if !bytes.Equal(id.PaymentHash[:], paymentHash) {
		return nil, fmt.Errorf("%w: the payment hash is not the "+
			"macaroon's", ErrNotToken)
	}
	paid := !bytes.Equal(preimage, make([]byte, preimageSize))
	sum := sha256.Sum256(preimage)
	if paid && !bytes.Equal(sum[:], paymentHash) {
		return nil, fmt.Errorf("%w: the preimage is not the payment "+
			"hash's", ErrNotToken)
	}

	return &Token{
		ID:      id.TokenID,
		Created: time.Unix(0, int64(created)),
		Paid:    paid,
	}, nil
}

// parseIdentifier returns the identifier of a serialised macaroon, which must
// be its own serialisation, of the version that is in use: then nothing follows
// it either.
func parseIdentifier(data []byte) (*l402.Identifier, error) {
	var mac macaroon.Macaroon
	if err := mac.UnmarshalBinary(data); err != nil {
		return nil, fmt.Errorf("%w: the macaroon does not parse",
			ErrNotToken)
	}
	if mac.Version() != macaroon.V2 {
		return nil, fmt.Errorf("%w: a macaroon of version %d",
			ErrNotToken, mac.Version())
	}
	canonical, err := mac.MarshalBinary()
	if err != nil || !bytes.Equal(canonical, data) {
		return nil, fmt.Errorf("%w: the macaroon is not canonical",
			ErrNotToken)
	}

	// The decoder takes what is missing for zeros.
	if len(mac.Id()) < identifierSize {
		return nil, fmt.Errorf("%w: a macaroon's identifier of %d "+
			"bytes", ErrNotToken, len(mac.Id()))
	}
	id, err := l402.DecodeIdentifier(bytes.NewReader(mac.Id()))
	if err != nil {
		return nil, fmt.Errorf("%w: the macaroon's identifier does "+
			"not parse", ErrNotToken)
	}

	return id, nil
}
