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
