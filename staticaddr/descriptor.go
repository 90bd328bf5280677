package staticaddr

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightninglabs/loop/staticaddr/version"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
)

const (
	// LegacyFamily is lnd's key family of the one static address of a
	// generation, shared with the keys of static loop-in HTLCs.
	LegacyFamily int32 = 42060

	// ReceiveFamily is the family of the receive addresses of the coming
	// multi-address scheme.
	ReceiveFamily int32 = 42061

	// ChangeFamily is the family of its change addresses.
	ChangeFamily int32 = 42062

	// MaxExpiry is the longest timeout upstream accepts from the server,
	// in blocks (address.Manager of loop v0.35).
	MaxExpiry = 28_800
)

// ErrInvalid is wrapped by every error of Descriptor.Validate.
var ErrInvalid = errors.New("invalid static address descriptor")

// Descriptor is what determines all addresses of a generation, and what a
// backup stores of them. Nothing in it is secret.
type Descriptor struct {
	// ProtocolVersion is upstream's version of the address protocol.
	ProtocolVersion uint32

	// ServerKey is the Loop server's key that is bound to the token.
	ServerKey *btcec.PublicKey

	// ClientKey is the client's key of the legacy address.
	ClientKey *btcec.PublicKey

	// ClientLocator says where lnd derives ClientKey.
	ClientLocator keychain.KeyLocator

	// Expiry is the relative timeout in blocks after which the client can
	// spend alone.
	Expiry uint32

	// ReceiveFamily and ChangeFamily are the families of the multi-address
	// scheme.
	ReceiveFamily, ChangeFamily int32

	// FirstHeight is the initiation height of the address row, in blocks.
	FirstHeight int32

	// FamiliesFirstHeight is the height from which the families could have
	// been used. It is information only: others wrote it too late.
	FamiliesFirstHeight int32
}

// Validate checks every field against what upstream and the protocol allow.
func (d *Descriptor) Validate() error {
	protocol := version.AddressProtocolVersion(d.ProtocolVersion)

	switch {
	case !protocol.Valid():
		return fmt.Errorf("%w: protocol version %d", ErrInvalid,
			d.ProtocolVersion)

	case d.ServerKey == nil || d.ClientKey == nil:
		return fmt.Errorf("%w: key missing", ErrInvalid)

	case d.Expiry == 0 || d.Expiry > MaxExpiry:
		return fmt.Errorf("%w: expiry of %d blocks", ErrInvalid,
			d.Expiry)

	case d.ClientLocator.Family == 0 ||
		int64(d.ClientLocator.Family) > maxFamily:

		return fmt.Errorf("%w: client key family %d", ErrInvalid,
			d.ClientLocator.Family)

	case d.ClientLocator.Index > maxIndex:
		return fmt.Errorf("%w: client key index %d", ErrInvalid,
			d.ClientLocator.Index)

	case d.ReceiveFamily <= 0 || d.ChangeFamily <= 0 ||
		d.ReceiveFamily == d.ChangeFamily ||
		int64(d.ReceiveFamily) == int64(d.ClientLocator.Family) ||
		int64(d.ChangeFamily) == int64(d.ClientLocator.Family):

		return fmt.Errorf("%w: families %d, %d and %d", ErrInvalid,
			d.ClientLocator.Family, d.ReceiveFamily,
			d.ChangeFamily)

	case d.FirstHeight <= 0 || d.FamiliesFirstHeight < 0:
		return fmt.Errorf("%w: first heights %d and %d", ErrInvalid,
			d.FirstHeight, d.FamiliesFirstHeight)
	}

	return nil
}

const (
	// maxFamily bounds a key family: lnd's families are hardened child
	// numbers.
	maxFamily = 1<<31 - 1

	// maxIndex bounds a key index: lnd's keys are unhardened children.
	maxIndex = 1<<31 - 1
)

// addressID determines an address.
type addressID struct {
	expiry         uint32
	client, server [btcec.PubKeyBytesLenCompressed]byte
}

// addresses are the addresses that were asked for last.
var addresses memo[addressID, *script.StaticAddress]

// Script returns the static address of a client key under this descriptor.
func (d *Descriptor) Script(client *btcec.PublicKey) (*script.StaticAddress,
	error) {

	id := addressID{
		expiry: d.Expiry,
		client: [33]byte(client.SerializeCompressed()),
		server: [33]byte(d.ServerKey.SerializeCompressed()),
	}

	return addresses.get(id, func() (*script.StaticAddress, error) {
		return script.NewStaticAddress(
			input.MuSig2Version100RC2, int64(d.Expiry), client,
			d.ServerKey,
		)
	})
}

// PkScript returns the output script of a client key under this descriptor: 34
// bytes, OP_1 and the taproot output key.
func (d *Descriptor) PkScript(client *btcec.PublicKey) ([]byte, error) {
	address, err := d.Script(client)
	if err != nil {
		return nil, err
	}

	return address.StaticAddressScript()
}

// Parameters returns the address row that upstream's database holds for this
// descriptor.
func (d *Descriptor) Parameters() (*script.Parameters, error) {
	pkScript, err := d.PkScript(d.ClientKey)
	if err != nil {
		return nil, err
	}

	return &script.Parameters{
		ClientPubkey: d.ClientKey,
		ServerPubkey: d.ServerKey,
		Expiry:       d.Expiry,
		PkScript:     pkScript,
		KeyLocator:   d.ClientLocator,
		ProtocolVersion: version.AddressProtocolVersion(
			d.ProtocolVersion,
		),
		InitiationHeight: d.FirstHeight,
	}, nil
}

// FromParameters returns the descriptor of an address row. The row does not
// hold the multi-address families; those are the ones of this release.
func FromParameters(row *script.Parameters) Descriptor {
	return Descriptor{
		ProtocolVersion:     uint32(row.ProtocolVersion),
		ServerKey:           row.ServerPubkey,
		ClientKey:           row.ClientPubkey,
		ClientLocator:       row.KeyLocator,
		Expiry:              row.Expiry,
		ReceiveFamily:       ReceiveFamily,
		ChangeFamily:        ChangeFamily,
		FirstHeight:         row.InitiationHeight,
		FamiliesFirstHeight: row.InitiationHeight,
	}
}
