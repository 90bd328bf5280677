package chainscan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/btcsuite/btcd/btcutil/gcs"
	"github.com/btcsuite/btcd/btcutil/gcs/builder"
	"github.com/looprecovery/looprecovery/chainscan/bip158"
	"github.com/stretchr/testify/require"
)

// The floors that `make bench-check` holds the scan to: ratios to a peer that
// takes turns with it in the same process, none of them a time.
const (
	// floorMatch20, floorMatch200 and floorMatch2000 are how many times
	// faster than btcutil's MatchAny filters must be asked for so many
	// scripts.
	floorMatch20, floorMatch200, floorMatch2000 = 9, 8, 6

	// floorWalk is the share of the rate at which the machine copies a
	// block that the walk over its bytes must reach.
	floorWalk = 0.5
)

const (
	// checkRounds is how often each figure is measured; the median counts.
	checkRounds = 31

	// checkElements is the number of elements of a filter: that of a full
	// block of mainnet, rounded up. checkFilters are asked in turn, so
	// that the processor learns none of them by heart.
	checkElements, checkFilters = 12_000, 32

	// checkBlock is the size of the block that is walked, in bytes, and
	// checkTurns how often in each round.
	checkBlock, checkTurns = 1_600_000, 20
)

// figure is a measured ratio.
type figure struct {
	name  string
	value float64
	floor float64

	// ours and peer are the medians for one filter or block.
	ours, peer time.Duration
}

// TestBenchCheck measures the ratios, prints them, and fails below a floor.
func TestBenchCheck(t *testing.T) {
	if !*benchFlag {
		t.Skip("takes minutes: make bench-check")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(400))

	figures := []figure{
		checkMatch(t, 20, floorMatch20),
		checkMatch(t, 200, floorMatch200),
		checkMatch(t, 2_000, floorMatch2000),
		checkWalk(t),
		checkEndToEnd(t),
	}
	printFigures(t, figures)
	for _, f := range figures {
		require.GreaterOrEqual(t, f.value, f.floor, f.name)
	}
}

// printFigures prints a table and the line that scripts read.
func printFigures(t *testing.T, figures []figure) {
	fmt.Printf("%s, %s/%s, GOAMD64=%s; medians of %d rounds, of "+
		"processor time but for e2e\n", runtime.Version(),
		runtime.GOOS, runtime.GOARCH,
		buildLevel(), checkRounds)

	out := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ',
		tabwriter.AlignRight)
	fmt.Fprintln(out, "figure\tours\tpeer\tratio\tfloor\t")
	var line []string
	for _, f := range figures {
		fmt.Fprintf(out, "%s\t%v\t%v\t%.2f\t%.2f\t\n", f.name,
			f.ours.Round(100*time.Nanosecond),
			f.peer.Round(100*time.Nanosecond), f.value, f.floor)
		line = append(line, fmt.Sprintf("%s=%.2f", f.name, f.value))
	}
	require.NoError(t, out.Flush())
	fmt.Println("bench: " + strings.Join(line, " "))
}

// buildLevel returns the GOAMD64 of this build.
func buildLevel() string {
	info, _ := debug.ReadBuildInfo()
	for _, setting := range info.Settings {
		if setting.Key == "GOAMD64" {
			return setting.Value
		}
	}

	return "none"
}

// checkMatch compares asking filters for some scripts, none of which they have,
// with btcutil's MatchAny.
func checkMatch(t *testing.T, count int, floor float64) figure {
	rng := rand.New(rand.NewPCG(158, uint64(count)))
	var (
		ours  []bip158.Filter
		peers []*gcs.Filter
		keys  [][gcs.KeySize]byte
	)
	for range checkFilters {
		filter, peer := checkFilter(t, rng)
		ours, peers = append(ours, filter), append(peers, peer)
		keys = append(keys, builder.DeriveKey(&filter.Block))
	}

	var (
		arrays [][bip158.ScriptSize]byte
		slices [][]byte
	)
	for index := range count {
		script := simScript(1, uint32(index))
		slices = append(slices, script)
		arrays = append(arrays, [bip158.ScriptSize]byte(script))
	}

	var m bip158.Matcher
	set, matched := bip158.NewScripts(arrays), func(int) {}
	match := func() {
		require.NoError(t, m.Match(set, ours, matched))
	}
	matchAny := func() {
		for i, peer := range peers {
			_, err := peer.MatchAny(keys[i], slices)
			require.NoError(t, err)
		}
	}
	require.Zero(t, testing.AllocsPerRun(3, match))

	f := compare(match, matchAny, checkFilters)
	f.name, f.floor = fmt.Sprintf("match%d", count), floor
	f.value = float64(f.peer) / float64(f.ours)

	return f
}

// checkFilter returns a filter of random scripts, as ours and as btcutil's.
func checkFilter(t *testing.T, rng *rand.Rand) (bip158.Filter, *gcs.Filter) {
	var filter bip158.Filter
	for i := range filter.Block {
		filter.Block[i] = byte(rng.Uint32())
	}
	var scripts [][]byte
	for range checkElements {
		script := make([]byte, bip158.ScriptSize)
		binary.LittleEndian.PutUint64(script, rng.Uint64())
		scripts = append(scripts, script)
	}

	peer, err := gcs.BuildGCSFilter(
		builder.DefaultP, builder.DefaultM,
		builder.DeriveKey(&filter.Block), scripts,
	)
	require.NoError(t, err)
	filter.Data, err = peer.NBytes()
	require.NoError(t, err)

	return filter, peer
}

// checkWalk compares the walk over a block's bytes with copying them. The block
// is one of many, and so is what it is copied to, so that neither is in the
// processor's caches: a node's answer is not, either.
func checkWalk(t *testing.T) figure {
	const known, copies = 200, checkTurns
	raw := benchBlock(checkBlock).raw
	var blocks [][]byte
	for range copies {
		blocks = append(blocks, bytes.Clone(raw))
	}
	walkOne := walkFor(t, known)
	targets := make([][]byte, copies)
	for i := range targets {
		targets[i] = make([]byte, len(raw))
	}

	walk := func() {
		for _, block := range blocks {
			walkOne(block)
		}
	}
	copyAll := func() {
		for i, block := range blocks {
			copy(targets[i], block)
		}
	}
	require.Zero(t, testing.AllocsPerRun(3, walk))

	f := compare(walk, copyAll, copies)
	f.name, f.floor = "walk", floorWalk
	f.value = float64(f.peer) / float64(f.ours)

	return f
}

// compare lets two functions take turns and returns the medians of the
// processor time that each takes for one of a number of items.
func compare(ours, peer func(), items int) figure {
	var oursTimes, peerTimes []time.Duration
	for range checkRounds {
		oursTimes = append(oursTimes, threadTime(ours))
		peerTimes = append(peerTimes, threadTime(peer))
	}

	return figure{
		ours: median(oursTimes) / time.Duration(items),
		peer: median(peerTimes) / time.Duration(items),
	}
}

// median returns the middle one of some times, which it sorts.
func median(times []time.Duration) time.Duration {
	slices.Sort(times)

	return times[len(times)/2]
}

// threadTime returns the processor time that a function takes on this thread,
// in which other processes do not count.
func threadTime(f func()) time.Duration {
	before := threadClock()
	f()

	return threadClock() - before
}
