package bip158

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchElements is the number of elements of a filter in the benchmarks: that
// of a full block of mainnet.
const benchElements = 12_000

// benchFilters is how many filters the benchmarks ask in turn, so that no
// processor learns one by heart.
const benchFilters = 32

// BenchmarkMatch measures the time for one filter, of which none matches, and
// beside it that of btcutil's MatchAny.
func BenchmarkMatch(b *testing.B) {
	rng := rand.New(rand.NewPCG(158, 158))
	var (
		tests   []*testFilter
		filters []Filter
	)
	for range benchFilters {
		f := newTestFilter(b, rng, benchElements)
		tests, filters = append(tests, f), append(filters, f.Filter)
	}

	for _, count := range []int{20, 200, 2_000} {
		scripts := randomScripts(rng, count)
		b.Run(fmt.Sprintf("ours/%d", count), func(b *testing.B) {
			benchOurs(b, scripts, filters)
		})
		b.Run(fmt.Sprintf("btcutil/%d", count), func(b *testing.B) {
			benchBtcutil(b, scripts, tests)
		})
	}
}

// benchOurs measures a Matcher.
func benchOurs(b *testing.B, scripts [][ScriptSize]byte, filters []Filter) {
	var m Matcher
	set := NewScripts(scripts)
	matched := func(int) {}

	b.ReportAllocs()
	for i := 0; i < b.N; i += len(filters) {
		if err := m.Match(set, filters, matched); err != nil {
			b.Fatal(err)
		}
	}
}

// benchBtcutil measures MatchAny.
func benchBtcutil(b *testing.B, scripts [][ScriptSize]byte,
	filters []*testFilter) {

	all := slicesOf(scripts)

	b.ReportAllocs()
	for i := range b.N {
		f := filters[i%len(filters)]
		if _, err := f.gcs.MatchAny(f.key(), all); err != nil {
			b.Fatal(err)
		}
	}
}
