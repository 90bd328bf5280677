package loopd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// errNotSynced is passing: lnd has not caught up with its chain yet.
var errNotSynced = errors.New("lnd is not synced to the chain yet")

// nodePort implements actions.Node on our own connection to lnd.
type nodePort struct {
	node   *lndNode
	params *chaincfg.Params
}

// A compile-time check of the port.
var _ actions.Node = (*nodePort)(nil)

// Identity implements actions.Node. It asks lnd each time: another lnd may
// answer at the same address after a restart.
func (p *nodePort) Identity(ctx context.Context) ([33]byte, error) {
	lnd, err := p.node.get()
	if err != nil {
		return [33]byte{}, err
	}
	info, err := lnd.Client.GetInfo(ctx)
	if err != nil {
		return [33]byte{}, err
	}

	return info.IdentityPubkey, nil
}

// Params implements actions.Node.
func (p *nodePort) Params() *chaincfg.Params {
	return p.params
}

// DeriveKey implements actions.Node.
func (p *nodePort) DeriveKey(ctx context.Context,
	locator keychain.KeyLocator) (*btcec.PublicKey, error) {

	lnd, err := p.node.get()
	if err != nil {
		return nil, err
	}
	desc, err := lnd.WalletKit.DeriveKey(ctx, &locator)
	if err != nil {
		return nil, err
	}

	return desc.PubKey, nil
}

// Account implements actions.Node. lnd shows a key family as an account once a
// key of it was derived; a family that is not there yet is made visible by
// deriving its first key, which moves no counter.
func (p *nodePort) Account(ctx context.Context, family int32) (
	*hdkeychain.ExtendedKey, uint32, error) {

	lnd, err := p.node.get()
	if err != nil {
		return nil, 0, err
	}

	account, err := p.findAccount(ctx, lnd, family)
	if err != nil {
		return nil, 0, err
	}
	if account == nil {
		_, err := p.DeriveKey(ctx, keychain.KeyLocator{
			Family: keychain.KeyFamily(family),
		})
		if err != nil {
			return nil, 0, err
		}
		account, err = p.findAccount(ctx, lnd, family)
		if err != nil {
			return nil, 0, err
		}
	}
	if account == nil {
		return nil, 0, fmt.Errorf("lnd does not list key family %d",
			family)
	}

	key, err := staticaddr.ParseAccount(
		account.ExtendedPublicKey, p.params,
	)
	if err != nil {
		return nil, 0, err
	}

	return key, account.ExternalKeyCount, nil
}

// findAccount returns lnd's account of a key family, or nil.
func (p *nodePort) findAccount(ctx context.Context,
	lnd *lndclient.GrpcLndServices, family int32) (*walletrpc.Account,
	error) {

	accounts, err := lnd.WalletKit.ListAccounts(
		ctx, "", walletrpc.AddressType_UNKNOWN,
	)
	if err != nil {
		return nil, err
	}

	path := fmt.Sprintf("m/%d'/%d'/%d'", keychain.BIP0043Purpose,
		coinType(p.params), family)
	for _, account := range accounts {
		if account.DerivationPath == path {
			return account, nil
		}
	}

	return nil, nil
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
func (p *nodePort) AdvanceKey(ctx context.Context, family int32) (uint32,
	error) {

	lnd, err := p.node.get()
	if err != nil {
		return 0, err
	}
	desc, err := lnd.WalletKit.DeriveNextKey(ctx, family)
	if err != nil {
		return 0, err
	}

	return desc.Index, nil
}

// ImportScript implements actions.Node.
func (p *nodePort) ImportScript(ctx context.Context,
	address *script.StaticAddress) (bool, error) {

	lnd, err := p.node.get()
	if err != nil {
		return false, err
	}
	_, err = lnd.WalletKit.ImportTaprootScript(
		ctx, input.TapscriptFullTree(
			address.InternalPubKey, *address.TimeoutLeaf,
		),
	)
	switch {
	case isAlreadyImported(err):
		return false, nil

	case err != nil:
		return false, err
	}

	return true, nil
}

// isAlreadyImported tells the one error of lnd that says that its wallet knows
// a script already. lnd gives it no code of its own (btcwallet's
// ErrDuplicateAddress reaches us as text), so that its text has to do; the
// integration tests import a script twice and fail when lnd changes it.
func isAlreadyImported(err error) bool {
	return err != nil && strings.Contains(err.Error(), "already exists")
}

// chainPort implements actions.Chain on lnd's ChainKit.
type chainPort struct {
	node *lndNode
}

// A compile-time check of the port.
var _ actions.Chain = (*chainPort)(nil)

// BestBlock implements actions.Chain. An lnd that is not synced does not know
// the tip.
func (p *chainPort) BestBlock(ctx context.Context) (chainscan.BlockStamp,
	error) {

	lnd, err := p.node.get()
	if err != nil {
		return chainscan.BlockStamp{}, err
	}
	info, err := lnd.Client.GetInfo(ctx)
	if err != nil {
		return chainscan.BlockStamp{}, err
	}
	if !info.SyncedToChain {
		return chainscan.BlockStamp{}, errNotSynced
	}
	hash, height, err := lnd.ChainKit.GetBestBlock(ctx)
	if err != nil {
		return chainscan.BlockStamp{}, err
	}

	return chainscan.BlockStamp{Height: height, Hash: hash}, nil
}

// BlockHash implements actions.Chain.
func (p *chainPort) BlockHash(ctx context.Context, height int32) (
	chainhash.Hash, error) {

	lnd, err := p.node.get()
	if err != nil {
		return chainhash.Hash{}, err
	}

	return lnd.ChainKit.GetBlockHash(ctx, int64(height))
}

// BlockTime implements actions.Chain.
func (p *chainPort) BlockTime(ctx context.Context, height int32) (time.Time,
	error) {

	lnd, err := p.node.get()
	if err != nil {
		return time.Time{}, err
	}
	hash, err := lnd.ChainKit.GetBlockHash(ctx, int64(height))
	if err != nil {
		return time.Time{}, err
	}
	header, err := lnd.ChainKit.GetBlockHeader(ctx, hash)
	if err != nil {
		return time.Time{}, err
	}

	return header.Timestamp, nil
}

// newKeeper returns what keeps the backups.
func (d *Daemon) newKeeper(files durable.FS) *keeper.Keeper {
	return keeper.New(d.shutdown, keeper.Config{
		Network:       d.cfg.Network,
		DataDir:       d.cfg.DataDir,
		Places:        d.cfg.Recovery.BackupDirs,
		Files:         files,
		Memory:        d.journal.Keeper(),
		Keys:          d.backupKeys,
		Node:          d.nodePort,
		Chain:         d.chain,
		Tokens:        d.tokens,
		Rows:          d.database,
		IndexBound:    d.cfg.Recovery.KeySearch,
		CheckInterval: d.cfg.Recovery.CheckInterval,
	})
}

// backupKeys returns the keys of this lnd's seed. They are not kept.
func (d *Daemon) backupKeys(ctx context.Context) (backup.Keys, error) {
	lnd, err := d.node.get()
	if err != nil {
		return backup.Keys{}, err
	}

	return backup.DeriveKeys(ctx, lnd.Signer)
}
