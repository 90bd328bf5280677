package twin

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
)

const (
	// spacing is the time between two blocks that are mined in a row.
	spacing = 10 * time.Minute

	// blockVersion is the version in the headers.
	blockVersion = 0x20000000

	// fee is what a spend leaves to the miner, in satoshis.
	fee = 500
)

// Chain is a best chain of real blocks, and the node that knows it.
type Chain struct {
	calls  *calls
	params *chaincfg.Params

	mu sync.Mutex

	// best are the blocks of the best chain, by height.
	best []*wire.MsgBlock

	// raw are all blocks ever mined, those of stale branches included.
	raw map[chainhash.Hash][]byte

	// pruned are the blocks that the node does not have any more.
	pruned map[chainhash.Hash]bool

	// genesis, if set, is what the node says the genesis block is.
	genesis *chainhash.Hash

	// mempool are the transactions that the next block takes up.
	mempool []*wire.MsgTx

	// unique makes transactions differ.
	unique uint64
}

var (
	_ chainscan.Source = (*Chain)(nil)
	_ actions.Chain    = (*Chain)(nil)
)

// start is the chain that every world begins with. It is mined once in the life
// of the process; its blocks are never changed.
var start = sync.OnceValue(func() *Chain {
	params := &chaincfg.RegressionNetParams
	chain := &Chain{
		params: params,
		raw:    make(map[chainhash.Hash][]byte),
	}
	chain.connect(params.GenesisBlock)

	// The genesis block of regtest is from 2011.
	chain.MineAt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	chain.Mine(startHeight - 1)

	return chain
})

// newChain returns a chain of at most startHeight blocks.
func newChain(calls *calls, height int) *Chain {
	first := start()

	return &Chain{
		calls:  calls,
		params: first.params,
		best:   slices.Clone(first.best[:height+1]),
		raw:    maps.Clone(first.raw),
		pruned: make(map[chainhash.Hash]bool),
		unique: first.unique,
	}
}

// Name names the source.
func (c *Chain) Name() string {
	return "twin"
}

// BestBlock returns the tip.
func (c *Chain) BestBlock(ctx context.Context) (chainscan.BlockStamp, error) {
	var stamp chainscan.BlockStamp
	err := c.calls.doLnd(ctx, "chain.BestBlock", func() error {
		stamp = c.Tip()

		return nil
	})

	return stamp, err
}

// BlockHash returns the hash of the best chain's block at a height.
func (c *Chain) BlockHash(ctx context.Context, height int32) (chainhash.Hash,
	error) {

	var hash chainhash.Hash
	err := c.calls.doLnd(ctx, "chain.BlockHash", func() error {
		block, err := c.at(height)
		if err != nil {
			return err
		}
		hash = block.BlockHash()

		c.mu.Lock()
		defer c.mu.Unlock()

		if height == 0 && c.genesis != nil {
			hash = *c.genesis
		}

		return nil
	})

	return hash, err
}

// BlockTime returns the time in the header at a height.
func (c *Chain) BlockTime(ctx context.Context, height int32) (time.Time,
	error) {

	var blockTime time.Time
	err := c.calls.doLnd(ctx, "chain.BlockTime", func() error {
		block, err := c.at(height)
		if err != nil {
			return err
		}
		blockTime = block.Header.Timestamp

		return nil
	})

	return blockTime, err
}

// Block returns a serialised block, of the best chain or not.
func (c *Chain) Block(ctx context.Context, hash chainhash.Hash) ([]byte,
	error) {

	var raw []byte
	err := c.calls.doLnd(ctx, "chain.Block", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()

		if c.pruned[hash] {
			return fmt.Errorf("%w: %v is pruned",
				chainscan.ErrUnavailable, hash)
		}

		known, ok := c.raw[hash]
		if !ok {
			return fmt.Errorf("no block %v", hash)
		}
		raw = bytes.Clone(known)

		return nil
	})

	return raw, err
}

// Tip returns the tip without a call of a port.
func (c *Chain) Tip() chainscan.BlockStamp {
	c.mu.Lock()
	defer c.mu.Unlock()

	last := len(c.best) - 1

	return chainscan.BlockStamp{
		Height: int32(last),
		Hash:   c.best[last].BlockHash(),
	}
}

// Time returns the time of the tip without a call of a port.
func (c *Chain) Time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.best[len(c.best)-1].Header.Timestamp
}

// Mine mines blocks ten minutes apart; the first takes up the mempool.
func (c *Chain) Mine(blocks int) {
	for range blocks {
		c.MineAt(c.Time().Add(spacing))
	}
}

// MineAt mines one block with the given time, which takes up the mempool.
func (c *Chain) MineAt(blockTime time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()

	height := int32(len(c.best))
	block := wire.NewMsgBlock(&wire.BlockHeader{
		Version:   blockVersion,
		PrevBlock: c.best[height-1].BlockHash(),
		Timestamp: blockTime.Truncate(time.Second),
		Bits:      c.params.PowLimitBits,
	})

	txs := append([]*wire.MsgTx{c.coinbase(height)}, c.mempool...)
	c.mempool = nil
	utils := make([]*btcutil.Tx, 0, len(txs))
	for _, tx := range txs {
		block.Transactions = append(block.Transactions, tx)
		utils = append(utils, btcutil.NewTx(tx))
	}
	block.Header.MerkleRoot = blockchain.CalcMerkleRoot(utils, false)

	target := blockchain.CompactToBig(c.params.PowLimitBits)
	for {
		hash := block.BlockHash()
		if blockchain.HashToBig(&hash).Cmp(target) <= 0 {
			break
		}
		block.Header.Nonce++
	}
	c.connect(block)
}

// Reorg takes the last blocks off the best chain and returns their
// transactions, coinbases left out. Mine a longer branch afterwards.
func (c *Chain) Reorg(depth int) []*wire.MsgTx {
	c.mu.Lock()
	defer c.mu.Unlock()

	var removed []*wire.MsgTx
	for _, block := range c.best[len(c.best)-depth:] {
		removed = append(removed, block.Transactions[1:]...)
	}
	c.best = c.best[:len(c.best)-depth]

	return removed
}

// Follow makes the chain that of another world, whose blocks are never changed.
func (c *Chain) Follow(other *Chain) {
	other.mu.Lock()
	defer other.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()

	c.best = slices.Clone(other.best)
	c.raw = maps.Clone(other.raw)
	c.unique = other.unique
}

// Submit puts transactions into the mempool.
func (c *Chain) Submit(txs ...*wire.MsgTx) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.mempool = append(c.mempool, txs...)
}

// Fund puts a transaction into the mempool that pays a script, from coins that
// come from nowhere.
func (c *Chain) Fund(pkScript []byte, value btcutil.Amount) wire.OutPoint {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(c.nowhere(), nil, nil))
	tx.AddTxOut(wire.NewTxOut(int64(value), pkScript))
	c.Submit(tx)

	return wire.OutPoint{Hash: tx.TxHash()}
}

// Spend puts a transaction into the mempool that spends an output.
func (c *Chain) Spend(output wire.OutPoint,
	value btcutil.Amount) chainhash.Hash {

	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&output, nil, nil))
	tx.AddTxOut(wire.NewTxOut(int64(value)-fee, []byte{txscript.OP_TRUE}))
	c.Submit(tx)

	return tx.TxHash()
}

// SetGenesis makes the node claim another genesis block, as one of another
// network does.
func (c *Chain) SetGenesis(hash *chainhash.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.genesis = hash
}

// Prune makes the node forget the block at a height of the best chain.
func (c *Chain) Prune(height int32) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.pruned[c.best[height].BlockHash()] = true
}

// Unprune makes the node have all blocks again.
func (c *Chain) Unprune() {
	c.mu.Lock()
	defer c.mu.Unlock()

	clear(c.pruned)
}

// at returns the block of the best chain at a height.
func (c *Chain) at(height int32) (*wire.MsgBlock, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if height < 0 || int(height) >= len(c.best) {
		return nil, fmt.Errorf("no block at height %d", height)
	}

	return c.best[height], nil
}

// connect appends a block to the best chain.
func (c *Chain) connect(block *wire.MsgBlock) {
	var raw bytes.Buffer
	err := block.Serialize(&raw)
	if err != nil {
		panic(err)
	}

	c.best = append(c.best, block)
	c.raw[block.BlockHash()] = raw.Bytes()
}

// coinbase returns a coinbase transaction, unlike any other.
func (c *Chain) coinbase(height int32) *wire.MsgTx {
	c.unique++
	script := binary.BigEndian.AppendUint64([]byte{8}, c.unique)

	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(
		wire.NewOutPoint(&chainhash.Hash{}, wire.MaxPrevOutIndex),
		script, nil,
	))
	tx.AddTxOut(wire.NewTxOut(
		blockchain.CalcBlockSubsidy(height, c.params),
		[]byte{txscript.OP_TRUE},
	))

	return tx
}

// nowhere returns an outpoint that no transaction of the chain has.
func (c *Chain) nowhere() *wire.OutPoint {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.unique++
	hash := chainhash.HashH(binary.BigEndian.AppendUint64(nil, c.unique))

	return wire.NewOutPoint(&hash, 0)
}
