// Package checkpointtest is the conformance suite of chainscan.Checkpoint: what
// a scan relies on, tried on any implementation.
package checkpointtest

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/stretchr/testify/require"
)

// Open opens the checkpoint of one scan. It is called again to see what a
// process that starts anew would see.
type Open func() chainscan.Checkpoint

// Run tries an implementation. create makes a new, empty store.
func Run(t *testing.T, create func(t *testing.T) Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"empty":             testEmpty,
		"round trip":        testRoundTrip,
		"stored twice":      testStoredTwice,
		"later spend":       testLaterSpend,
		"rollback":          testRollback,
		"rollback and find": testRollbackAndFind,
		"shared":            testSharedTransaction,
		"cancelled":         testCancelled,
		"nothing left":      testRollbackAll,
		"spend of nothing":  testSpendOfNothing,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, create(t))
		})
	}
}

// hash returns a hash that is made of a number.
func hash(n byte) chainhash.Hash {
	var h chainhash.Hash
	for i := range h {
		h[i] = n + byte(i)
	}

	return h
}

// cursor returns a cursor at a height with every field set.
func cursor(height int32) chainscan.Cursor {
	return chainscan.Cursor{
		Birthday: 10,
		Pass:     2,
		Block: chainscan.BlockStamp{
			Height: height, Hash: hash(byte(height)),
		},
		Frontier: map[int32]uint32{42060: 24, 42061: math.MaxUint32},
		Complete: map[int32]uint32{42060: 24, 42061: 1_020},
		Passed: chainscan.BlockStamp{
			Height: height + 5, Hash: hash(byte(height + 5)),
		},
		PassedFrontier: map[int32]uint32{42061: 20},
		History: []chainscan.BlockStamp{
			{Height: -1},
			{Height: height, Hash: hash(byte(height))},
		},
	}
}

// output returns an output in a block, with every field set but the spend.
func output(n byte, height int32) chainscan.Output {
	return chainscan.Output{
		OutPoint: wire.OutPoint{Hash: hash(n), Index: math.MaxUint32},
		Script:   chainscan.ScriptID{Family: 42061, Index: 7},
		PkScript: []byte{0x51, 0x20, n},
		Value:    btcutil.MaxSatoshi,
		Block: chainscan.BlockStamp{
			Height: height, Hash: hash(byte(height)),
		},
		BlockTime: 1_700_000_000,
		FundingTx: []byte{n, 1, 2, 3},
	}
}

// spent returns an output with a spend in a block.
func spent(of chainscan.Output, height int32) chainscan.Output {
	n := byte(height) + 100
	of.Spend = &chainscan.Spend{
		TxID:       hash(n),
		InputIndex: math.MaxUint32 - 1,
		Block: chainscan.BlockStamp{
			Height: height, Hash: hash(byte(height)),
		},
		BlockTime:  1_800_000_000,
		SpendingTx: []byte{n, 9, 8},
	}

	return of
}

// commit stores a chunk at a height.
func commit(t *testing.T, open Open, height int32, chunk chainscan.Chunk) {
	t.Helper()

	chunk.Cursor = cursor(height)
	require.NoError(t, open().Commit(t.Context(), chunk))
}

// requireStored compares what a new process sees.
func requireStored(t *testing.T, open Open, height int32,
	outputs ...chainscan.Output) {

	t.Helper()

	loaded, found, err := open().Load(t.Context())
	require.NoError(t, err)
	require.NotNil(t, loaded)
	require.Equal(t, cursor(height), *loaded)

	slices.SortFunc(outputs, chainscan.CompareOutputs)
	slices.SortFunc(found, chainscan.CompareOutputs)
	require.Len(t, found, len(outputs))
	for i := range outputs {
		require.Equal(t, outputs[i], found[i])
	}
}

// testEmpty: a scan that has not begun has no cursor.
func testEmpty(t *testing.T, open Open) {
	loaded, outputs, err := open().Load(t.Context())
	require.NoError(t, err)
	require.Nil(t, loaded)
	require.Empty(t, outputs)
}

// testRoundTrip: every field comes back as it was.
func testRoundTrip(t *testing.T, open Open) {
	commit(t, open, 20, chainscan.Chunk{
		Outputs: []chainscan.Output{
			output(1, 18), spent(output(2, 19), 20),
		},
	})
	requireStored(t, open, 20, output(1, 18), spent(output(2, 19), 20))

	commit(t, open, 30, chainscan.Chunk{
		Outputs: []chainscan.Output{output(3, 25)},
	})
	requireStored(
		t, open, 30, output(1, 18), spent(output(2, 19), 20),
		output(3, 25),
	)
}

// testStoredTwice: an output that comes again changes nothing, not even if it
// is spent already.
func testStoredTwice(t *testing.T, open Open) {
	commit(t, open, 20, chainscan.Chunk{
		Outputs: []chainscan.Output{spent(output(1, 18), 19)},
	})
	commit(t, open, 21, chainscan.Chunk{
		Outputs: []chainscan.Output{output(1, 18)},
	})
	requireStored(t, open, 21, spent(output(1, 18), 19))
}

// testLaterSpend: a spend finds its output in an earlier chunk.
func testLaterSpend(t *testing.T, open Open) {
	commit(t, open, 20, chainscan.Chunk{
		Outputs: []chainscan.Output{output(1, 18), output(2, 18)},
	})
	commit(t, open, 30, chainscan.Chunk{
		Spends: []chainscan.OutputSpend{
			{Output: spent(output(1, 18), 29)},
		},
	})
	requireStored(t, open, 30, spent(output(1, 18), 29), output(2, 18))
}

// testRollback: what lies above the last common block goes, what lies in it
// stays.
func testRollback(t *testing.T, open Open) {
	commit(t, open, 30, chainscan.Chunk{
		Outputs: []chainscan.Output{
			output(1, 19), output(2, 20), output(3, 21),
			spent(output(4, 15), 20), spent(output(5, 15), 21),
			spent(output(6, 25), 26),
		},
	})
	commit(t, open, 20, chainscan.Chunk{
		RollbackTo: &chainscan.BlockStamp{Height: 20},
	})
	requireStored(
		t, open, 20, output(1, 19), output(2, 20),
		spent(output(4, 15), 20), output(5, 15),
	)
}

// testRollbackAndFind: what a chunk brings is stored after its rollback, the
// same output in another block too.
func testRollbackAndFind(t *testing.T, open Open) {
	commit(t, open, 30, chainscan.Chunk{
		Outputs: []chainscan.Output{
			output(1, 21), spent(output(2, 18), 22),
		},
	})

	again := output(1, 23)
	again.FundingTx = []byte{1, 2, 3, 4, 5}
	commit(t, open, 24, chainscan.Chunk{
		RollbackTo: &chainscan.BlockStamp{Height: 20},
		Outputs:    []chainscan.Output{again},
		Spends: []chainscan.OutputSpend{
			{Output: spent(output(2, 18), 24)},
		},
	})
	requireStored(t, open, 24, again, spent(output(2, 18), 24))
}

// testSharedTransaction: one transaction can fund several outputs and spend
// another, and survives the rollback of some of them.
func testSharedTransaction(t *testing.T, open Open) {
	first, second := output(1, 20), output(1, 20)
	second.OutPoint.Index = 3
	before := spent(output(2, 18), 20)
	before.Spend.TxID = first.OutPoint.Hash
	before.Spend.SpendingTx = first.FundingTx

	commit(t, open, 20, chainscan.Chunk{
		Outputs: []chainscan.Output{first, second, before},
	})
	requireStored(t, open, 20, first, second, before)

	commit(t, open, 25, chainscan.Chunk{
		Spends: []chainscan.OutputSpend{{Output: spent(first, 25)}},
	})
	commit(t, open, 24, chainscan.Chunk{
		RollbackTo: &chainscan.BlockStamp{Height: 24},
	})
	requireStored(t, open, 24, first, second, before)

	before.Spend = nil
	commit(t, open, 19, chainscan.Chunk{
		RollbackTo: &chainscan.BlockStamp{Height: 19},
	})
	requireStored(t, open, 19, before)
}

// testCancelled: a commit that fails leaves nothing of itself behind.
func testCancelled(t *testing.T, open Open) {
	commit(t, open, 20, chainscan.Chunk{
		Outputs: []chainscan.Output{output(1, 18)},
	})

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := open().Commit(ctx, chainscan.Chunk{
		Cursor:     cursor(30),
		RollbackTo: &chainscan.BlockStamp{Height: 10},
		Outputs:    []chainscan.Output{output(2, 11)},
	})
	require.ErrorIs(t, err, context.Canceled)
	requireStored(t, open, 20, output(1, 18))
}

// testRollbackAll: a reorg can leave nothing of a scan.
func testRollbackAll(t *testing.T, open Open) {
	commit(t, open, 20, chainscan.Chunk{
		Outputs: []chainscan.Output{
			output(1, 18), spent(output(2, 10), 12),
		},
	})
	commit(t, open, 9, chainscan.Chunk{
		RollbackTo: &chainscan.BlockStamp{Height: 9},
	})
	requireStored(t, open, 9)
}

// testSpendOfNothing: a spend of an output that is not stored, or none at all,
// is an error, not a silent loss, and the chunk leaves nothing behind.
func testSpendOfNothing(t *testing.T, open Open) {
	commit(t, open, 20, chainscan.Chunk{
		Outputs: []chainscan.Output{output(1, 18)},
	})

	for _, of := range []chainscan.Output{
		spent(output(2, 18), 29), output(1, 18),
	} {
		require.Error(t, open().Commit(t.Context(), chainscan.Chunk{
			Cursor:  cursor(30),
			Outputs: []chainscan.Output{output(3, 25)},
			Spends:  []chainscan.OutputSpend{{Output: of}},
		}))
		requireStored(t, open, 20, output(1, 18))
	}
}
