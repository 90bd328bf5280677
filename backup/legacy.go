package backup

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/staticaddr"
	"golang.org/x/crypto/nacl/secretbox"
)

const (
	// legacyMagic begins every file of the older format.
	legacyMagic = "loopbak1"

	// legacyVersion is the version of its contents.
	legacyVersion = 1

	// legacyHeaderSize is the size of all that stands before the
	// ciphertext.
	legacyHeaderSize = len(legacyMagic) + nonceSize

	// legacyTokenName is the name of the only file in it.
	legacyTokenName = "l402.token"
)

// ErrNotSayable is SealLegacy's error for a backup whose pair a person
// accepted: as a file of the older format it would pass for proven.
var ErrNotSayable = errors.New("the older format cannot say that a person " +
	"accepted the pair of token and address")

// legacyContent is the JSON of the older format.
type legacyContent struct {
	Version      uint32             `json:"version"`
	Network      string             `json:"network"`
	TokenID      string             `json:"l402_token_id"`
	TokenCreated int64              `json:"l402_token_created_at"`
	Address      *legacyAddress     `json:"static_address,omitempty"`
	TokenFiles   []*legacyTokenFile `json:"token_files,omitempty"`
}

// legacyAddress is the part of a generation that is not secret.
type legacyAddress struct {
	ProtocolVersion     uint32 `json:"protocol_version"`
	ClientKey           []byte `json:"client_pubkey,omitempty"`
	ServerKey           []byte `json:"server_pubkey"`
	Expiry              uint32 `json:"expiry"`
	ClientFamily        int32  `json:"legacy_client_key_family,omitempty"`
	ReceiveFamily       int32  `json:"main_key_family"`
	ChangeFamily        int32  `json:"change_key_family"`
	FirstHeight         int32  `json:"legacy_first_height,omitempty"`
	FamiliesFirstHeight int32  `json:"multi_address_first_height,omitempty"`
}

// legacyTokenFile is the file of a token.
type legacyTokenFile struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// SealLegacy returns the file of a generation in the older format, which does
// not tell the index of the client key. The nonce is read from random, which
// must be a cryptographic source.
func SealLegacy(content *Content, keys Keys, random io.Reader) ([]byte, error) {
	if err := content.validate(); err != nil {
		return nil, err
	}
	if content.PairAccepted {
		return nil, ErrNotSayable
	}

	address := content.Address
	clientKey := address.ClientKey.SerializeCompressed()
	serverKey := address.ServerKey.SerializeCompressed()
	clientFamily := int32(address.ClientLocator.Family)
	plain, err := json.Marshal(&legacyContent{
		Version:      legacyVersion,
		Network:      content.Network,
		TokenID:      hex.EncodeToString(content.TokenID[:]),
		TokenCreated: content.TokenCreated.UnixNano(),
		Address: &legacyAddress{
			ProtocolVersion:     address.ProtocolVersion,
			ClientKey:           clientKey,
			ServerKey:           serverKey,
			Expiry:              address.Expiry,
			ClientFamily:        clientFamily,
			ReceiveFamily:       address.ReceiveFamily,
			ChangeFamily:        address.ChangeFamily,
			FirstHeight:         address.FirstHeight,
			FamiliesFirstHeight: address.FamiliesFirstHeight,
		},
		TokenFiles: []*legacyTokenFile{{
			Name: legacyTokenName,
			Data: content.Token,
		}},
	})
	if err != nil {
		return nil, err
	}

	return sealLegacy(plain, keys, random)
}

// sealLegacy encrypts contents.
func sealLegacy(plain []byte, keys Keys, random io.Reader) ([]byte, error) {
	var nonce [nonceSize]byte
	if _, err := io.ReadFull(random, nonce[:]); err != nil {
		return nil, err
	}

	data := append([]byte(legacyMagic), nonce[:]...)
	data = secretbox.Seal(data, plain, &nonce, (*[32]byte)(&keys.Legacy))

	return data, checkSize(data)
}

// openLegacy decrypts a file of the older format. Every error is an *Error.
func openLegacy(data []byte, keys Keys) (*Content, error) {
	if len(data) < legacyHeaderSize+secretbox.Overhead ||
		len(data) > MaxFileSize {

		return nil, refuse(Corrupt, "%d bytes", len(data))
	}

	nonce := [nonceSize]byte(data[len(legacyMagic):])
	plain, ok := secretbox.Open(
		nil, data[legacyHeaderSize:], &nonce, (*[32]byte)(&keys.Legacy),
	)
	if !ok {
		return nil, refuse(DoesNotOpen, "the older format cannot tell")
	}

	return decodeLegacy(plain)
}

// decodeLegacy is the inverse of SealLegacy's encoding. The order of the fields
// and the space between them are free, and so is how JSON escapes a character;
// nothing else is.
func decodeLegacy(plain []byte) (*Content, error) {
	fields, err := decodeObject(plain)
	if err != nil {
		return nil, refuse(Incomplete, "%v", err)
	}
	version, err := strconv.ParseUint(string(fields["version"]), 10, 32)
	if err == nil && version > legacyVersion {
		return nil, refuse(NewerVersion, "version %d of the contents",
			version)
	}

	var decoded legacyContent
	if err := decodeStrictly(plain, &decoded); err != nil {
		return nil, refuse(Incomplete, "%v", err)
	}
	content, err := decoded.content()
	if err == nil {
		err = content.validate()
	}
	if err != nil {
		return nil, refuse(Incomplete, "%v", err)
	}

	return content, nil
}

// content turns the JSON into contents that are not validated yet.
func (l *legacyContent) content() (*Content, error) {
	switch {
	case l.Version != legacyVersion:
		return nil, fmt.Errorf("version %d", l.Version)

	case l.Address == nil:
		return nil, errors.New("no static address")

	case len(l.TokenFiles) != 1 || l.TokenFiles[0] == nil ||
		l.TokenFiles[0].Name != legacyTokenName:

		return nil, errors.New("not exactly the file l402.token")
	}

	content := &Content{
		Network:      l.Network,
		TokenCreated: time.Unix(0, l.TokenCreated),
		Token:        l.TokenFiles[0].Data,
		Address: staticaddr.Descriptor{
			ProtocolVersion: l.Address.ProtocolVersion,
			ClientLocator: keychain.KeyLocator{
				Family: keychain.KeyFamily(
					l.Address.ClientFamily,
				),
			},
			Expiry:              l.Address.Expiry,
			ReceiveFamily:       l.Address.ReceiveFamily,
			ChangeFamily:        l.Address.ChangeFamily,
			FirstHeight:         l.Address.FirstHeight,
			FamiliesFirstHeight: l.Address.FamiliesFirstHeight,
		},
		IndexUnknown: true,
	}

	id, err := hex.DecodeString(l.TokenID)
	if err != nil || len(id) != len(content.TokenID) ||
		hex.EncodeToString(id) != l.TokenID {

		return nil, errors.New("the token id is not 64 lower-case " +
			"hex digits")
	}
	copy(content.TokenID[:], id)

	content.Address.ServerKey, err = decodeKey(l.Address.ServerKey)
	if err != nil {
		return nil, err
	}
	content.Address.ClientKey, err = decodeKey(l.Address.ClientKey)

	return content, err
}
