package chainscan

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/gcs"
	"github.com/btcsuite/btcd/btcutil/gcs/builder"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/btcsuite/btcwallet/chain"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/looprecovery/looprecovery/chainscan/bip158"
	"github.com/stretchr/testify/require"
)

// floorEndToEnd is how many times faster than a loop of btcwallet's
// BlockFilterer a scan by filters must be, on two processors.
const floorEndToEnd = 15

const (
	// endToEndBlocks and endToEndScripts are the size of that scan, and
	// endToEndRounds how often it is measured.
	endToEndBlocks, endToEndScripts, endToEndRounds = 2_000, 200, 7
)

// longFilters is a source of filters over a longSource. A few filters serve all
// blocks: under another block's key the numbers of one are as good as any, none
// of which is a script's but by chance.
type longFilters struct {
	*longSource
	filters [][]byte
	headers []chainhash.Hash
}

// newLongFilters returns the filters of a chain.
func newLongFilters(t *testing.T, source *longSource) *longFilters {
	f := &longFilters{longSource: source}
	rng := rand.New(rand.NewPCG(158, 0))
	for range checkFilters {
		filter, _ := checkFilter(t, rng)
		f.filters = append(f.filters, filter.Data)
	}

	var header chainhash.Hash
	for height := range source.branch {
		header = bip158.Header(f.filter(int32(height)), header)
		f.headers = append(f.headers, header)
	}

	return f
}

// filter returns the filter of a height.
func (f *longFilters) filter(height int32) []byte {
	return f.filters[int(height)%len(f.filters)]
}

// Filters returns the filters of a range of heights.
func (f *longFilters) Filters(_ context.Context, first, last int32) (
	*FilterRange, error) {

	answer := &FilterRange{Committed: true}
	var previous chainhash.Hash
	if first > 0 {
		answer.Previous = f.headers[first-1]
		previous = f.branch[first-1]
	}
	for height := first; height <= last; height++ {
		answer.Blocks = append(answer.Blocks, FilteredBlock{
			Header:       f.header(height, previous),
			Filter:       f.filter(height),
			FilterHeader: f.headers[height],
		})
		previous = f.branch[height]
	}

	return answer, nil
}

// scanFilters scans a chain by its filters for some scripts.
func scanFilters(t *testing.T, source *longFilters, scripts uint32) *Result {
	tuning := defaultTuning()
	tuning.filterMargin = 0
	result, err := run(t.Context(), Config{
		Source:     source,
		Filters:    []FilterSource{source},
		FilterDir:  t.TempDir(),
		Families:   []Family{&simFamily{id: 61}},
		LookAhead:  scripts,
		Checkpoint: NewMemoryCheckpoint(),
	}, tuning)
	require.NoError(t, err)

	return result
}

// checkEndToEnd compares a whole scan by filters, with the checks of the
// filters and the fetching of blocks, with what btcwallet does with the same
// filters and blocks.
func checkEndToEnd(t *testing.T) figure {
	source := newLongFilters(t, newLongSource(endToEndBlocks, checkBlock))
	wanted := peerRequest(t, endToEndScripts)

	var ours, peer []time.Duration
	for range endToEndRounds {
		ours = append(ours, timed(func() {
			scanFilters(t, source, endToEndScripts)
		}))
		peer = append(peer, timed(func() {
			filterBlocks(t, source, wanted)
		}))
	}

	f := figure{
		name: "e2e", floor: floorEndToEnd,
		ours: median(ours) / endToEndBlocks,
		peer: median(peer) / endToEndBlocks,
	}
	f.value = float64(f.peer) / float64(f.ours)

	return f
}

// peerRequest asks btcwallet for a number of addresses.
func peerRequest(t *testing.T, count uint32) *chain.FilterBlocksRequest {
	request := &chain.FilterBlocksRequest{
		ExternalAddrs: make(map[waddrmgr.ScopedIndex]btcutil.Address),
	}
	for index := range count {
		script := simScript(61, index)
		address, err := btcutil.NewAddressTaproot(
			script[2:], &chaincfg.MainNetParams,
		)
		require.NoError(t, err)
		request.ExternalAddrs[waddrmgr.ScopedIndex{
			Scope: waddrmgr.KeyScopeBIP0086, Index: index,
		}] = address
	}

	return request
}

// filterBlocks is btcwallet's FilterBlocks over btcd, with the source in btcd's
// place.
func filterBlocks(t *testing.T, source *longFilters,
	request *chain.FilterBlocksRequest) {

	filterer := chain.NewBlockFilterer(&chaincfg.MainNetParams, request)
	var scripts [][]byte
	for index := range uint32(len(request.ExternalAddrs)) {
		scripts = append(scripts, simScript(61, index))
	}

	for height, hash := range source.branch {
		filter, err := gcs.FromNBytes(
			builder.DefaultP, builder.DefaultM,
			source.filter(int32(height)),
		)
		require.NoError(t, err)
		matched, err := filter.MatchAny(
			builder.DeriveKey(&hash), scripts,
		)
		require.NoError(t, err)
		if !matched {
			continue
		}

		raw, err := source.Block(t.Context(), hash)
		require.NoError(t, err)
		var block wire.MsgBlock
		require.NoError(t, block.Deserialize(bytes.NewReader(raw)))
		filterer.FilterBlock(&block)
	}
}

// measureFilters measures a scan by filters against the number of blocks and of
// scripts.
func measureFilters(t *testing.T, out *tabwriter.Writer) {
	fmt.Fprintf(out, "By filters: %d elements each, from memory; blocks "+
		"of %d bytes\n", checkElements, checkBlock)
	fmt.Fprintln(out, "blocks\tscripts\ttime\tblocks/s\tblocks fetched\t")
	for _, blocks := range []int{10_000, 50_000, 100_000} {
		source := newLongFilters(t, newLongSource(blocks, checkBlock))
		for _, scripts := range []uint32{20, 200, 2_000, 20_000} {
			var result *Result
			spent := timed(func() {
				result = scanFilters(t, source, scripts)
			})
			fmt.Fprintf(out, "%d\t%d\t%v\t%.0f\t%d\t\n", blocks,
				scripts, spent.Round(10*time.Millisecond),
				float64(blocks)/spent.Seconds(),
				result.Coverage.Blocks)
		}
	}
}
