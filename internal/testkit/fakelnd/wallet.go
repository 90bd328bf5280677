package fakelnd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnrpc/signrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
)

const (
	// coinType is that of the test networks, and taprootPurpose BIP 86's.
	coinType       = 1
	taprootPurpose = 86

	// accountName is lnd's name of its own accounts.
	accountName = "default"

	// compressed is the size of a public key, in bytes.
	compressed = 33
)

// account returns an account m/purpose'/1'/account' of the node's wallet.
func (l *Lnd) account(purpose, account uint32) (*hdkeychain.ExtendedKey,
	error) {

	seed := sha256.Sum256([]byte(l.now().Seed))
	key, err := hdkeychain.NewMaster(
		seed[:], &chaincfg.RegressionNetParams,
	)
	for _, child := range []uint32{purpose, coinType, account} {
		if err != nil {
			return nil, err
		}
		key, err = key.Derive(hdkeychain.HardenedKeyStart + child)
	}

	return key, err
}

// child returns the external key of an account at an index.
func (l *Lnd) child(purpose, account, index uint32) (*btcec.PrivateKey,
	error) {

	key, err := l.account(purpose, account)
	for _, child := range []uint32{0, index} {
		if err != nil {
			return nil, err
		}
		key, err = key.Derive(child)
	}
	if err != nil {
		return nil, err
	}

	return key.ECPrivKey()
}

// TaprootScript returns the output script of an address of the node's wallet.
func (l *Lnd) TaprootScript(index uint32) ([]byte, error) {
	key, err := l.child(taprootPurpose, 0, index)
	if err != nil {
		return nil, err
	}

	return txscript.PayToTaprootScript(
		txscript.ComputeTaprootKeyNoScript(key.PubKey()),
	)
}

// walletServer is walletrpc.WalletKit.
type walletServer struct {
	walletrpc.UnimplementedWalletKitServer

	lnd *Lnd
}

// ListAccounts returns the accounts of the key families that were derived, and
// the taproot account.
func (s *walletServer) ListAccounts(context.Context,
	*walletrpc.ListAccountsRequest) (*walletrpc.ListAccountsResponse,
	error) {

	s.lnd.mu.Lock()
	derived, addresses := make(map[int32]uint32), s.lnd.addresses
	for family, next := range s.lnd.derived {
		derived[family] = next
	}
	s.lnd.mu.Unlock()

	answer := &walletrpc.ListAccountsResponse{}
	for family, next := range derived {
		account, err := s.marshal(
			keychain.BIP0043Purpose, uint32(family), next,
		)
		if err != nil {
			return nil, err
		}
		account.Name = fmt.Sprintf("act:%d", family)
		answer.Accounts = append(answer.Accounts, account)
	}
	if s.lnd.now().NoTaproot {
		return answer, nil
	}
	account, err := s.marshal(taprootPurpose, 0, addresses)
	if err != nil {
		return nil, err
	}
	account.Name = accountName
	account.AddressType = walletrpc.AddressType_TAPROOT_PUBKEY
	answer.Accounts = append(answer.Accounts, account)

	return answer, nil
}

// marshal returns an account as lnd lists it.
func (s *walletServer) marshal(purpose, account, next uint32) (
	*walletrpc.Account, error) {

	key, err := s.lnd.account(purpose, account)
	if err != nil {
		return nil, err
	}
	public, err := key.Neuter()
	if err != nil {
		return nil, err
	}

	return &walletrpc.Account{
		ExtendedPublicKey: public.String(),
		DerivationPath: fmt.Sprintf("m/%d'/%d'/%d'", purpose, coinType,
			account),
		ExternalKeyCount: next,
	}, nil
}

// DeriveKey returns a key and makes its family's account.
func (s *walletServer) DeriveKey(_ context.Context,
	request *signrpc.KeyLocator) (*signrpc.KeyDescriptor, error) {

	s.lnd.mu.Lock()
	s.lnd.derived[request.KeyFamily] += 0
	s.lnd.mu.Unlock()

	return s.key(request)
}

// DeriveNextKey returns the next key of a family.
func (s *walletServer) DeriveNextKey(_ context.Context,
	request *walletrpc.KeyReq) (*signrpc.KeyDescriptor, error) {

	s.lnd.mu.Lock()
	index := s.lnd.derived[request.KeyFamily]
	s.lnd.derived[request.KeyFamily]++
	s.lnd.mu.Unlock()

	return s.key(&signrpc.KeyLocator{
		KeyFamily: request.KeyFamily, KeyIndex: int32(index),
	})
}

// key returns the key at a locator.
func (s *walletServer) key(locator *signrpc.KeyLocator) (
	*signrpc.KeyDescriptor, error) {

	key, err := s.lnd.child(
		keychain.BIP0043Purpose, uint32(locator.KeyFamily),
		uint32(locator.KeyIndex),
	)
	if err != nil {
		return nil, err
	}

	return &signrpc.KeyDescriptor{
		RawKeyBytes: key.PubKey().SerializeCompressed(),
		KeyLoc: &signrpc.KeyLocator{
			KeyFamily: locator.KeyFamily,
			KeyIndex:  locator.KeyIndex,
		},
	}, nil
}

// NextAddr returns the next taproot address.
func (s *walletServer) NextAddr(context.Context, *walletrpc.AddrRequest) (
	*walletrpc.AddrResponse, error) {

	s.lnd.mu.Lock()
	index := s.lnd.addresses
	s.lnd.addresses++
	s.lnd.mu.Unlock()

	script, err := s.lnd.TaprootScript(index)
	if err != nil {
		return nil, err
	}
	address, err := btcutil.NewAddressTaproot(
		script[2:], &chaincfg.RegressionNetParams,
	)
	if err != nil {
		return nil, err
	}

	return &walletrpc.AddrResponse{Addr: address.EncodeAddress()}, nil
}

// ImportTapscript remembers a script, and refuses one that it remembers, with
// lnd's text.
func (s *walletServer) ImportTapscript(_ context.Context,
	request *walletrpc.ImportTapscriptRequest) (
	*walletrpc.ImportTapscriptResponse, error) {

	s.lnd.mu.Lock()
	defer s.lnd.mu.Unlock()

	id := string(request.InternalPublicKey)
	if s.lnd.imported[id] {
		return nil, errors.New("error importing script: address " +
			"already exists")
	}
	s.lnd.imported[id] = true
	internal, err := schnorr.ParsePubKey(request.InternalPublicKey)
	if err != nil {
		return nil, err
	}
	address, err := btcutil.NewAddressTaproot(
		schnorr.SerializePubKey(internal),
		&chaincfg.RegressionNetParams,
	)
	if err != nil {
		return nil, err
	}

	return &walletrpc.ImportTapscriptResponse{
		P2TrAddress: address.EncodeAddress(),
	}, nil
}

// signServer is signrpc.Signer.
type signServer struct {
	signrpc.UnimplementedSignerServer

	lnd *Lnd
}

// DeriveSharedKey returns the hash of the point that a key of the wallet and an
// ephemeral key share.
func (s *signServer) DeriveSharedKey(_ context.Context,
	request *signrpc.SharedKeyRequest) (*signrpc.SharedKeyResponse, error) {

	//lint:ignore SA1019 lndclient sends the locator in this field.
	locator := request.KeyLoc
	if request.KeyDesc != nil {
		locator = request.KeyDesc.KeyLoc
	}
	ours, err := s.lnd.child(
		keychain.BIP0043Purpose, uint32(locator.GetKeyFamily()),
		uint32(locator.GetKeyIndex()),
	)
	if err != nil {
		return nil, err
	}
	if len(request.EphemeralPubkey) != compressed {
		return nil, errors.New("no public key")
	}
	theirs, err := btcec.ParsePubKey(request.EphemeralPubkey)
	if err != nil {
		return nil, err
	}
	shared, err := (&keychain.PrivKeyECDH{PrivKey: ours}).ECDH(theirs)

	return &signrpc.SharedKeyResponse{SharedKey: shared[:]}, err
}
