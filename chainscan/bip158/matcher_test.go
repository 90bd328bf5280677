package bip158

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcutil/gcs"
	"github.com/btcsuite/btcd/btcutil/gcs/builder"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/stretchr/testify/require"
)

// testFilter is a filter and the set that it was built from.
type testFilter struct {
	Filter
	gcs     *gcs.Filter
	scripts [][]byte
}

// newTestFilter builds a filter of some random scripts, and of those given.
func newTestFilter(t testing.TB, rng *rand.Rand, count int,
	more ...[ScriptSize]byte) *testFilter {

	f := &testFilter{}
	copy(f.Block[:], randomBytes(rng, chainhash.HashSize))
	for range count {
		f.scripts = append(f.scripts, randomBytes(rng, 22+rng.IntN(13)))
	}
	for _, script := range more {
		f.scripts = append(f.scripts, bytes.Clone(script[:]))
	}

	var err error
	f.gcs, err = gcs.BuildGCSFilter(
		builder.DefaultP, builder.DefaultM, f.key(), f.scripts,
	)
	require.NoError(t, err)
	f.Data, err = f.gcs.NBytes()
	require.NoError(t, err)

	return f
}

// key returns the filter's key as btcutil wants it.
func (f *testFilter) key() [gcs.KeySize]byte {
	return builder.DeriveKey(&f.Block)
}

// randomScripts returns some scripts.
func randomScripts(rng *rand.Rand, count int) [][ScriptSize]byte {
	scripts := make([][ScriptSize]byte, count)
	for i := range scripts {
		copy(scripts[i][:], randomBytes(rng, ScriptSize))
	}

	return scripts
}

// matches returns the places that a matcher tells, sorted.
func matches(t testing.TB, m *Matcher, scripts [][ScriptSize]byte,
	filters []Filter) []int {

	var found []int
	require.NoError(t, m.Match(NewScripts(scripts), filters,
		func(index int) { found = append(found, index) }))
	slices.Sort(found)

	return found
}

// TestMatchAsBtcutil: over random sets of every size the answer is that of
// btcutil, false positives included, in whatever company a filter is read.
func TestMatchAsBtcutil(t *testing.T) {
	t.Parallel()

	var m Matcher
	for seed := range uint64(80) {
		rng := rand.New(rand.NewPCG(seed, 158))
		scripts := randomScripts(rng, sizeOf(rng, 3_000))

		var (
			filters []Filter
			wanted  []int
		)
		for i := range rng.IntN(12) {
			f := randomFilter(t, rng, scripts)
			filters = append(filters, f.Filter)
			if f.matchAny(t, scripts) {
				wanted = append(wanted, i)
			}
		}
		require.Equal(t, wanted, matches(t, &m, scripts, filters),
			"seed %d", seed)
	}
}

// sizeOf returns a size of any order of magnitude.
func sizeOf(rng *rand.Rand, limit int) int {
	return rng.IntN(1 + rng.IntN(1+rng.IntN(limit)))
}

// randomFilter builds a filter that can have one of some scripts.
func randomFilter(t testing.TB, rng *rand.Rand,
	scripts [][ScriptSize]byte) *testFilter {

	var present [][ScriptSize]byte
	if len(scripts) > 0 && rng.IntN(2) == 0 {
		present = append(present, scripts[rng.IntN(len(scripts))])
	}

	return newTestFilter(t, rng, sizeOf(rng, 6_000), present...)
}

// matchAny asks btcutil. For many scripts its MatchAny drops the upper halves
// of numbers, so that it is asked by its ZipMatchAny.
func (f *testFilter) matchAny(t testing.TB, scripts [][ScriptSize]byte) bool {
	if f.gcs.N() == 0 || len(scripts) == 0 {
		return false
	}

	match, err := f.gcs.ZipMatchAny(f.key(), slicesOf(scripts))
	require.NoError(t, err)

	return match
}

// slicesOf returns scripts as slices.
func slicesOf(scripts [][ScriptSize]byte) [][]byte {
	var all [][]byte
	for i := range scripts {
		all = append(all, scripts[i][:])
	}

	return all
}

// TestMatchLarge: no number is cut off, however large the filter is: scripts
// whose numbers differ in the upper half alone are told apart.
func TestMatchLarge(t *testing.T) {
	t.Parallel()

	var (
		m       Matcher
		rng     = rand.New(rand.NewPCG(4, 2))
		present = randomScripts(rng, 1)
		f       = newTestFilter(t, rng, 60_000, present...)
	)
	require.Equal(t, []int{0}, matches(t, &m, present, []Filter{f.Filter}))

	// Of the range of 47 billion numbers, 32 bits would leave a fourteenth
	// to each of 60,000 elements: one of 3,600 scripts would match.
	require.LessOrEqual(t, len(matches(
		t, &m, randomScripts(rng, 20_000), []Filter{f.Filter},
	)), 1)
	falsePositives := 0
	for range 30 {
		falsePositives += len(matches(
			t, &m, randomScripts(rng, 1_000), []Filter{f.Filter},
		))
	}
	require.LessOrEqual(t, falsePositives, 3)
}

// TestLongQuotient: a filter can have a gap that one load does not hold.
func TestLongQuotient(t *testing.T) {
	t.Parallel()

	var m Matcher
	rng := rand.New(rand.NewPCG(8, 8))
	for quotients := range 150 {
		var (
			filters []Filter
			wanted  []int
			scripts = randomScripts(rng, 2_000)
		)
		for i := range 5 {
			f := newTestFilter(t, rng, 0)
			numbers := gapped(rng, quotients)
			f.Data = encode(numbers)
			filters = append(filters, f.Filter)
			if anyOf(&f.Block, scripts, numbers) {
				wanted = append(wanted, i)
			}
		}
		require.Equal(t, wanted, matches(t, &m, scripts, filters))
	}
}

// TestMalformed: what is not a filter is refused by name, whatever company it
// is in, and wherever it is cut or goes on.
func TestMalformed(t *testing.T) {
	t.Parallel()

	var (
		m       Matcher
		rng     = rand.New(rand.NewPCG(3, 3))
		scripts = NewScripts(randomScripts(rng, 50))
		good    = newTestFilter(t, rng, 500)
		nothing = func(int) {}
	)
	bad := map[string][]byte{
		"nothing":         {},
		"no count":        {0xfd, 1},
		"long count":      {0xfd, 1, 0, 0, 0, 0},
		"longest count":   {0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"too large":       make([]byte, MaxFilterSize+1),
		"count too large": {0xfe, 0xff, 0xff, 0xff, 0xff, 0, 0, 0},
		"behind nothing":  {0, 0},
		"behind":          append(bytes.Clone(good.Data), 0),
		"one more": append(
			[]byte{good.Data[0], good.Data[1] + 1},
			good.Data[2:]...,
		),
		"one less": append(
			[]byte{good.Data[0], good.Data[1] - 1},
			good.Data[2:]...,
		),
		"ones": append(
			[]byte{5}, bytes.Repeat([]byte{0xff}, 90)...,
		),
		"beyond its range": {1, 0xe0, 0, 0},
	}
	for cut := 1; cut < len(good.Data); cut += 50 {
		bad["cut "+string(rune('0'+cut/50))] = good.Data[:cut]
	}

	for name, data := range bad {
		for place := range 6 {
			filters := slices.Repeat([]Filter{good.Filter}, 6)
			filters[place].Data = data
			err := m.Match(scripts, filters, nothing)
			require.ErrorIs(t, err, ErrMalformed, name)

			var malformed *MalformedError
			require.True(t, errors.As(err, &malformed), name)
			require.Equal(t, place, malformed.Index, name)
		}
	}

	// The matcher is of use afterwards.
	require.NoError(t, m.Match(scripts, []Filter{good.Filter}, nothing))
}

// TestAddCount: the count of a filter is found out from its code.
func TestAddCount(t *testing.T) {
	t.Parallel()

	rng := rand.New(rand.NewPCG(7, 7))
	for _, size := range []int{0, 1, 2, 251, 252, 253, 70_000} {
		f := newTestFilter(t, rng, size)
		_, code, err := readCount(f.Data)
		require.NoError(t, err)
		counted, err := AddCount(code)
		require.NoError(t, err)
		require.Equal(t, f.Data, counted)

		if size > 1 {
			_, err = AddCount(append(code, 0xff))
			require.ErrorIs(t, err, ErrMalformed)
		}
	}
}

// TestNoAllocations: once the buffers have their size there are none.
func TestNoAllocations(t *testing.T) {
	var (
		m       Matcher
		rng     = rand.New(rand.NewPCG(5, 5))
		scripts = NewScripts(randomScripts(rng, 200))
		filters []Filter
		found   int
	)
	for range 9 {
		filters = append(filters, newTestFilter(t, rng, 900).Filter)
	}
	matched := func(int) { found++ }

	require.Zero(t, testing.AllocsPerRun(10, func() {
		if err := m.Match(scripts, filters, matched); err != nil {
			t.Error(err)
		}
	}))
}

// FuzzMatch: no bytes make a matcher panic, a well formed filter is never
// refused for its company, and what a filter holds is found.
func FuzzMatch(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, v := range loadVectors(f) {
		f.Add([]byte(v.Filter), uint8(1))
	}
	for _, size := range []int{0, 1, 5, 300} {
		f.Add(newTestFilter(f, rng, size).Data, uint8(size))
	}

	scripts := randomScripts(rng, 20)
	good := newTestFilter(f, rng, 200, scripts[0])
	f.Fuzz(func(t *testing.T, data []byte, place uint8) {
		var m Matcher
		filters := slices.Repeat([]Filter{good.Filter}, 5)
		at := int(place) % 5
		filters[at].Data = data

		found := make(map[int]bool)
		err := m.Match(NewScripts(scripts), filters,
			func(index int) { found[index] = true })

		oracle, numbers := decode(data)
		if !oracle {
			var malformed *MalformedError
			require.True(t, errors.As(err, &malformed))
			require.Equal(t, at, malformed.Index)

			return
		}
		require.NoError(t, err)
		for i := range filters {
			wanted := i != at
			if !wanted {
				wanted = anyOf(
					&filters[i].Block, scripts, numbers,
				)
			}
			require.Equal(t, wanted, found[i])
		}
	})
}
