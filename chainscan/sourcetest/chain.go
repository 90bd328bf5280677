package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/gcs/builder"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/chainscan/bip158"
)

// Chain is a chain in memory, from its first block to its tip. It does not
// change, and is a source itself: the one that others are compared with.
type Chain struct {
	blocks  []*wire.MsgBlock
	filters []chainscan.FilteredBlock
	heights map[chainhash.Hash]int
}

// Chain can give all that a scan asks for.
var (
	_ chainscan.Source       = (*Chain)(nil)
	_ chainscan.FilterSource = (*Chain)(nil)
)

// NewChain returns a chain of a number of blocks, each of which spends what the
// one before paid.
func NewChain(blocks int) *Chain {
	var chain []*wire.MsgBlock
	for height := range blocks {
		chain = append(chain, nextBlock(chain, height))
	}

	return ChainOf(chain)
}

// ChainOf returns the chain of some blocks, which hold all that they spend. Its
// filters are built by btcutil.
func ChainOf(blocks []*wire.MsgBlock) *Chain {
	c := &Chain{heights: make(map[chainhash.Hash]int)}
	scripts := make(map[wire.OutPoint][]byte)
	var committed chainhash.Hash
	for height, block := range blocks {
		var spent [][]byte
		for _, tx := range block.Transactions {
			for i, out := range tx.TxOut {
				scripts[wire.OutPoint{
					Hash: tx.TxHash(), Index: uint32(i),
				}] = out.PkScript
			}
		}
		for _, tx := range block.Transactions[1:] {
			for _, in := range tx.TxIn {
				spent = append(
					spent, scripts[in.PreviousOutPoint],
				)
			}
		}

		filter := must(builder.BuildBasicFilter(block, spent))
		data := must(filter.NBytes())
		committed = bip158.Header(data, committed)
		c.blocks = append(c.blocks, block)
		c.heights[block.BlockHash()] = height
		c.filters = append(c.filters, chainscan.FilteredBlock{
			Header:       serialize(&block.Header),
			Filter:       data,
			FilterHeader: committed,
		})
	}

	return c
}

// nextBlock returns the block of a height.
func nextBlock(chain []*wire.MsgBlock, height int) *wire.MsgBlock {
	block := &wire.MsgBlock{Header: wire.BlockHeader{
		Version:   4,
		Timestamp: time.Unix(1_700_000_000+600*int64(height), 0),
	}}
	coinbase := wire.NewMsgTx(2)
	coinbase.LockTime = uint32(height)
	coinbase.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{Index: ^uint32(0)},
		SignatureScript:  []byte{byte(height), byte(height >> 8)},
	})
	coinbase.AddTxOut(wire.NewTxOut(50e8, taproot(height, 0)))
	block.Transactions = append(block.Transactions, coinbase)

	if height > 0 {
		before := chain[height-1]
		block.Header.PrevBlock = before.BlockHash()
		tx := wire.NewMsgTx(2)
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{
			Hash: before.Transactions[0].TxHash(),
		}})
		tx.AddTxOut(wire.NewTxOut(49e8, taproot(height, 1)))
		tx.AddTxOut(wire.NewTxOut(0, []byte{0x6a, 0x01, 0x02}))
		block.Transactions = append(block.Transactions, tx)
	}

	var utils []*btcutil.Tx
	for _, tx := range block.Transactions {
		utils = append(utils, btcutil.NewTx(tx))
	}
	block.Header.MerkleRoot = blockchain.CalcMerkleRoot(utils, false)

	return block
}

// taproot returns a taproot output script.
func taproot(height, n int) []byte {
	key := chainhash.HashB([]byte(fmt.Sprint(height, n)))

	return append([]byte{0x51, 0x20}, key...)
}

// serialize returns the bytes of a header.
func serialize(header *wire.BlockHeader) []byte {
	var raw bytes.Buffer
	if err := header.Serialize(&raw); err != nil {
		panic(err)
	}

	return raw.Bytes()
}

// Name names the source.
func (c *Chain) Name() string {
	return "memory"
}

// BestBlock returns the tip.
func (c *Chain) BestBlock(context.Context) (chainscan.BlockStamp, error) {
	tip := len(c.blocks) - 1

	return chainscan.BlockStamp{
		Height: int32(tip), Hash: c.blocks[tip].BlockHash(),
	}, nil
}

// errNoBlock says that the chain has no such block.
var errNoBlock = errors.New("no such block")

// BlockHash returns the hash at a height.
func (c *Chain) BlockHash(_ context.Context, height int32) (chainhash.Hash,
	error) {

	if height < 0 || int(height) >= len(c.blocks) {
		return chainhash.Hash{}, errNoBlock
	}

	return c.blocks[height].BlockHash(), nil
}

// Block returns the bytes of a block.
func (c *Chain) Block(_ context.Context, hash chainhash.Hash) ([]byte, error) {
	height, ok := c.heights[hash]
	if !ok {
		return nil, fmt.Errorf("%w: %w", chainscan.ErrUnavailable,
			errNoBlock)
	}
	var raw bytes.Buffer
	err := c.blocks[height].Serialize(&raw)

	return raw.Bytes(), err
}

// Filters returns the filters of a range of heights.
func (c *Chain) Filters(_ context.Context, first, last int32) (
	*chainscan.FilterRange, error) {

	if first < 0 || int(first) >= len(c.blocks) {
		return nil, errNoBlock
	}
	end := min(int(last)+1, len(c.blocks))
	answer := &chainscan.FilterRange{
		Committed: true,
		Blocks:    c.filters[first:end],
	}
	if first > 0 {
		answer.Previous = c.filters[first-1].FilterHeader
	}

	return answer, nil
}

// must returns a value that cannot fail to be.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}

	return value
}
