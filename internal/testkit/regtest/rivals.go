package regtest

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
)

// Rivals are a network's btcd and a second one that follows it, until the two
// are split and each mines a branch of its own.
type Rivals struct {
	// Main is the node that the network follows.
	Main *Btcd

	// Rival is the other one.
	Rival *Btcd
}

// StartRivals starts a second btcd and connects the network's to it.
func (n *Network) StartRivals(ctx context.Context, name string) (*Rivals,
	error) {

	rival, err := n.StartBtcd(ctx, name)
	if err != nil {
		return nil, err
	}
	r := &Rivals{Main: n.Btcd, Rival: rival}

	return r, r.Join(ctx)
}

// Split ends the connection of the two when both are on one tip. From then on
// the first payments of both spend the same coins, so that a reorg takes those
// of the abandoned branch out of the world.
func (r *Rivals) Split(ctx context.Context) error {
	if err := r.Rival.WaitTip(ctx, r.Main); err != nil {
		return err
	}
	if err := r.disconnect(ctx); err != nil {
		return err
	}
	r.Rival.setNextCoinbase(r.Main.getNextCoinbase())

	return nil
}

// Join connects the two again and waits until they agree on the branch with
// more work.
func (r *Rivals) Join(ctx context.Context) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	if err := r.Main.WaitTip(ctx, r.Rival); err != nil {
		return err
	}
	r.Main.setNextCoinbase(max(
		r.Main.getNextCoinbase(), r.Rival.getNextCoinbase(),
	))

	return nil
}

// connect connects the network's node to the other once. With a connection that
// btcd keeps, see Btcd.Connect, it would come back by itself after a split.
func (r *Rivals) connect(ctx context.Context) error {
	once := "temp"

	return Eventually(ctx, "the rivals to be connected", DefaultTimeout,
		func(context.Context) error {
			peers, err := r.Main.client.GetConnectionCount()
			if err != nil || peers > 0 {
				return err
			}
			err = r.Main.client.Node(
				btcjson.NConnect, r.Rival.peer, &once,
			)
			if err != nil {
				return err
			}

			return r.Main.waitPeers(ctx, 1)
		})
}

// disconnect ends the connection.
func (r *Rivals) disconnect(ctx context.Context) error {
	err := r.Main.client.Node(btcjson.NDisconnect, r.Rival.peer, nil)
	if err != nil {
		return err
	}
	if err := r.Main.waitPeers(ctx, 0); err != nil {
		return err
	}

	return r.Rival.waitPeers(ctx, 0)
}

// getNextCoinbase returns the height of the next coin that Pay spends.
func (b *Btcd) getNextCoinbase() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.nextCoinbase
}

// setNextCoinbase sets the height of the next coin that Pay spends.
func (b *Btcd) setNextCoinbase(height int64) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.nextCoinbase = height
}

// Send puts a transaction into the node's mempool.
func (b *Btcd) Send(tx *wire.MsgTx) error {
	if _, err := b.client.SendRawTransaction(tx, true); err != nil {
		return fmt.Errorf("sending %v: %w", tx.TxHash(), err)
	}

	return nil
}

// EachBlock calls visit with every block of the best chain from a height on.
func (b *Btcd) EachBlock(from int32, visit func(height int32,
	block *btcutil.Block)) error {

	tip, err := b.Height()
	if err != nil {
		return err
	}
	for height := from; height <= tip; height++ {
		hash, err := b.client.GetBlockHash(int64(height))
		if err != nil {
			return err
		}
		block, err := b.client.GetBlock(hash)
		if err != nil {
			return err
		}
		visit(height, btcutil.NewBlock(block))
	}

	return nil
}
