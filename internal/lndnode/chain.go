package lndnode

import (
	"context"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightninglabs/lndclient"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/chainscan/chainkit"
	"github.com/looprecovery/looprecovery/states"
)

// Chain implements actions.Chain on lnd's ChainKit.
type Chain struct {
	node *Node
}

// A compile-time check of the port.
var _ actions.Chain = (*Chain)(nil)

// Chain returns the port.
func (n *Node) Chain() *Chain {
	return &Chain{node: n}
}

// NewSource returns lnd's chain for scans. There is one for the life of the
// process: it counts how often lnd refused a block.
func (n *Node) NewSource() *chainkit.Source {
	return chainkit.NewFunc(func() (lndclient.ChainKitClient, error) {
		lnd, err := n.Services()
		if err != nil {
			return nil, err
		}

		return lnd.ChainKit, nil
	})
}

// BestBlock implements actions.Chain. An lnd that is not synced does not know
// the tip.
func (c *Chain) BestBlock(ctx context.Context) (chainscan.BlockStamp, error) {
	lnd, err := c.node.Services()
	if err != nil {
		return chainscan.BlockStamp{}, err
	}
	info, err := lnd.Client.GetInfo(ctx)
	if err != nil {
		return chainscan.BlockStamp{}, callError("GetInfo", err)
	}
	if !info.SyncedToChain {
		return chainscan.BlockStamp{}, notSynced()
	}
	hash, height, err := lnd.ChainKit.GetBestBlock(ctx)
	if err != nil {
		return chainscan.BlockStamp{}, callError("GetBestBlock", err)
	}

	return chainscan.BlockStamp{Height: height, Hash: hash}, nil
}

// notSynced returns the error of an lnd that has not caught up.
func notSynced() error {
	return &states.TransientError{
		Reason: states.Starting, Detail: "lnd is syncing to its chain",
		Err: ErrNotSynced,
	}
}

// BlockHash implements actions.Chain.
func (c *Chain) BlockHash(ctx context.Context, height int32) (chainhash.Hash,
	error) {

	lnd, err := c.node.Services()
	if err != nil {
		return chainhash.Hash{}, err
	}
	hash, err := lnd.ChainKit.GetBlockHash(ctx, int64(height))

	return hash, callError("GetBlockHash", err)
}

// BlockTime implements actions.Chain.
func (c *Chain) BlockTime(ctx context.Context, height int32) (time.Time,
	error) {

	hash, err := c.BlockHash(ctx, height)
	if err != nil {
		return time.Time{}, err
	}
	lnd, err := c.node.Services()
	if err != nil {
		return time.Time{}, err
	}
	header, err := lnd.ChainKit.GetBlockHeader(ctx, hash)
	if err != nil {
		return time.Time{}, callError("GetBlockHeader", err)
	}

	return header.Timestamp, nil
}
