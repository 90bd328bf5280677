package chainscan

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
)

// benchFlag selects TestBench, which takes minutes: see `make bench`.
var benchFlag = flag.Bool("measure", false, "run TestBench")

// The bounds that `make bench` holds the scan to. None is a time: these depend
// on the machine.
const (
	// minRawWalk is how many times faster than decoding and searching a
	// block the walk over its bytes must be.
	minRawWalk = 15

	// minInFlight is the share of the ideal speed-up that a scan must
	// reach.
	minInFlight = 0.9

	// maxResident is the memory of the whole process, in MiB, with
	// memoryBlocks and memoryScripts.
	maxResident                 = 200
	memoryBlocks, memoryScripts = 100_000, 5_000
)

const (
	// benchRounds is how often each speed-up is measured. Other processes
	// only ever take away, so that the best round is held to the bound;
	// all are printed.
	benchRounds = 5

	// benchSize is the size of the blocks in a measurement of many of
	// them, in bytes, and smallBlock that of one with hardly anything.
	benchSize, smallBlock = 20_000, 200
)

// TestBench measures what the scan promises of its speed and memory, prints it
// as tables, and fails if a bound is broken.
func TestBench(t *testing.T) {
	if !*benchFlag {
		t.Skip("takes minutes: make bench")
	}

	out := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ',
		tabwriter.AlignRight)
	for _, measure := range []func(*testing.T, *tabwriter.Writer){
		measureRawWalk, measureInFlight, measureScan, measureFilters,
	} {
		measure(t, out)
		require.NoError(t, out.Flush())
	}
}

// measureRawWalk compares the walk over a block's bytes with what lndclient's
// GetBlock does, decoding the block, and the same search in it. Both take turns
// in one process, and the best of each counts.
func measureRawWalk(t *testing.T, out *tabwriter.Writer) {
	const (
		size, known, turns = 1_600_000, 200, 200
	)
	blk := benchBlock(size)
	walk, decode := searches(t, blk.raw, known)
	allocations := testing.AllocsPerRun(10, walk)

	bestWalk, bestDecode := time.Hour, time.Hour
	for range turns {
		for range 10 {
			bestWalk = min(bestWalk, timed(walk))
		}
		bestDecode = min(bestDecode, timed(decode))
	}
	v, bestVerify := newVerifier(), time.Hour
	for range turns / 10 {
		bestVerify = min(bestVerify, timed(func() {
			require.NoError(t, v.verify(blk.raw, blk.Hash))
		}))
	}
	ratio := float64(bestDecode) / float64(bestWalk)

	fmt.Fprintf(out, "Raw walk: a block of %d bytes, %d transactions, %d "+
		"scripts and %[3]d outpoints known\n", len(blk.raw),
		len(blk.ids), known)
	fmt.Fprintln(out, "walk\tallocations\tdecode and search\tratio\tbound"+
		"\tcheck of the hashes\t")
	fmt.Fprintf(out, "%v\t%.0f\t%v\t%.1f\t%d\t%v\t\n\n", micros(bestWalk),
		allocations, micros(bestDecode), ratio, minRawWalk,
		micros(bestVerify))
	require.Zero(t, allocations)
	require.GreaterOrEqual(t, ratio, float64(minRawWalk))
}

// searches returns two ways to look for a number of scripts and outpoints in a
// block that has none of them: a walk over its bytes, and decoding it.
func searches(t *testing.T, raw []byte, known uint32) (walk, decode func()) {
	scripts := make(map[string]struct{})
	for index := range known {
		scripts[string(simScript(1, index))] = struct{}{}
	}
	points := make(map[wire.OutPoint]struct{})
	for _, point := range knownPoints(known) {
		points[point] = struct{}{}
	}

	walkOne := walkFor(t, known)
	walk = func() { walkOne(raw) }
	decode = func() {
		if decodeAndSearch(t, raw, scripts, points) {
			t.Fatal("a match")
		}
	}

	return walk, decode
}

// walkFor returns a walk over a block's bytes that looks for a number of
// scripts and outpoints.
func walkFor(t *testing.T, known uint32) func(raw []byte) {
	keys, spends := newKeySet(), newOutPointSet()
	for index := range known {
		script := simScript(1, index)
		keys.add([keySize]byte(script[2:]), ScriptID{Index: index})
	}
	for _, point := range knownPoints(known) {
		spends.add(point)
	}

	w := &walker{keys: keys, spends: spends}
	none := func(*rawTx) {}

	return func(raw []byte) {
		if err := w.walk(raw, none); err != nil {
			t.Fatal(err)
		}
	}
}

// knownPoints returns a number of outpoints.
func knownPoints(known uint32) []wire.OutPoint {
	rng := rand.New(rand.NewPCG(1, 1))
	points := make([]wire.OutPoint, known)
	for i := range points {
		binary.LittleEndian.PutUint64(points[i].Hash[:], rng.Uint64())
	}

	return points
}

// timed returns the time that a function takes.
func timed(f func()) time.Duration {
	began := time.Now()
	f()

	return time.Since(began)
}

// micros rounds a time for a table.
func micros(d time.Duration) time.Duration {
	return d.Round(time.Microsecond)
}

// decodeAndSearch decodes a block and searches it.
func decodeAndSearch(t *testing.T, raw []byte, scripts map[string]struct{},
	points map[wire.OutPoint]struct{}) bool {

	var msg wire.MsgBlock
	if err := msg.Deserialize(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
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

// measureInFlight measures how much of the source's parallelism a scan makes
// use of. The speed-up is the time that fetching the same blocks one call after
// another takes, over that of the whole scan. The source works on no more than
// a number of calls at the same time, its cap, so that no client whatever can
// be faster than cap times the serial one: that is the ideal. All that the scan
// needs counts against it: the time until it has found out the cap, the checks
// of the blocks, the walk, the commits. How much of the ideal this machine
// allows at all is what a bare client reaches, which knows the cap beforehand
// and does nothing with the blocks: with calls of a millisecond, timers and
// scheduling take some of it from anybody. It is printed beside.
func measureInFlight(t *testing.T, out *tabwriter.Writer) {
	fmt.Fprintf(out, "In flight: speed-up against one call after another, "+
		"%d rounds\n", benchRounds)
	fmt.Fprintln(out, "a call takes\tcap = ideal\tblocks\tspeed-up min\t"+
		"median\tmax\tof ideal min\tmedian\tmax\tbare client\tof bare "+
		"max\tbound\t")

	var best []float64
	for _, test := range []struct {
		latency        time.Duration
		limit, seconds int
	}{
		{time.Millisecond, 16, 4},
		{20 * time.Millisecond, 32, 6},
		{80 * time.Millisecond, 32, 12},
	} {
		blocks := test.seconds * test.limit *
			int(time.Second/(2*test.latency))
		speedUps, bare := speedUps(t, &slowSource{
			Source:  newLongSource(blocks, smallBlock),
			latency: test.latency,
			cap:     make(chan struct{}, test.limit),
		}, blocks)

		ideal := float64(test.limit)
		least, median, most := speedUps[0],
			speedUps[benchRounds/2], speedUps[benchRounds-1]
		fmt.Fprintf(out, "%v\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t"+
			"%.2f\t%.2f\t%.2f\t%.2f\t\n", test.latency, test.limit,
			blocks, least, median, most, least/ideal, median/ideal,
			most/ideal, bare/ideal, most/bare, minInFlight)
		best = append(best, most/ideal)
	}
	fmt.Fprintln(out)
	require.NoError(t, out.Flush())
	require.GreaterOrEqual(t, slices.Min(best), minInFlight)
}

// speedUps returns the speed-ups of some scans, sorted, and that of a bare
// client.
func speedUps(t *testing.T, source *slowSource, blocks int) ([]float64,
	float64) {

	var result []float64
	for range benchRounds {
		serial := serialTime(t, source, blocks)
		spent := timed(func() { scanAll(t, source, 1) })
		serial += serialTime(t, source, blocks)
		result = append(result, float64(serial)/2/float64(spent))
	}
	slices.Sort(result)

	serial := serialTime(t, source, blocks)
	bare := timed(func() { fetchBare(t, source, blocks) })

	return result, float64(serial) / float64(bare)
}

// serialTime returns the time that fetching so many blocks one after another
// would take, from a sample.
func serialTime(t *testing.T, source *slowSource, blocks int) time.Duration {
	sample := max(10, int(500*time.Millisecond/source.latency))
	took := timed(func() {
		for height := range int32(sample) {
			fetchOne(t, source, height)
		}
	})

	return took * time.Duration(blocks) / time.Duration(sample)
}

// fetchOne asks for one block.
func fetchOne(t *testing.T, source Source, height int32) {
	hash, err := source.BlockHash(t.Context(), height)
	if err == nil {
		_, err = source.Block(t.Context(), hash)
	}
	if err != nil {
		t.Error(err)
	}
}

// fetchBare asks for all blocks and does nothing with them, on twice as many
// goroutines as the source works on calls at the same time.
func fetchBare(t *testing.T, source *slowSource, blocks int) {
	var (
		group sync.WaitGroup
		next  atomic.Int32
	)
	for range 2 * cap(source.cap) {
		group.Go(func() {
			for {
				height := next.Add(1) - 1
				if height >= int32(blocks) {
					return
				}
				fetchOne(t, source, height)
			}
		})
	}
	group.Wait()
}

// scanAll scans a whole chain for the scripts of a family.
func scanAll(t *testing.T, source Source, scripts uint32) {
	_, err := Run(context.Background(), Config{
		Source:     source,
		Families:   []Family{&simFamily{id: 61}},
		LookAhead:  scripts,
		Checkpoint: NewMemoryCheckpoint(),
	})
	require.NoError(t, err)
}

// measureScan measures a scan from a source that has every block at once,
// against the number of blocks and of scripts, and the memory that it takes at
// its height: that of the scan alone, and that of the whole process with the
// source in it.
func measureScan(t *testing.T, out *tabwriter.Writer) {
	fmt.Fprintf(out, "Time and memory: blocks of %d bytes, from memory\n",
		benchSize)
	fmt.Fprintln(out, "blocks\tscripts\ttime\tblocks/s\tscan MiB\t"+
		"process MiB\tbound\t")
	for _, size := range []struct {
		blocks  int
		scripts uint32
	}{
		{1_000, 20}, {10_000, 20}, {memoryBlocks, 20},
		{1_000, 500}, {10_000, 500}, {memoryBlocks, 500},
		{1_000, memoryScripts}, {10_000, memoryScripts},
		{memoryBlocks, memoryScripts},
	} {
		source := newLongSource(size.blocks, benchSize)
		debug.FreeOSMemory()
		before := resident(t, "VmRSS")
		require.NoError(t, os.WriteFile(
			"/proc/self/clear_refs", []byte("5"), 0,
		))
		spent := timed(func() { scanAll(t, source, size.scripts) })
		peak := resident(t, "VmHWM")
		runtime.KeepAlive(source)

		fmt.Fprintf(out, "%d\t%d\t%v\t%.0f\t%.0f\t%.0f\t%d\t\n",
			size.blocks, size.scripts,
			spent.Round(time.Millisecond),
			float64(size.blocks)/spent.Seconds(), peak-before, peak,
			maxResident)
		require.Less(t, peak, float64(maxResident))
	}
}

// resident returns a line of the process's memory status, in MiB.
func resident(t *testing.T, field string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("needs the proc file system")
	}

	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)

			return float64(n) / 1024
		}
	}
	t.Fatal("no " + field)

	return 0
}
