package lndview

import (
	"context"
	"slices"

	"github.com/btcsuite/btcd/wire"
)

const (
	// locateBelow and locateAbove bound the blocks that are searched for
	// the funding transaction of a row, around the height it names. Stored
	// heights were seen about 20 blocks too low after a burst of blocks; a
	// reorg can make one too high.
	locateBelow, locateAbove = 6, 42
)

// locate returns the transaction that made the output of a row, by reading the
// blocks around the height that the row names. The caller holds the turn.
func (v *View) locate(ctx context.Context, row standing,
	tip int32) (chainTx, error) {

	missing := &FundingError{
		OutPoint: row.outPoint,
		Height:   row.height,
	}
	if row.height == 0 {
		return chainTx{}, missing
	}

	if known, ok := v.located[row.outPoint]; ok {
		best, err := v.onBestChain(ctx, known.block)
		if err != nil {
			return chainTx{}, err
		}
		if best {
			return known, nil
		}
		delete(v.located, row.outPoint)
	}

	for _, height := range locateHeights(row.height, tip) {
		b, err := v.fetchOne(ctx, height)
		if err != nil {
			return chainTx{}, err
		}
		tx := fundingTx(b, row)
		if tx == nil {
			continue
		}

		found := chainTx{
			txID:      row.outPoint.Hash,
			tx:        tx,
			block:     b.stamp,
			blockTime: b.msg.Header.Timestamp.Unix(),
		}
		v.located[row.outPoint] = found

		return found, nil
	}

	return chainTx{}, missing
}

// locateHeights returns the heights to search, the likely ones first.
func locateHeights(height, tip int32) []int32 {
	var above, below []int32
	for h := height; h <= min(height+locateAbove, tip); h++ {
		above = append(above, h)
	}
	for h := height - 1; h >= max(height-locateBelow, 1); h-- {
		below = append(below, h)
	}

	return slices.Concat(above, below)
}

// fundingTx returns the transaction of a block that made the output of a row,
// or nil.
func fundingTx(b block, row standing) *wire.MsgTx {
	for _, tx := range b.msg.Transactions {
		if tx.TxHash() != row.outPoint.Hash {
			continue
		}
		if int(row.outPoint.Index) < len(tx.TxOut) {
			return tx
		}
	}

	return nil
}
