package backup

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/staticaddr"
)

const (
	// keySize is the size of a compressed public key.
	keySize = btcec.PubKeyBytesLenCompressed

	// fieldSize is the size of each number in the payload.
	fieldSize = 4

	// payloadSize is the size of a payload of version 1 without its token:
	// two keys, eight numbers and the token's length.
	payloadSize = 2*keySize + 9*fieldSize

	// evidenceAccepted is the only value of the number that version 2 has
	// before the token's length: a person accepted the pair.
	evidenceAccepted = 1
)

// version returns the lowest version of the format that can hold the contents.
func (c *Content) version() uint16 {
	if c.PairAccepted {
		return acceptedVersion
	}

	return provenVersion
}

// validate checks that the contents are complete, as both a writer and a
// reader must insist.
func (c *Content) validate() error {
	if !slices.Contains(networks, c.Network) {
		return fmt.Errorf("unknown network %q", c.Network)
	}
	if c.TokenCreated.UnixNano() < 0 {
		return errors.New("the token was created before 1970")
	}
	if err := c.Address.Validate(); err != nil {
		return err
	}

	token, err := generation.ParseToken(c.Token)
	switch {
	case err != nil:
		return err

	case !token.Paid:
		return errors.New("the token is not paid")

	case token.ID != c.TokenID:
		return errors.New("the token has another id")

	case !token.Created.Equal(c.TokenCreated):
		return errors.New("the token has another creation time")
	}

	return nil
}

// encodePayload returns the plaintext of valid contents.
func encodePayload(c *Content) []byte {
	address := c.Address
	data := slices.Concat(
		address.ServerKey.SerializeCompressed(),
		address.ClientKey.SerializeCompressed(),
	)
	fields := []uint32{
		address.ProtocolVersion,
		uint32(address.ClientLocator.Family),
		address.ClientLocator.Index,
		address.Expiry,
		uint32(address.ReceiveFamily),
		uint32(address.ChangeFamily),
		uint32(address.FirstHeight),
		uint32(address.FamiliesFirstHeight),
	}
	if c.PairAccepted {
		fields = append(fields, evidenceAccepted)
	}
	for _, field := range append(fields, uint32(len(c.Token))) {
		data = binary.BigEndian.AppendUint32(data, field)
	}

	return append(data, c.Token...)
}

// decodePayload is the inverse of encodePayload. It accepts nothing that
// encodePayload would not have written.
func decodePayload(data []byte, header *Header) (*Content, error) {
	data, err := cutEvidence(data, header.Version)
	if err != nil {
		return nil, err
	}
	server, serverErr := decodeKey(data[:keySize])
	client, clientErr := decodeKey(data[keySize : 2*keySize])
	if err := errors.Join(serverErr, clientErr); err != nil {
		return nil, refuse(Incomplete, "%v", err)
	}

	field := func(n int) uint32 {
		return binary.BigEndian.Uint32(data[2*keySize+n*fieldSize:])
	}
	token := data[payloadSize:]
	if int64(field(8)) != int64(len(token)) {
		return nil, refuse(Incomplete, "a token of %d bytes in %d",
			field(8), len(token))
	}

	content := &Content{
		Network:      header.Network,
		TokenID:      header.TokenID,
		TokenCreated: header.TokenCreated,
		Token:        slices.Clone(token),
		Address: staticaddr.Descriptor{
			ProtocolVersion: field(0),
			ServerKey:       server,
			ClientKey:       client,
			ClientLocator: keychain.KeyLocator{
				Family: keychain.KeyFamily(field(1)),
				Index:  field(2),
			},
			Expiry:              field(3),
			ReceiveFamily:       int32(field(4)),
			ChangeFamily:        int32(field(5)),
			FirstHeight:         int32(field(6)),
			FamiliesFirstHeight: int32(field(7)),
		},
		PairAccepted: header.Version == acceptedVersion,
	}
	if err := content.validate(); err != nil {
		return nil, refuse(Incomplete, "%v", err)
	}

	return content, nil
}

// cutEvidence checks the size of a payload and returns it without the number
// that only version 2 has.
func cutEvidence(data []byte, version uint16) ([]byte, error) {
	const at = payloadSize - fieldSize

	accepted := version == acceptedVersion
	if len(data) < payloadSize || accepted &&
		len(data) < payloadSize+fieldSize {

		return nil, refuse(Incomplete, "%d bytes of contents",
			len(data))
	}
	if !accepted {
		return data, nil
	}

	evidence := binary.BigEndian.Uint32(data[at:])
	if evidence != evidenceAccepted {
		return nil, refuse(Incomplete, "evidence %d", evidence)
	}

	return slices.Concat(data[:at], data[at+fieldSize:]), nil
}

// decodeKey parses a compressed public key.
func decodeKey(data []byte) (*btcec.PublicKey, error) {
	key, err := staticaddr.ParseKey(data)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", hex.EncodeToString(data),
			err)
	}

	return key, nil
}
