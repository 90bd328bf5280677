package chainscan

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
)

// walked is what a walk tells of a block.
type walked struct {
	ids     []chainhash.Hash
	raw     [][]byte
	matches [][]txMatch
}

// walkAll walks a block with everything known that is asked for.
func walkAll(raw []byte, keys *keySet, spends *outPointSet,
	prints *fingerprints) (*walked, error) {

	var (
		result walked
		hasher = newTxHasher()
		w      = &walker{keys: keys, spends: spends, record: prints}
	)
	err := w.each(raw, func(tx *rawTx) {
		var id chainhash.Hash
		hasher.id(tx, &id)

		result.ids = append(result.ids, id)
		result.raw = append(result.raw, tx.bytes())
		result.matches = append(
			result.matches, append([]txMatch(nil), w.matches...),
		)
	})

	return &result, err
}

// requireWalk compares a walk with the decoded block: every transaction, every
// taproot output and every input is seen as it is.
func requireWalk(t *testing.T, raw []byte, msg *wire.MsgBlock) {
	t.Helper()

	keys, spends := newKeySet(), newOutPointSet()
	var prints fingerprints
	for _, tx := range msg.Transactions {
		for _, in := range tx.TxIn {
			spends.add(in.PreviousOutPoint)
		}
		for _, out := range tx.TxOut {
			if isTaproot(out.PkScript) {
				keys.add([keySize]byte(out.PkScript[2:]),
					ScriptID{Index: 1})
			}
		}
	}

	result, err := walkAll(raw, keys, spends, &prints)
	require.NoError(t, err)
	require.Len(t, result.ids, len(msg.Transactions))

	var wantedKeys, wantedInputs int
	for i, tx := range msg.Transactions {
		var encoded bytes.Buffer
		require.NoError(t, tx.Serialize(&encoded))
		require.Equal(t, tx.TxHash(), result.ids[i])
		require.Equal(t, encoded.Bytes(), result.raw[i])

		matches := result.matches[i]
		for j, in := range tx.TxIn {
			wantedInputs++
			require.False(t, matches[0].output)
			require.EqualValues(t, j, matches[0].index)
			require.Equal(t, in.PreviousOutPoint,
				readOutPoint(raw[matches[0].offset:]))
			matches = matches[1:]
		}
		for j, out := range tx.TxOut {
			if !isTaproot(out.PkScript) {
				continue
			}

			wantedKeys++
			require.True(t, matches[0].output)
			require.EqualValues(t, j, matches[0].index)
			value := binary.LittleEndian.Uint64(
				raw[matches[0].offset:],
			)
			require.EqualValues(t, out.Value, value)
			matches = matches[1:]
		}
		require.Empty(t, matches)
	}
	require.Len(t, prints.keys, wantedKeys)
	require.Len(t, prints.inputs, wantedInputs)
}

// isTaproot tells whether a script is a taproot output script.
func isTaproot(script []byte) bool {
	return len(script) == taprootScriptSize && script[0] == opTaproot0 &&
		script[1] == opTaproot1
}

// randomTx returns a transaction with scripts, witnesses and counts of lengths
// that take one, three and five bytes.
func randomTx(rng *rand.Rand) *wire.MsgTx {
	sizes := []int{0, 1, 33, 34, 107, 252, 253, 300, 65_535, 65_536, 70_000}
	size := func(most int) []byte {
		b := make([]byte, min(sizes[rng.IntN(len(sizes))], most))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}

		return b
	}

	tx := wire.NewMsgTx(rng.Int32())
	tx.LockTime = rng.Uint32()
	segwit := rng.IntN(2) == 0
	for range 1 + rng.IntN(4) {
		in := &wire.TxIn{
			SignatureScript: size(70_000),
			Sequence:        rng.Uint32(),
		}
		in.PreviousOutPoint.Index = rng.Uint32()
		binary.LittleEndian.PutUint64(
			in.PreviousOutPoint.Hash[:], rng.Uint64(),
		)
		for segwit && len(in.Witness) < 1+rng.IntN(300) {
			in.Witness = append(in.Witness, size(300))
		}
		tx.AddTxIn(in)
	}
	for range 1 + rng.IntN(300) {
		script := size(300)
		if rng.IntN(2) == 0 {
			script = simScript(1, rng.Uint32())
		}
		tx.AddTxOut(wire.NewTxOut(rng.Int64(), script))
	}

	return tx
}

// randomBlock returns a block of random transactions.
func randomBlock(rng *rand.Rand) *simBlock {
	var txs []*wire.MsgTx
	for range rng.IntN(6) {
		txs = append(txs, randomTx(rng))
	}

	return simBranch{}.extend(txs, rng.Uint32())[0]
}

// TestWalk compares the walk over a block's bytes with the decoded block.
func TestWalk(t *testing.T) {
	t.Parallel()

	var genesis bytes.Buffer
	msg := chaincfg.MainNetParams.GenesisBlock
	require.NoError(t, msg.Serialize(&genesis))
	requireWalk(t, genesis.Bytes(), msg)

	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		blk := randomBlock(rng)
		requireWalk(t, blk.raw, blk.msg)
	}
}

// TestWalkHostile: bytes that are cut short, too long or lie about a length are
// refused, and never read beyond their end.
func TestWalkHostile(t *testing.T) {
	t.Parallel()

	rng := rand.New(rand.NewPCG(3, 4))
	blk := simBranch{}.extend(
		[]*wire.MsgTx{randomTx(rng)}, 0,
	)[0]

	for size := range len(blk.raw) {
		if size > 500 && size < len(blk.raw)-500 && size%97 != 0 {
			continue
		}

		// The capacity must not hide a read beyond the end.
		_, err := walkAll(blk.raw[:size:size], nil, nil, nil)
		require.ErrorIs(t, err, errMalformed, "size %d", size)
	}

	_, err := walkAll(append(blk.raw[:len(blk.raw):len(blk.raw)], 0), nil,
		nil, nil)
	require.ErrorIs(t, err, errMalformed)

	header := blk.raw[:headerSize:headerSize]
	for name, tail := range map[string][]byte{
		"no transaction":    {0},
		"huge count":        {0xff, 1, 2, 3, 4, 5, 6, 7, 8},
		"many transactions": {0xfe, 0, 0, 1, 0},
		"long form": append(
			[]byte{0xfd, 1, 0}, blk.raw[81:]...,
		),
		"huge inputs": append([]byte{
			1, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff,
		}, make([]byte, 100)...),
		"unknown flag": append([]byte{
			1, 0, 0, 0, 0, 0, 2,
		}, make([]byte, 100)...),
		"too large": make([]byte, MaxBlockSize),
	} {
		_, err := walkAll(append(header, tail...), nil, nil, nil)
		require.ErrorIs(t, err, errMalformed, name)
	}
}

// TestWalkSteadyState: a walk without matches allocates nothing.
func TestWalkSteadyState(t *testing.T) {
	blk := randomBlock(rand.New(rand.NewPCG(5, 6)))
	prints := &fingerprints{}
	w := &walker{
		keys: newKeySet(), spends: newOutPointSet(), record: prints,
	}

	require.Zero(t, testing.AllocsPerRun(100, func() {
		prints.reset()
		err := w.walk(blk.raw, func(*rawTx) { panic("a match") })
		if err != nil {
			panic(err)
		}
	}))
}

// TestVerify: bytes that are not the block with the hash are refused.
func TestVerify(t *testing.T) {
	t.Parallel()

	rng := rand.New(rand.NewPCG(7, 8))
	v := newVerifier()
	for count := range 9 {
		var txs []*wire.MsgTx
		for range count {
			txs = append(txs, randomTx(rng))
		}
		blk := simBranch{}.extend(txs, 0)[0]
		require.NoError(t, v.verify(blk.raw, blk.Hash))

		require.ErrorIs(
			t, v.verify(blk.raw, chainhash.Hash{1}), errWrongBlock,
		)

		// Any byte that counts for the merkle root. The last ones are
		// the lock time.
		for _, at := range []int{
			headerSize + 2, len(blk.raw) - 1, 0, 40, 79,
		} {
			bad := bytes.Clone(blk.raw)
			bad[at] ^= 1
			require.ErrorIs(
				t, v.verify(bad, blk.Hash), errWrongBlock,
				"%d transactions, byte %d", count+1, at,
			)
		}
	}

	require.ErrorIs(t, v.verify(nil, chainhash.Hash{}), errWrongBlock)
	require.ErrorIs(
		t, v.verify(make([]byte, MaxBlockSize+1), chainhash.Hash{}),
		errWrongBlock,
	)
}

// TestVerifyRepeated: a block whose last transactions come twice has the same
// merkle root (CVE-2012-2459) and is refused all the same: a repeated deposit
// would count twice.
func TestVerifyRepeated(t *testing.T) {
	t.Parallel()

	rng := rand.New(rand.NewPCG(9, 10))
	blk := simBranch{}.extend(
		[]*wire.MsgTx{randomTx(rng), randomTx(rng)}, 0,
	)[0]

	msg := *blk.msg
	msg.Transactions = append(
		msg.Transactions, msg.Transactions[len(msg.Transactions)-1],
	)
	var raw bytes.Buffer
	require.NoError(t, msg.Serialize(&raw))

	require.ErrorIs(
		t, newVerifier().verify(raw.Bytes(), blk.Hash), errWrongBlock,
	)
}

// FuzzWalk compares the walk with the decoder on any bytes: it must not panic,
// must accept what the decoder accepts in its shortest form, and refuse the
// rest.
func FuzzWalk(f *testing.F) {
	var genesis bytes.Buffer
	err := chaincfg.MainNetParams.GenesisBlock.Serialize(&genesis)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(genesis.Bytes())

	rng := rand.New(rand.NewPCG(11, 12))
	for range 4 {
		small := wire.NewMsgTx(2)
		small.AddTxIn(&wire.TxIn{
			Witness: wire.TxWitness{{}, make([]byte, 64)},
		})
		small.AddTxOut(wire.NewTxOut(5, simScript(1, rng.Uint32())))
		f.Add(simBranch{}.extend([]*wire.MsgTx{small}, 1)[0].raw)
	}

	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := walkAll(raw, newKeySet(), newOutPointSet(), nil)

		var msg wire.MsgBlock
		reader := bytes.NewReader(raw)
		decodeErr := msg.Deserialize(reader)
		if decodeErr != nil || reader.Len() > 0 || !plain(&msg) {
			return
		}

		var again bytes.Buffer
		require.NoError(t, msg.Serialize(&again))
		if !bytes.Equal(raw, again.Bytes()) {
			return
		}
		require.NoError(t, err)
		requireWalk(t, raw, &msg)
	})
}

// plain tells whether a decoded block is one that could be on a chain as far as
// its form goes.
func plain(msg *wire.MsgBlock) bool {
	for _, tx := range msg.Transactions {
		if len(tx.TxIn) == 0 || len(tx.TxOut) == 0 {
			return false
		}
	}

	return len(msg.Transactions) > 0
}
