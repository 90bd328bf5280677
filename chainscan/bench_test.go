package chainscan

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
)

// benchTx returns a transaction like those of mainnet.
func benchTx(rng *rand.Rand) *wire.MsgTx {
	random := func(size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}

		return b
	}

	tx := wire.NewMsgTx(2)
	for range 1 + rng.IntN(4) {
		in := &wire.TxIn{Sequence: ^uint32(1)}
		copy(in.PreviousOutPoint.Hash[:], random(32))
		in.PreviousOutPoint.Index = rng.Uint32N(4)
		switch rng.IntN(10) {
		case 0:
			in.SignatureScript = random(107)
		case 1, 2, 3:
			in.Witness = wire.TxWitness{random(64)}
		case 4:
			in.Witness = wire.TxWitness{
				random(64), random(rng.IntN(1_000)), random(33),
			}
		default:
			in.Witness = wire.TxWitness{random(72), random(33)}
		}
		tx.AddTxIn(in)
	}
	for range 1 + rng.IntN(4) {
		script := append([]byte{0x00, 0x14}, random(20)...)
		switch rng.IntN(10) {
		case 0:
			script = append([]byte{0x6a, 0x20}, random(32)...)
		case 1, 2, 3, 4:
			script = append([]byte{0x51, 0x20}, random(32)...)
		}
		tx.AddTxOut(wire.NewTxOut(rng.Int64N(1e8), script))
	}

	return tx
}

// benchBlock returns a block of about the given number of bytes.
func benchBlock(size int) *simBlock {
	rng := rand.New(rand.NewPCG(21, 42))
	var txs []*wire.MsgTx
	for size > 0 {
		tx := benchTx(rng)
		txs = append(txs, tx)
		size -= tx.SerializeSize()
	}

	return simBranch{}.extend(txs, 0)[0]
}

// BenchmarkRawWalk compares the walk over a block's bytes with what lndclient's
// GetBlock does, decoding the block, and the same search in it. Both take turns
// in one process; "ratio" is the decoder's time over the walk's.
func BenchmarkRawWalk(b *testing.B) {
	blk := benchBlock(1_600_000)

	const known = 200
	rng := rand.New(rand.NewPCG(1, 1))
	keys, spends := newKeySet(), newOutPointSet()
	scripts := make(map[string]struct{})
	points := make(map[wire.OutPoint]struct{})
	for index := range uint32(known) {
		script := simScript(1, index)
		keys.add([keySize]byte(script[2:]), ScriptID{Index: index})
		scripts[string(script)] = struct{}{}

		var point wire.OutPoint
		binary.LittleEndian.PutUint64(point.Hash[:], rng.Uint64())
		spends.add(point)
		points[point] = struct{}{}
	}
	w := &walker{keys: keys, spends: spends}

	walk := func() {
		if err := w.walk(blk.raw, func(*rawTx) {}); err != nil {
			b.Fatal(err)
		}
	}
	decode := func() {
		if decodeAndSearch(b, blk.raw, scripts, points) {
			b.Fatal("a match")
		}
	}
	require.Zero(b, testing.AllocsPerRun(10, walk))

	// The best of each turn: other processes only ever add time.
	bestWalk, bestDecode := time.Hour, time.Hour
	for b.Loop() {
		for range 10 {
			bestWalk = min(bestWalk, timed(walk))
		}
		bestDecode = min(bestDecode, timed(decode))
	}

	v := newVerifier()
	bestVerify := time.Hour
	for range 20 {
		bestVerify = min(bestVerify, timed(func() {
			require.NoError(b, v.verify(blk.raw, blk.Hash))
		}))
	}

	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(bestWalk.Microseconds()), "walk-µs")
	b.ReportMetric(float64(bestDecode.Microseconds()), "decode-µs")
	b.ReportMetric(float64(bestVerify.Microseconds()), "verify-µs")
	b.ReportMetric(float64(bestDecode)/float64(bestWalk), "ratio")
}

// timed returns the time that a function takes.
func timed(f func()) time.Duration {
	began := time.Now()
	f()

	return time.Since(began)
}

// decodeAndSearch decodes a block and searches it.
func decodeAndSearch(b *testing.B, raw []byte, scripts map[string]struct{},
	points map[wire.OutPoint]struct{}) bool {

	var msg wire.MsgBlock
	if err := msg.Deserialize(bytes.NewReader(raw)); err != nil {
		b.Fatal(err)
	}

	for _, tx := range msg.Transactions {
		for _, in := range tx.TxIn {
			if _, ok := points[in.PreviousOutPoint]; ok {
				return true
			}
		}
		for _, out := range tx.TxOut {
			if _, ok := scripts[string(out.PkScript)]; ok {
				return true
			}
		}
	}

	return false
}

// BenchmarkInFlight measures how much of the source's parallelism a scan makes
// use of: "speed-up" is against one call after another, and "of-ideal" that
// over the number of calls that the source takes at the same time.
func BenchmarkInFlight(b *testing.B) {
	for _, test := range []struct {
		latency        time.Duration
		limit, seconds int
	}{
		{time.Millisecond, 16, 4},
		{20 * time.Millisecond, 32, 6},
		{80 * time.Millisecond, 32, 12},
	} {
		b.Run(test.latency.String(), func(b *testing.B) {
			blocks := test.seconds * test.limit *
				int(time.Second/(2*test.latency))
			branch := emptyBranch(blocks, 100)

			var serial, spent time.Duration
			for b.Loop() {
				source := newSlowSource(
					branch, test.latency, test.limit,
				)
				serial += serialTime(b, source, blocks)
				spent += timed(func() { scanAll(b, source, 1) })
			}

			speedUp := float64(serial) / float64(spent)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(speedUp, "speed-up")
			b.ReportMetric(speedUp/float64(test.limit), "of-ideal")
			b.ReportMetric(float64(blocks), "blocks")
		})
	}
}

// serialTime returns the time that fetching so many blocks one after another
// would take, from a sample.
func serialTime(b *testing.B, source *slowSource, blocks int) time.Duration {
	const sample = 20

	ctx := context.Background()
	took := timed(func() {
		for height := range int32(sample) {
			hash, err := source.BlockHash(ctx, height)
			require.NoError(b, err)
			_, err = source.Block(ctx, hash)
			require.NoError(b, err)
		}
	})

	return took * time.Duration(blocks) / sample
}

// scanAll scans a whole chain for the scripts of a family.
func scanAll(b *testing.B, source Source, scripts uint32) *Result {
	result, err := Run(context.Background(), Config{
		Source:     source,
		Families:   []Family{&simFamily{id: 61}},
		LookAhead:  scripts,
		Checkpoint: NewMemoryCheckpoint(),
	})
	require.NoError(b, err)

	return result
}

// longSource is a chain of many blocks that are made when asked for: all of the
// same transactions, but for the coinbase.
type longSource struct {
	template []byte
	branch   []chainhash.Hash
	merkle   []chainhash.Hash
	previous map[chainhash.Hash]int32
	lockAt   int
}

// newLongSource returns a chain of blocks of about the given size.
func newLongSource(blocks, size int) *longSource {
	blk := benchBlock(size)
	s := &longSource{
		template: blk.raw,
		previous: make(map[chainhash.Hash]int32),
	}

	// The coinbase's lock time tells the blocks apart; the rest of the
	// merkle tree stays.
	s.lockAt = headerSize + varIntSize(len(blk.msg.Transactions)) +
		blk.msg.Transactions[0].SerializeSize() - 4
	path := merklePath(blk.msg)
	coinbase := *blk.msg.Transactions[0]

	var previous chainhash.Hash
	for height := range blocks {
		coinbase.LockTime = uint32(height)
		root := coinbase.TxHash()
		for _, sibling := range path {
			root = chainhash.DoubleHashH(
				append(root[:], sibling[:]...),
			)
		}
		s.merkle = append(s.merkle, root)

		header := s.header(int32(height), previous)
		previous = chainhash.DoubleHashH(header)
		s.branch = append(s.branch, previous)
		s.previous[previous] = int32(height)
	}

	return s
}

// varIntSize returns the size of a count in a block.
func varIntSize(n int) int {
	return wire.VarIntSerializeSize(uint64(n))
}

// merklePath returns the siblings of the coinbase, from the leaves up.
func merklePath(msg *wire.MsgBlock) []chainhash.Hash {
	var ids, path []chainhash.Hash
	for _, tx := range msg.Transactions {
		ids = append(ids, tx.TxHash())
	}
	for len(ids) > 1 {
		path = append(path, ids[1])
		var next []chainhash.Hash
		for i := 0; i < len(ids); i += 2 {
			right := ids[min(i+1, len(ids)-1)]
			next = append(next, chainhash.DoubleHashH(
				append(bytes.Clone(ids[i][:]), right[:]...),
			))
		}
		ids = next
	}

	return path
}

// header returns the header of a height.
func (s *longSource) header(height int32, previous chainhash.Hash) []byte {
	header := bytes.Clone(s.template[:headerSize])
	copy(header[4:], previous[:])
	copy(header[36:], s.merkle[height][:])

	return header
}

// Name names the source.
func (s *longSource) Name() string { return "long" }

// BestBlock returns the tip.
func (s *longSource) BestBlock(context.Context) (BlockStamp, error) {
	last := len(s.branch) - 1

	return BlockStamp{Height: int32(last), Hash: s.branch[last]}, nil
}

// BlockHash returns the hash of a height.
func (s *longSource) BlockHash(_ context.Context, height int32) (
	chainhash.Hash, error) {

	return s.branch[height], nil
}

// Block makes a block.
func (s *longSource) Block(_ context.Context, hash chainhash.Hash) ([]byte,
	error) {

	height, ok := s.previous[hash]
	if !ok {
		return nil, errors.New("no such block")
	}

	var previous chainhash.Hash
	if height > 0 {
		previous = s.branch[height-1]
	}
	raw := bytes.Clone(s.template)
	copy(raw, s.header(height, previous))
	binary.LittleEndian.PutUint32(raw[s.lockAt:], uint32(height))

	return raw, nil
}

// BenchmarkScan measures a scan from an endless source against the number of
// blocks and of scripts, and the memory that it takes at its height, without
// that of the source.
func BenchmarkScan(b *testing.B) {
	for _, size := range []struct {
		blocks  int
		scripts uint32
	}{
		{1_000, 20}, {10_000, 20}, {100_000, 20},
		{10_000, 500}, {10_000, 5_000}, {100_000, 5_000},
	} {
		name := fmt.Sprintf("blocks=%d/scripts=%d", size.blocks,
			size.scripts)
		b.Run(name, func(b *testing.B) {
			source := newLongSource(size.blocks, 20_000)
			runtime.GC()
			before := residentKiB(b, "VmRSS")
			require.NoError(b, os.WriteFile(
				"/proc/self/clear_refs", []byte("5"), 0,
			))

			var spent time.Duration
			for b.Loop() {
				spent += timed(func() {
					scanAll(b, source, size.scripts)
				})
			}

			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(size.blocks*b.N)/
				spent.Seconds(), "blocks/s")
			b.ReportMetric(float64(
				residentKiB(b, "VmHWM")-before,
			)/1024, "MiB")
		})
	}
}

// residentKiB returns a line of the process's memory status.
func residentKiB(b *testing.B, field string) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("needs the proc file system")
	}

	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(b, err)

			return n
		}
	}
	b.Fatal("no " + field)

	return 0
}
