package lndview

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
	"golang.org/x/sync/errgroup"
)

// fetchers is the number of blocks that are fetched at the same time.
const fetchers = 4

// errWrongBlock says that a source returned something other than the block it
// was asked for.
var errWrongBlock = errors.New("not the block that was asked for")

// block is a block of the chain.
type block struct {
	stamp chainscan.BlockStamp
	msg   *wire.MsgBlock
}

// fetch returns consecutive blocks of the best chain. The caller checks that
// they are connected.
func (v *View) fetch(ctx context.Context, first int32, count int) ([]block,
	error) {

	blocks := make([]block, count)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchers)
	for i := range blocks {
		group.Go(func() error {
			var err error
			blocks[i], err = v.fetchOne(ctx, first+int32(i))

			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}

	return blocks, nil
}

// fetchOne returns the best chain's block at a height.
func (v *View) fetchOne(ctx context.Context, height int32) (block, error) {
	hash, err := v.cfg.Chain.BlockHash(ctx, height)
	if err != nil {
		return block{}, &ChainError{Height: height, Err: err}
	}
	raw, err := v.cfg.Chain.Block(ctx, hash)
	if err != nil {
		return block{}, &ChainError{Height: height, Err: err}
	}

	b := block{stamp: chainscan.BlockStamp{Height: height, Hash: hash}}
	b.msg, err = parseBlock(raw, b.stamp)
	if err != nil {
		return block{}, &ChainError{Height: height, Err: err}
	}

	return b, nil
}

// parseBlock decodes a block and checks that its header has the expected hash
// and its transactions the header's merkle root.
func parseBlock(raw []byte, stamp chainscan.BlockStamp) (*wire.MsgBlock,
	error) {

	if len(raw) > chainscan.MaxBlockSize {
		return nil, fmt.Errorf("%w: %d bytes", errWrongBlock, len(raw))
	}

	var (
		msg    wire.MsgBlock
		reader = bytes.NewReader(raw)
	)
	if err := msg.Deserialize(reader); err != nil {
		return nil, fmt.Errorf("%w: %w", errWrongBlock, err)
	}
	if reader.Len() != 0 || msg.BlockHash() != stamp.Hash {
		return nil, fmt.Errorf("%w: header", errWrongBlock)
	}

	txs := make([]*btcutil.Tx, len(msg.Transactions))
	for i, tx := range msg.Transactions {
		txs[i] = btcutil.NewTx(tx)
	}
	if len(txs) == 0 ||
		blockchain.CalcMerkleRoot(txs, false) != msg.Header.MerkleRoot {

		return nil, fmt.Errorf("%w: merkle root", errWrongBlock)
	}

	return &msg, nil
}
