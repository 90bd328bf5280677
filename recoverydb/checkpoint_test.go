package recoverydb

import (
	"context"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/chainscan/checkpointtest"
	"github.com/stretchr/testify/require"
)

// openTemp returns a function that closes and opens the database of a test
// again, as a process that starts anew would. It is not looked at before, since
// the suites' transactions are none.
func openTemp(t *testing.T, path string) func() *DB {
	var db *DB
	reopen := func() *DB {
		if db != nil {
			require.NoError(t, db.Close())
		}

		var err error
		db, err = unlooked(path)
		require.NoError(t, err)

		return db
	}
	t.Cleanup(func() {
		require.NoError(t, db.Close())
	})

	return reopen
}

// unlooked opens a database without looking at it before.
func unlooked(path string) (*DB, error) {
	p, err := placeOf(path)
	if err != nil {
		return nil, err
	}

	return p.openFile()
}

// TestCheckpoint tries the checkpoint in the database, which another scan's
// findings lie beside.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	eachOrigin(t, testCheckpoint)
}

// testCheckpoint is TestCheckpoint for one origin.
func testCheckpoint(t *testing.T, newPath func(*testing.T) string) {
	checkpointtest.Run(t, func(t *testing.T) checkpointtest.Open {
		reopen := openTemp(t, newPath(t))
		other := chainscan.Chunk{
			Cursor: chainscan.Cursor{
				Frontier: map[int32]uint32{1: 5},
			},
			Outputs: []chainscan.Output{
				otherOutput(4), otherOutput(5),
			},
		}
		require.NoError(t, reopen().Checkpoint("other").Commit(
			t.Context(), other,
		))
		t.Cleanup(func() {
			requireOther(t, reopen(), other)
		})

		return func() chainscan.Checkpoint {
			return reopen().Checkpoint("run")
		}
	})
}

// otherOutput is an output of the other scan.
func otherOutput(index uint32) chainscan.Output {
	return chainscan.Output{
		OutPoint: wire.OutPoint{
			Hash: chainhash.Hash{3}, Index: index,
		},
		Script:    chainscan.ScriptID{Family: 1, Index: index},
		PkScript:  []byte{1},
		Block:     chainscan.BlockStamp{Height: 1_000},
		FundingTx: []byte{2},
	}
}

// requireOther checks that the other scan was left alone, and that its result
// leaves out what lies beyond the frontier.
func requireOther(t *testing.T, db *DB, other chainscan.Chunk) {
	cursor, outputs, err := db.Checkpoint("other").Load(
		context.Background(),
	)
	require.NoError(t, err)
	require.Equal(t, other.Cursor, *cursor)
	require.Equal(t, other.Outputs, outputs)

	result, err := db.Checkpoint("other").Result(context.Background())
	require.NoError(t, err)
	require.Equal(t, other.Outputs[:1], result)
}
