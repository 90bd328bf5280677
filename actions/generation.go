package actions

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// witnessProgram is where the program of a version 1 output script begins, in
// bytes: after OP_1 and the length.
const witnessProgram = 2

// newGeneration returns the part of a generation that is not secret.
func newGeneration(network string, tokenID [32]byte, created time.Time,
	descriptor staticaddr.Descriptor, params *chaincfg.Params) (
	*Generation, error) {

	err := descriptor.Validate()
	if err != nil {
		return nil, err
	}

	pkScript, err := descriptor.PkScript(descriptor.ClientKey)
	if err != nil {
		return nil, err
	}

	address, err := encodeAddress(pkScript, params)
	if err != nil {
		return nil, err
	}

	return &Generation{
		Network:             network,
		TokenID:             hex.EncodeToString(tokenID[:]),
		TokenCreated:        created.UnixNano(),
		ProtocolVersion:     descriptor.ProtocolVersion,
		ServerKey:           encodeKey(descriptor.ServerKey),
		ClientKey:           encodeKey(descriptor.ClientKey),
		KeyFamily:           int32(descriptor.ClientLocator.Family),
		KeyIndex:            descriptor.ClientLocator.Index,
		Expiry:              descriptor.Expiry,
		ReceiveFamily:       descriptor.ReceiveFamily,
		ChangeFamily:        descriptor.ChangeFamily,
		FirstHeight:         descriptor.FirstHeight,
		FamiliesFirstHeight: descriptor.FamiliesFirstHeight,
		Address:             address,
	}, nil
}

// NewGeneration returns the part of a backup that is not secret. An error means
// that the contents do not suffice to restore.
func NewGeneration(content *backup.Content, params *chaincfg.Params) (
	*Generation, error) {

	return newGeneration(
		content.Network, content.TokenID, content.TokenCreated,
		content.Address, params,
	)
}

// Descriptor returns what determines the addresses of the generation.
func (g *Generation) Descriptor() (staticaddr.Descriptor, error) {
	var descriptor staticaddr.Descriptor

	server, err := decodeKey(g.ServerKey)
	if err != nil {
		return descriptor, fmt.Errorf("server key: %w", err)
	}

	client, err := decodeKey(g.ClientKey)
	if err != nil {
		return descriptor, fmt.Errorf("client key: %w", err)
	}

	descriptor = staticaddr.Descriptor{
		ProtocolVersion:     g.ProtocolVersion,
		ServerKey:           server,
		ClientKey:           client,
		ClientLocator:       g.locator(),
		Expiry:              g.Expiry,
		ReceiveFamily:       g.ReceiveFamily,
		ChangeFamily:        g.ChangeFamily,
		FirstHeight:         g.FirstHeight,
		FamiliesFirstHeight: g.FamiliesFirstHeight,
	}

	return descriptor, descriptor.Validate()
}

// Created returns the token's creation time.
func (g *Generation) Created() time.Time {
	return time.Unix(0, g.TokenCreated)
}

// locator returns where lnd derives the client key.
func (g *Generation) locator() keychain.KeyLocator {
	return keychain.KeyLocator{
		Family: keychain.KeyFamily(g.KeyFamily),
		Index:  g.KeyIndex,
	}
}

// encodeAddress returns the address of a taproot output script in the encoding
// of its network.
func encodeAddress(pkScript []byte, params *chaincfg.Params) (string, error) {
	if len(pkScript) < witnessProgram {
		return "", fmt.Errorf("output script of %d bytes",
			len(pkScript))
	}

	address, err := btcutil.NewAddressTaproot(
		pkScript[witnessProgram:], params,
	)
	if err != nil {
		return "", err
	}

	return address.EncodeAddress(), nil
}

// encodeKey returns a public key in hex, compressed.
func encodeKey(key *btcec.PublicKey) string {
	return hex.EncodeToString(key.SerializeCompressed())
}

// decodeKey is the inverse of encodeKey.
func decodeKey(text string) (*btcec.PublicKey, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}

	return staticaddr.ParseKey(raw)
}
