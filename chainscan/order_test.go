package chainscan

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestOrderOfDiscovery: whatever is known first, the result and its evidence
// are the same: the families come in another order, the scan derives and
// remembers more or less ahead, and saves more or less often. If this breaks,
// two restores of one client disagree about its money.
func TestOrderOfDiscovery(t *testing.T) {
	t.Parallel()

	const seeds, orders = 60, 4
	found := 0
	for seed := range uint64(seeds) {
		sim := newSimulation(seed)
		branch := sim.grow(*sim.genesis(), 60).branch
		rng := rand.New(rand.NewPCG(seed, 0x0d3))

		var first *Result
		for range orders {
			families := slices.Clone(sim.families)
			rng.Shuffle(len(families), func(i, k int) {
				families[i], families[k] = families[k],
					families[i]
			})
			result, err := run(t.Context(), Config{
				Source:     newSimSource(branch),
				Families:   families,
				Birthday:   sim.birthday,
				LookAhead:  sim.lookAhead,
				Checkpoint: NewMemoryCheckpoint(),
			}, randomTuning(rng))
			require.NoError(t, err)

			slices.SortFunc(result.Coverage.Families,
				func(a, b FamilyCoverage) int {
					return cmp.Compare(a.Family, b.Family)
				})
			if first == nil {
				first = result
				found += len(result.Outputs)
			}
			require.True(t, equalOutputs(
				first.Outputs, result.Outputs,
			), "seed %d", seed)
			require.Equal(t, first.Coverage.Families,
				result.Coverage.Families, "seed %d", seed)
		}
	}
	require.Greater(t, found, seeds)
}

// TestEachPairOnce: a script that becomes known late is tested against every
// block before it, from the record, and none is tested against a block twice.
// Only if the record was full is another pass needed, and then at most once in
// each. If this breaks, deposits are missed or blocks are read in vain.
func TestEachPairOnce(t *testing.T) {
	t.Parallel()

	type pair struct {
		script ScriptID
		height int32
	}
	const seeds = 120
	late, repeated := 0, 0
	for seed := range uint64(seeds) {
		sim := newSimulation(seed)
		branch := sim.grow(*sim.genesis(), 60).branch
		tuning := randomTuning(rand.New(rand.NewPCG(seed, 0x0ce)))

		tested := make(map[pair]int)
		tuning.tested = func(keys *keySet, first, last int32) {
			for _, script := range keys.scripts {
				for height := first; height <= last; height++ {
					tested[pair{script, height}]++
				}
			}
			if first < last {
				late += len(keys.scripts)
			}
		}
		result, err := run(t.Context(), Config{
			Source:     newSimSource(branch),
			Families:   sim.families,
			Birthday:   sim.birthday,
			LookAhead:  sim.lookAhead,
			Checkpoint: NewMemoryCheckpoint(),
		}, tuning)
		require.NoError(t, err)

		coverage := result.Coverage
		for pair, times := range tested {
			if times > int(coverage.Passes) {
				t.Fatalf("seed %d: %v was tested %d times in "+
					"%d passes", seed, pair, times,
					coverage.Passes)
			}
			repeated += times - 1
		}
		for _, family := range coverage.Families {
			first := uint32(0)
			if family.Fixed {
				first = family.Tested - 1
			}
			for index := first; index < family.Tested; index++ {
				script := ScriptID{family.Family, index}
				for height := coverage.Birthday; height <=
					coverage.Tip.Height; height++ {

					if tested[pair{script, height}] == 0 {
						t.Fatalf("seed %d: %v was "+
							"not tested against "+
							"block %d", seed,
							script, height)
					}
				}
			}
		}
	}
	require.Greater(t, late, seeds)
	require.Positive(t, repeated)
}

// pairedFamily derives a script only while it derives another one, too.
type pairedFamily struct {
	simFamily

	meet chan struct{}
}

// Script waits for another call.
func (f *pairedFamily) Script(index uint32) ([]byte, error) {
	select {
	case f.meet <- struct{}{}:
	case <-f.meet:
	}

	return f.simFamily.Script(index)
}

// TestDeriveInParallel: scripts are derived on several goroutines, since each
// costs a key aggregation and thousands can be needed, and before anybody waits
// for one.
func TestDeriveInParallel(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		const count = 10
		family := &pairedFamily{
			simFamily: simFamily{id: 61},
			meet:      make(chan struct{}),
		}
		d := newDeriver(family, make(chan struct{}, 2))

		var group sync.WaitGroup
		d.ensure(t.Context(), &group, count)
		group.Wait()
		for index := range uint32(count) {
			key, err := d.key(t.Context(), index)
			require.NoError(t, err)
			require.Equal(t, simScript(61, index),
				outputScript(key))
		}
	})
}
