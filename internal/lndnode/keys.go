package lndnode

import (
	"context"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// Keys implements actions.Node on our own connection to lnd.
type Keys struct {
	node *Node
}

// A compile-time check of the port.
var _ actions.Node = (*Keys)(nil)

// Keys returns the port.
func (n *Node) Keys() *Keys {
	return &Keys{node: n}
}

// Identity implements actions.Node. It asks lnd each time: another lnd may
// answer at the same address after a restart.
func (k *Keys) Identity(ctx context.Context) ([33]byte, error) {
	lnd, err := k.node.Services()
	if err != nil {
		return [33]byte{}, err
	}
	info, err := lnd.Client.GetInfo(ctx)
	if err != nil {
		return [33]byte{}, callError("GetInfo", err)
	}

	return info.IdentityPubkey, nil
}

// Params implements actions.Node.
func (k *Keys) Params() *chaincfg.Params {
	return k.node.params
}

// DeriveKey implements actions.Node.
func (k *Keys) DeriveKey(ctx context.Context, locator keychain.KeyLocator) (
	*btcec.PublicKey, error) {

	lnd, err := k.node.Services()
	if err != nil {
		return nil, err
	}
	desc, err := lnd.WalletKit.DeriveKey(ctx, &locator)
	if err != nil {
		return nil, callError("DeriveKey", err)
	}

	return desc.PubKey, nil
}

// Account implements actions.Node. lnd shows a key family as an account once a
// key of it was derived; a family that is not there yet is made visible by
// deriving its first key, which moves no counter.
func (k *Keys) Account(ctx context.Context, family int32) (
	*hdkeychain.ExtendedKey, uint32, error) {

	account, err := k.findAccount(ctx, family)
	if err != nil {
		return nil, 0, err
	}
	if account == nil {
		_, err := k.DeriveKey(ctx, keychain.KeyLocator{
			Family: keychain.KeyFamily(family),
		})
		if err != nil {
			return nil, 0, err
		}
		account, err = k.findAccount(ctx, family)
		if err != nil {
			return nil, 0, err
		}
	}
	if account == nil {
		return nil, 0, fmt.Errorf("lnd does not list key family %d",
			family)
	}

	key, err := staticaddr.ParseAccount(
		account.ExtendedPublicKey, k.node.params,
	)
	if err != nil {
		return nil, 0, err
	}

	return key, account.ExternalKeyCount, nil
}

// findAccount returns lnd's account of a key family, or nil.
func (k *Keys) findAccount(ctx context.Context, family int32) (
	*walletrpc.Account, error) {

	accounts, err := k.node.accounts(ctx)
	if err != nil {
		return nil, err
	}
	path := fmt.Sprintf("m/%d'/%d'/%d'", keychain.BIP0043Purpose,
		coinType(k.node.params), family)
	for _, account := range accounts {
		if account.DerivationPath == path {
			return account, nil
		}
	}

	return nil, nil
}

// accounts returns all accounts of lnd's wallet.
func (n *Node) accounts(ctx context.Context) ([]*walletrpc.Account, error) {
	lnd, err := n.Services()
	if err != nil {
		return nil, err
	}
	accounts, err := lnd.WalletKit.ListAccounts(
		ctx, "", walletrpc.AddressType_UNKNOWN,
	)

	return accounts, callError("ListAccounts", err)
}

// coinType returns the coin type under which lnd keeps its keys: one for all
// test networks.
func coinType(params *chaincfg.Params) uint32 {
	if params.Net == chaincfg.MainNetParams.Net {
		return 0
	}

	return 1
}

// AdvanceKey implements actions.Node.
func (k *Keys) AdvanceKey(ctx context.Context, family int32) (uint32, error) {
	lnd, err := k.node.Services()
	if err != nil {
		return 0, err
	}
	desc, err := lnd.WalletKit.DeriveNextKey(ctx, family)
	if err != nil {
		return 0, callError("DeriveNextKey", err)
	}

	return desc.Index, nil
}

// ImportScript implements actions.Node.
func (k *Keys) ImportScript(ctx context.Context,
	address *script.StaticAddress) (bool, error) {

	lnd, err := k.node.Services()
	if err != nil {
		return false, err
	}
	_, err = lnd.WalletKit.ImportTaprootScript(
		ctx, input.TapscriptFullTree(
			address.InternalPubKey, *address.TimeoutLeaf,
		),
	)
	if isAlreadyImported(err) {
		return false, nil
	}

	return err == nil, callError("ImportTapscript", err)
}

// isAlreadyImported tells the one error of lnd that says that its wallet knows
// a script already. lnd gives it no code of its own (btcwallet's
// ErrDuplicateAddress reaches us as text), so that its text has to do; the
// integration tests import a script twice and fail when lnd changes it.
func isAlreadyImported(err error) bool {
	return err != nil && strings.Contains(err.Error(), "already exists")
}
