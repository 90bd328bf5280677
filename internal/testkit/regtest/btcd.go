package regtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/rpcclient"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

const (
	// btcdUser and btcdPassword guard btcd's RPC server, which listens on
	// the loopback interface only.
	btcdUser     = "user"
	btcdPassword = "password"

	// initialHeight is the height of a new network: btcd accepts spends
	// of taproot outputs after about 450 blocks only. Mining them takes a
	// seventh of a second.
	initialHeight = 450

	// generateBatch is the largest number of blocks asked for at once, so
	// that mining many can be interrupted.
	generateBatch = 200
)

// Btcd is a running btcd node with its own miner.
//
// It is never restarted: in this mode btcd removes its chain at every start.
type Btcd struct {
	process *process
	dir     string
	peer    string
	rpc     string
	client  *rpcclient.Client

	mu           sync.Mutex
	nextCoinbase int64
}

// startBtcd starts a node with an empty chain and waits until it answers.
func startBtcd(ctx context.Context, name, binDir, dir, logDir string) (*Btcd,
	error) {

	b := &Btcd{
		process: newProcess(
			name, filepath.Join(binDir, "btcd"), logDir,
		),
		dir: dir, nextCoinbase: 1,
	}
	if err := freeAddresses(&b.peer, &b.rpc); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	address, err := minerAddress()
	if err != nil {
		return nil, err
	}

	err = b.process.start(nil,
		"--regtest", "--txindex", "--nodnsseed", "--nobanning",
		"--nostalldetect", "--trickleinterval=50ms",
		"--rpcmaxclients=100", "--rpcmaxwebsockets=100",
		"--configfile="+filepath.Join(dir, "none.conf"),
		"--datadir="+dir, "--logdir="+filepath.Join(dir, "logs"),
		"--listen="+b.peer, "--rpclisten="+b.rpc,
		"--rpcuser="+btcdUser, "--rpcpass="+btcdPassword,
		"--rpccert="+b.certPath(),
		"--rpckey="+filepath.Join(dir, "rpc.key"),
		"--miningaddr="+address.EncodeAddress(),
	)
	if err != nil {
		return nil, err
	}

	err = Eventually(ctx, name+" to answer", DefaultTimeout, b.connect)
	if err != nil {
		return nil, errors.Join(err, b.process.kill())
	}

	return b, nil
}

// connect makes the RPC client and checks that the node answers it.
func (b *Btcd) connect(context.Context) error {
	if err := b.process.alive(); err != nil {
		return err
	}
	cert, err := os.ReadFile(b.certPath())
	if err != nil {
		return err
	}
	client, err := rpcclient.New(&rpcclient.ConnConfig{
		Host: b.rpc, Endpoint: "ws", User: btcdUser, Pass: btcdPassword,
		Certificates: cert, DisableAutoReconnect: true,
	}, nil)
	if err != nil {
		return err
	}
	if _, err := client.GetBlockCount(); err != nil {
		client.Shutdown()

		return err
	}
	b.client = client

	return nil
}

// certPath is the certificate of the node's RPC server.
func (b *Btcd) certPath() string {
	return filepath.Join(b.dir, "rpc.cert")
}

// RPC says where the node's RPC server is, and how to get in.
func (b *Btcd) RPC() (host, user, password, certPath string) {
	return b.rpc, btcdUser, btcdPassword, b.certPath()
}

// stop ends the node in good order.
func (b *Btcd) stop() error {
	if b.client != nil {
		b.client.Shutdown()
	}

	return b.process.stop()
}

// Client returns the connection to the node's RPC server.
func (b *Btcd) Client() *rpcclient.Client {
	return b.client
}

// Height returns the height of the best chain's tip.
func (b *Btcd) Height() (int32, error) {
	height, err := b.client.GetBlockCount()

	return int32(height), err
}

// Mine mines n blocks, which include what is in the mempool, and returns the
// new height. It does not wait for anybody to learn of them; see Network.Mine.
func (b *Btcd) Mine(ctx context.Context, n uint32) (int32, error) {
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		batch := min(n, generateBatch)
		if _, err := b.client.Generate(batch); err != nil {
			return 0, fmt.Errorf("mining: %w", err)
		}
		n -= batch
	}

	return b.Height()
}

// Fund pays amount to the address from the miner's coins and returns the
// outpoint, which is in the mempool and not yet in a block.
func (b *Btcd) Fund(address string, amount btcutil.Amount) (*wire.OutPoint,
	error) {

	decoded, err := btcutil.DecodeAddress(address, Params)
	if err != nil {
		return nil, err
	}
	script, err := txscript.PayToAddrScript(decoded)
	if err != nil {
		return nil, err
	}
	tx, err := b.Pay(wire.NewTxOut(int64(amount), script))
	if err != nil {
		return nil, err
	}

	return wire.NewOutPoint(tx, 0), nil
}

// Pay sends one transaction from the miner's coins whose first outputs are the
// given ones, in this order.
func (b *Btcd) Pay(outputs ...*wire.TxOut) (*chainhash.Hash, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	hash, err := b.client.GetBlockHash(b.nextCoinbase)
	if err != nil {
		return nil, err
	}
	block, err := b.client.GetBlock(hash)
	if err != nil {
		return nil, err
	}
	tx, err := spendCoinbase(block.Transactions[0], outputs)
	if err != nil {
		return nil, err
	}
	txid, err := b.client.SendRawTransaction(tx, true)
	if err != nil {
		return nil, fmt.Errorf("spending the coinbase of block %d: %w",
			b.nextCoinbase, err)
	}
	b.nextCoinbase++

	return txid, nil
}

// Mempool returns the transactions that wait for a block.
func (b *Btcd) Mempool() ([]*chainhash.Hash, error) {
	return b.client.GetRawMempool()
}

// WaitMempool waits until the transaction is in the mempool.
func (b *Btcd) WaitMempool(ctx context.Context, txid chainhash.Hash) error {
	return Eventually(ctx, fmt.Sprintf("%v in the mempool", txid),
		DefaultTimeout, func(context.Context) error {
			pool, err := b.Mempool()
			if err != nil {
				return err
			}
			same := func(h *chainhash.Hash) bool {
				return *h == txid
			}
			if !slices.ContainsFunc(pool, same) {
				return fmt.Errorf("%d others are", len(pool))
			}

			return nil
		})
}

// WaitSpent waits until a transaction in the mempool, or else in one of the
// blocks from the given height on, spends the outpoint, and returns it.
func (b *Btcd) WaitSpent(ctx context.Context, outpoint wire.OutPoint,
	from int32) (*wire.MsgTx, error) {

	var spender *wire.MsgTx
	err := Eventually(ctx, fmt.Sprintf("a spend of %v", outpoint),
		DefaultTimeout, func(context.Context) error {
			var err error
			spender, err = b.Spender(outpoint, from)
			if err == nil && spender == nil {
				err = errors.New("it is unspent")
			}

			return err
		})

	return spender, err
}

// Spender returns the transaction in the mempool, or else in one of the blocks
// from the given height on, that spends the outpoint, or nil.
func (b *Btcd) Spender(outpoint wire.OutPoint, from int32) (*wire.MsgTx,
	error) {

	pool, err := b.Mempool()
	if err != nil {
		return nil, err
	}
	for _, txid := range pool {
		tx, err := b.client.GetRawTransaction(txid)
		if err != nil {
			return nil, err
		}
		if spends(tx.MsgTx(), outpoint) {
			return tx.MsgTx(), nil
		}
	}

	tip, err := b.Height()
	if err != nil {
		return nil, err
	}
	for height := from; height <= tip; height++ {
		hash, err := b.client.GetBlockHash(int64(height))
		if err != nil {
			return nil, err
		}
		block, err := b.client.GetBlock(hash)
		if err != nil {
			return nil, err
		}
		for _, tx := range block.Transactions {
			if spends(tx, outpoint) {
				return tx, nil
			}
		}
	}

	return nil, nil
}

// spends reports whether the transaction has the outpoint as an input.
func spends(tx *wire.MsgTx, outpoint wire.OutPoint) bool {
	return slices.ContainsFunc(tx.TxIn, func(in *wire.TxIn) bool {
		return in.PreviousOutPoint == outpoint
	})
}

// Connect makes this node keep a connection to the other, over which the two
// exchange their chains and mempools.
func (b *Btcd) Connect(ctx context.Context, other *Btcd) error {
	err := b.client.AddNode(other.peer, rpcclient.ANAdd)
	if err != nil {
		return err
	}

	return b.waitPeers(ctx, 1)
}

// Disconnect ends the connection that Connect made.
func (b *Btcd) Disconnect(ctx context.Context, other *Btcd) error {
	connectPermanently := ""
	err := b.client.Node(
		btcjson.NRemove, other.peer, &connectPermanently,
	)
	if err != nil {
		return err
	}

	return b.waitPeers(ctx, 0)
}

// waitPeers waits until the node has exactly n peers.
func (b *Btcd) waitPeers(ctx context.Context, n int64) error {
	return Eventually(ctx, fmt.Sprintf("%d peers", n), DefaultTimeout,
		func(context.Context) error {
			have, err := b.client.GetConnectionCount()
			if err != nil {
				return err
			}
			if have != n {
				return fmt.Errorf("there are %d", have)
			}

			return nil
		})
}

// WaitTip waits until the node's best chain ends in the same block as the
// other node's.
func (b *Btcd) WaitTip(ctx context.Context, other *Btcd) error {
	return Eventually(ctx, "both nodes on one tip", DefaultTimeout,
		func(context.Context) error {
			mine, err := b.client.GetBestBlockHash()
			if err != nil {
				return err
			}
			theirs, err := other.client.GetBestBlockHash()
			if err != nil {
				return err
			}
			if *mine != *theirs {
				return fmt.Errorf("%v and %v", mine, theirs)
			}

			return nil
		})
}

// Reorg replaces the last depth blocks by depth+1 new ones. Transactions of
// the replaced blocks return to the mempool where they still can, so that the
// new blocks take them up again; see Btcd.Client for other kinds.
func (b *Btcd) Reorg(ctx context.Context, depth int32) (int32, error) {
	tip, err := b.Height()
	if err != nil {
		return 0, err
	}
	hash, err := b.client.GetBlockHash(int64(tip - depth + 1))
	if err != nil {
		return 0, err
	}
	if err := b.client.InvalidateBlock(hash); err != nil {
		return 0, fmt.Errorf("invalidating block %d: %w", tip-depth+1,
			err)
	}

	return b.Mine(ctx, uint32(depth)+1)
}
