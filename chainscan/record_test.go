package chainscan

import (
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
)

// recorded is a block of the model that a record is compared with.
type recorded struct {
	stamp  BlockStamp
	keys   [][keySize]byte
	inputs []wire.OutPoint
}

// randomRecorded returns a block with random keys and inputs.
func randomRecorded(rng *rand.Rand, height int32) recorded {
	blk := recorded{stamp: BlockStamp{
		Height: height, Hash: chainhash.Hash{byte(height), 1},
	}}
	for range rng.IntN(5) {
		blk.keys = append(blk.keys, [keySize]byte(
			simScript(1, rng.Uint32N(40))[2:],
		))
	}
	for range rng.IntN(5) {
		blk.inputs = append(blk.inputs, wire.OutPoint{
			Hash:  chainhash.Hash{2: byte(rng.IntN(20))},
			Index: rng.Uint32N(3),
		})
	}

	return blk
}

// add adds the block to a record.
func (b *recorded) add(r *printRecord) error {
	var prints fingerprints
	for _, key := range b.keys {
		prints.addKey(key[:])
	}
	for _, input := range b.inputs {
		raw := serializeOutPoint(input)
		prints.addInput(raw[:])
	}

	return r.add(block{BlockStamp: b.stamp}, &prints)
}

// TestRecord compares a record with a plain list, through reorgs: it names
// every block that holds what is asked for, and these fingerprints do not
// collide, so none else.
func TestRecord(t *testing.T) {
	t.Parallel()

	for _, segment := range []int{1, 7, 64, recordSegment} {
		tuning := defaultTuning()
		tuning.recordSegment = segment
		rng := rand.New(rand.NewPCG(uint64(segment), 1))

		r := newPrintRecord(100, &tuning)
		var model []recorded
		for range 300 {
			if rng.IntN(10) == 0 {
				keep := rng.IntN(len(model) + 1)
				model = model[:keep]
				r.truncate(100 + int32(keep) - 1)
			}

			blk := randomRecorded(rng, 100+int32(len(model)))
			require.NoError(t, blk.add(r))
			model = append(model, blk)

			wanted := randomRecorded(rng, 0)
			found, err := r.search(
				newQuery(wanted.keys, wanted.inputs),
			)
			require.NoError(t, err)
			require.Equal(t, searchModel(model, wanted), found)
		}

		r.truncate(50)
		require.Empty(t, r.blocks)
	}
}

// searchModel is a search of the plain list.
func searchModel(model []recorded, wanted recorded) []BlockStamp {
	var found []BlockStamp
	for _, blk := range model {
		hit := false
		for _, key := range blk.keys {
			for _, other := range wanted.keys {
				hit = hit || key == other
			}
		}
		for _, input := range blk.inputs {
			for _, other := range wanted.inputs {
				hit = hit || input == other
			}
		}
		if hit {
			found = append(found, blk.stamp)
		}
	}

	return found
}

// TestRecordBudget: a record says when it takes more memory than it may, and
// its own count of that is no less than what it holds.
func TestRecordBudget(t *testing.T) {
	t.Parallel()

	tuning := defaultTuning()
	tuning.recordBudget = 1 << 20
	r := newPrintRecord(0, &tuning)

	prints := fingerprints{
		keys: make([]uint32, 1_000), inputs: make([]uint32, 1_500),
	}
	blocks := 0
	for r.add(block{}, &prints) == nil {
		blocks++
	}

	const size = 2_500 * 4
	require.Greater(t, blocks, tuning.recordBudget/size/3)
	require.Less(t, blocks, tuning.recordBudget/size)
}
