package chainscan

import (
	"context"
	"testing"

	"github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
)

const (
	// reorgBirthday is the birthday of the reorg stories, and reorgTip the
	// height of their first tip.
	reorgBirthday, reorgTip = 14, 36

	// maxDepth is the depth of the deepest reorg, in blocks.
	maxDepth = 12
)

// busyBranch extends a branch up to a height by blocks in which every
// transaction pays two children and spends two earlier deposits. It takes over,
// one block later, every third transaction of the branch that it replaces, with
// its spends.
func busyBranch(branch, replaced simBranch, to int32, salt uint32) simBranch {
	common := int32(len(branch))
	takes := func(height int32) bool {
		return height >= common && height%3 == 0 && height < to &&
			height < int32(len(replaced))
	}

	for height := common; height <= to; height++ {
		newer, older := unknown(0), unknown(1)
		if !takes(height) {
			newer = deposit(branch, height-1, 0)
			older = deposit(branch, height-5, 1)
		}
		tx := payTx(
			salt<<16+uint32(height), newer, uint32(height*7%24),
			uint32(height/2%12),
		)
		tx.AddTxIn(wire.NewTxIn(&older, nil, nil))

		txs := []*wire.MsgTx{tx}
		if takes(height - 1) {
			txs = append(
				txs, replaced[height-1].msg.Transactions[1],
			)
		}
		branch = branch.extend(txs, salt)
	}

	return branch
}

// deposit returns an output of the first payment of a block.
func deposit(branch simBranch, height int32, index uint32) wire.OutPoint {
	if height < 0 || len(branch[height].ids) < 2 {
		return unknown(byte(index))
	}

	return wire.OutPoint{Hash: branch[height].ids[1], Index: index}
}

// TestReorgEverywhere: wherever the scan stands, and however deep the reorg is,
// while the scan runs and while it is down: deposits and spends of the
// abandoned branch are taken back, nothing else is, and what the other branch
// brings is found. It goes across the cursor, and across the birthday. If this
// breaks, a reorg on the wrong day leaves money in the result that is not
// there, or money that is there out of it.
func TestReorgEverywhere(t *testing.T) {
	t.Parallel()

	main := busyBranch(simBranch{}.extend(nil, 0), nil, reorgTip, 0)
	rivals := make(map[int32]simBranch)
	for cursor := int32(reorgBirthday); cursor <= reorgTip; cursor++ {
		for depth := int32(1); depth <= maxDepth; depth++ {
			fork := cursor - depth
			if rivals[fork] == nil {
				rivals[fork] = busyBranch(
					main[:fork+1:fork+1], main,
					reorgTip+1, uint32(fork+1),
				)
			}
			for _, down := range []bool{false, true} {
				reorgAt(t, main, rivals[fork], cursor, fork,
					down)
			}
		}
	}
}

// reorgAt lets a rival branch win when a scan has saved that it stands on a
// block; fork is the last common one.
func reorgAt(t *testing.T, main, rival simBranch, cursor, fork int32,
	down bool) {

	t.Helper()

	f := newFixture(reorgBirthday, 1, 3, nil)
	f.tuning.chunkBlocks = 1
	f.source.set(main)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reorgs []BlockStamp
	f.cfg.Progress = func(p Progress) {
		switch {
		case p.Reorg != nil:
			reorgs = append(reorgs, *p.Reorg)

		case p.Height == cursor && len(reorgs) == 0 && down:
			cancel()

		case p.Height == cursor && len(reorgs) == 0:
			f.source.set(rival)
		}
	}
	if down {
		_, err := run(ctx, f.cfg, f.tuning)
		require.ErrorIs(t, err, context.Canceled)
		stored, _, err := f.store.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, main[cursor].BlockStamp, stored.Block)
		f.source.set(rival)
	}

	// This compares the result with the brute-force walk.
	result := f.run(t)
	require.NotEmpty(t, result.Outputs)
	require.Equal(t, rival[len(rival)-1].BlockStamp, result.Coverage.Tip)
	stored, outputs, err := f.store.Load(t.Context())
	require.NoError(t, err)
	require.True(t, equalOutputs(result.Outputs, Select(*stored, outputs)))

	// It goes back to the last common block, and no farther.
	wanted := BlockStamp{Height: reorgBirthday - 1}
	if fork >= reorgBirthday {
		wanted = main[fork].BlockStamp
	}
	require.Equal(t, []BlockStamp{wanted}, reorgs, "cursor %d, fork %d",
		cursor, fork)
}

// TestTipMoves: blocks that come while the scan runs are part of it, also those
// that come when it has reached the tip.
func TestTipMoves(t *testing.T) {
	t.Parallel()

	const more = 10
	f := newFixture(5, 60, 3, growth())
	f.cfg.Progress = func(p Progress) {
		last := len(f.source.branch)
		if int(p.Height) == last-1 && last < 60+more {
			n := uint32(last)
			f.source.set(f.source.branch.extend([]*wire.MsgTx{
				payTx(n, unknown(byte(n)), n-60),
			}, 0))
		}
	}
	result := f.run(t)
	require.EqualValues(t, 60+more-1, result.Coverage.Tip.Height)
	require.Len(t, result.Outputs, 2+more)
}
