package lndview

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/chainscan"
)

const (
	// maxLazyBlocks is the number of blocks that one call of the embedded
	// daemon, or one turn of CatchUp, walks at the most: a day of them, a
	// few seconds of time. Nobody is kept waiting for longer.
	maxLazyBlocks = 144

	// followBatch is the number of blocks that are fetched at once and
	// stored in one transaction. It bounds the memory: a block has at most
	// chainscan.MaxBlockSize bytes.
	followBatch = 16

	// maxReorgs is the number of reorgs that one call rolls back before it
	// begins again with lnd's new tip.
	maxReorgs = 8
)

// CatchUp follows the chain to lnd's tip, however many blocks that takes, and
// lets calls of the embedded daemon in between, which walk a limited number of
// blocks each. What was followed is kept if the context ends. A node that is
// behind what was followed is a *BehindError.
func (v *View) CatchUp(ctx context.Context) error {
	for moved := 0; moved < maxAttempts; {
		err := v.catchUpOnce(ctx)

		var behind *BehindError
		switch {
		case errors.As(err, &behind) && !behind.NodeIsBehind():
			log.Debugf("Followed the chain to block %d of %d",
				behind.Followed.Height, behind.Tip.Height)

		case errors.Is(err, errMoved):
			moved++

		default:
			return err
		}
	}

	return errMoved
}

// catchUpOnce follows the chain by as many blocks as one call may.
func (v *View) catchUpOnce(ctx context.Context) error {
	if err := v.take(ctx); err != nil {
		return err
	}
	defer v.give()

	tip, err := v.cfg.Chain.BestBlock(ctx)
	if err != nil {
		return &ChainError{Err: err}
	}

	return v.follow(ctx, tip, maxLazyBlocks)
}

// follow makes a block the last followed one, by rolling back what left the
// best chain and walking what is missing, within a budget. It does nothing
// while no script is covered. The caller holds the turn. It returns errMoved if
// the block is not on the best chain any more, and a *BehindError if the budget
// is used up, or the block is below what was followed, on the same chain.
func (v *View) follow(ctx context.Context, to chainscan.BlockStamp,
	budget int) error {

	for range maxReorgs {
		cursor, ok := v.state.Load().Cursor()
		if !ok || cursor == to {
			return nil
		}

		err := v.rollBack(ctx, to)
		if err == nil {
			err = v.walkTo(ctx, to, &budget)
		}

		var unread *ChainError
		switch {
		case errors.Is(err, errMoved):
			continue

		// While the chain changes, a block of it may not be there.
		case errors.As(err, &unread) && v.hasMoved(ctx, to):
			return errMoved
		}

		return err
	}

	return errMoved
}

// hasMoved reports whether a block is the tip no longer. A node that does not
// answer tells nothing.
func (v *View) hasMoved(ctx context.Context, tip chainscan.BlockStamp) bool {
	now, err := v.cfg.Chain.BestBlock(ctx)

	return err == nil && now != tip
}

// rollBack removes what was found in blocks that left the best chain.
func (v *View) rollBack(ctx context.Context, to chainscan.BlockStamp) error {
	state := v.state.Load()
	cursor, _ := state.Cursor()

	if cursor.Height < to.Height {
		best, err := v.onBestChain(ctx, cursor)
		if err != nil || best {
			return err
		}
	}

	fork, contradicted, err := v.forkPoint(ctx, state, to)
	switch {
	case err != nil:
		return err

	case !contradicted:
		return &BehindError{Followed: cursor, Tip: to}
	}
	log.Warnf("Reorg: block %d (%v) left the best chain, rolling back to "+
		"block %d", cursor.Height, cursor.Hash, fork.Height)

	return v.keep(ctx, Change{RollbackTo: &fork})
}

// onBestChain says whether a block is on the best chain.
func (v *View) onBestChain(ctx context.Context,
	block chainscan.BlockStamp) (bool, error) {

	hash, err := v.cfg.Chain.BlockHash(ctx, block.Height)
	if err != nil {
		return false, &ChainError{Height: block.Height, Err: err}
	}

	return hash == block.Hash, nil
}

// forkPoint returns the highest known block of the best chain that is not above
// a given one, and whether the best chain has another block where a higher one
// is known: a chain that merely ends lower takes nothing back. If every known
// block left the best chain it is the block before the lowest birthday, below
// which nothing is known.
func (v *View) forkPoint(ctx context.Context, state *Snapshot,
	to chainscan.BlockStamp) (chainscan.BlockStamp, bool, error) {

	contradicted := false
	for _, block := range knownBlocks(state) {
		if block.Height > to.Height {
			continue
		}
		best, err := v.onBestChain(ctx, block)
		if err != nil || best {
			contradicted = contradicted || v.has(lowerIsReorg)

			return block, contradicted, err
		}
		contradicted = true
	}
	if !contradicted && !v.has(lowerIsReorg) {
		return chainscan.BlockStamp{}, false, nil
	}

	height := to.Height
	for _, script := range state.Scripts {
		if script.Covered() {
			height = min(height, script.Birthday-1)
		}
	}
	height = max(height, 0)

	hash, err := v.cfg.Chain.BlockHash(ctx, height)
	if err != nil {
		return chainscan.BlockStamp{}, false, &ChainError{
			Height: height, Err: err,
		}
	}

	return chainscan.BlockStamp{Height: height, Hash: hash}, true, nil
}

// knownBlocks returns the blocks whose hashes the state holds, from the highest
// to the lowest.
func knownBlocks(state *Snapshot) []chainscan.BlockStamp {
	blocks := slices.Clone(state.Trail)
	for _, output := range state.Outputs {
		blocks = append(blocks, output.Block)
		if output.Spend != nil {
			blocks = append(blocks, output.Spend.Block)
		}
	}
	slices.SortFunc(blocks, func(a, b chainscan.BlockStamp) int {
		return cmp.Compare(b.Height, a.Height)
	})

	return slices.Compact(blocks)
}

// walkTo walks the blocks above the last followed one up to a given one, and
// stores what it finds with each batch. It returns errMoved if the chain
// changes on the way.
func (v *View) walkTo(ctx context.Context, to chainscan.BlockStamp,
	budget *int) error {

	for {
		cursor, _ := v.state.Load().Cursor()
		switch {
		case cursor == to:
			return nil

		case cursor.Height >= to.Height:
			return errMoved

		case *budget <= 0:
			return &BehindError{Followed: cursor, Tip: to}
		}

		count := min(int(to.Height-cursor.Height), followBatch, *budget)
		*budget -= count

		blocks, err := v.fetch(ctx, cursor.Height+1, count)
		if err != nil {
			return err
		}
		if err := v.walkBatch(ctx, cursor.Hash, blocks); err != nil {
			return err
		}
	}
}

// walkBatch walks consecutive blocks and stores what was found in them. Blocks
// behind a break in the chain are left out, and errMoved is returned.
func (v *View) walkBatch(ctx context.Context, previous chainhash.Hash,
	blocks []block) error {

	var (
		found  = newFindings(v.state.Load())
		broken error
	)
	for _, b := range blocks {
		if b.msg.Header.PrevBlock != previous {
			broken = errMoved

			break
		}
		found.walk(b)
		previous = b.stamp.Hash
	}

	change := found.change()
	if len(change.Blocks) > 0 {
		if err := v.keep(ctx, change); err != nil {
			return err
		}
	}

	return broken
}
