package chainscan

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/stretchr/testify/require"
)

// oddSource is a source of blocks that does something else.
type oddSource struct {
	name  string
	calls atomic.Int32
	block func(ctx context.Context) ([]byte, error)
}

// Name names the source.
func (o *oddSource) Name() string { return o.name }

// Block does what the source does.
func (o *oddSource) Block(ctx context.Context, _ chainhash.Hash) ([]byte,
	error) {

	o.calls.Add(1)

	return o.block(ctx)
}

// TestBlockSources: a source that lies, fails, hangs or has pruned the block
// does not keep the next one from being asked, and only what every source lacks
// is missing.
func TestBlockSources(t *testing.T) {
	t.Parallel()

	branch := simBranch{}.extend(nil, 0).extend(nil, 1)
	for name, test := range map[string]struct {
		block func(ctx context.Context) ([]byte, error)
		aside bool
	}{
		"lies": {
			block: func(context.Context) ([]byte, error) {
				return branch[0].raw, nil
			},
			aside: true,
		},
		"fails": {
			block: func(context.Context) ([]byte, error) {
				return nil, errInjected
			},
			aside: true,
		},
		"hangs": {
			block: func(ctx context.Context) ([]byte, error) {
				<-ctx.Done()

				return nil, ctx.Err()
			},
			aside: true,
		},
		"has pruned it": {
			block: func(context.Context) ([]byte, error) {
				return nil, ErrUnavailable
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			synctest.Test(t, func(t *testing.T) {
				testOddSource(t, &oddSource{
					name: "odd", block: test.block,
				}, branch, test.aside)
			})
		})
	}
}

// testOddSource asks for blocks of which one source gives none.
func testOddSource(t *testing.T, odd *oddSource, branch simBranch,
	aside bool) {

	source := newSimSource(branch)
	nodes := newBlockSources(&Config{
		Source: source, Blocks: []BlockSource{odd},
	})
	fetch := func() ([]byte, error) {
		return nodes.fetch(t.Context(), branch[1].Hash, newVerifier())
	}

	for range 3 {
		raw, err := fetch()
		require.NoError(t, err)
		require.Equal(t, branch[1].raw, raw)
	}
	if aside {
		require.EqualValues(t, 1, odd.calls.Load())
	} else {
		require.EqualValues(t, 3, odd.calls.Load())
	}

	source.pruned[1] = true
	_, err := fetch()
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, source.Name())
	if !aside {
		require.ErrorContains(t, err, odd.name)
	}
}

// TestMissingIsNotPassing: a block that one source lacks and another cannot
// give just now is waited for.
func TestMissingIsNotPassing(t *testing.T) {
	t.Parallel()

	source := newSimSource(simBranch{}.extend(nil, 0))
	source.onCall = func(int) error { return errInjected }
	nodes := newBlockSources(&Config{
		Source: source,
		Blocks: []BlockSource{&oddSource{
			block: func(context.Context) ([]byte, error) {
				return nil, ErrUnavailable
			},
		}},
	})
	_, err := nodes.fetch(
		t.Context(), source.branch[0].Hash, newVerifier(),
	)
	require.ErrorIs(t, err, errInjected)
	require.NotErrorIs(t, err, ErrUnavailable)
}

// TestWrongFilters: filters that are not those of the chain, in whatever way,
// never lead past a deposit: their source is left aside, and the next one, or
// the blocks, are read.
func TestWrongFilters(t *testing.T) {
	t.Parallel()

	wrongs := map[string]func(*FilterRange) (*FilterRange, error){
		"error": func(*FilterRange) (*FilterRange, error) {
			return nil, errInjected
		},
		"none": func(*FilterRange) (*FilterRange, error) {
			return &FilterRange{}, nil
		},
		"more than asked for": func(r *FilterRange) (*FilterRange,
			error) {

			r.Blocks = append(r.Blocks, r.Blocks...)

			return r, nil
		},
		"short header": func(r *FilterRange) (*FilterRange, error) {
			r.Blocks[0].Header = r.Blocks[0].Header[:79]

			return r, nil
		},
		"other chain": func(r *FilterRange) (*FilterRange, error) {
			last := r.Blocks[len(r.Blocks)-1].Header
			last[len(last)-1] ^= 1

			return r, nil
		},
		"gap": func(r *FilterRange) (*FilterRange, error) {
			r.Blocks = append(r.Blocks[:1], r.Blocks[2:]...)

			return r, nil
		},
		"other filter": func(r *FilterRange) (*FilterRange, error) {
			r.Blocks[1].Filter = r.Blocks[0].Filter

			return r, nil
		},
		"malformed": func(r *FilterRange) (*FilterRange, error) {
			r.Committed = false
			r.Blocks[1].Filter = []byte{7, 1}

			return r, nil
		},
	}
	for name, wrong := range wrongs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			testWrongFilters(t, wrong)
		})
	}
}

// testWrongFilters scans with a source of filters that changes its answers,
// alone and before one that does not.
func testWrongFilters(t *testing.T,
	wrong func(*FilterRange) (*FilterRange, error)) {

	sim := newSimulation(7)
	state := sim.grow(*sim.genesis(), 40)
	source := newSimSource(state.branch)
	bad, good := newSimFilters(source), newSimFilters(source)
	bad.change = wrong

	for _, filters := range [][]FilterSource{{bad}, {bad, good}} {
		tuning := quickTuning()
		result, err := run(t.Context(), Config{
			Source:     source,
			Filters:    filters,
			Families:   sim.families,
			Birthday:   sim.birthday,
			LookAhead:  sim.lookAhead,
			Checkpoint: NewMemoryCheckpoint(),
		}, tuning)
		require.NoError(t, err)
		require.Equal(t, oracle(
			state.branch, sim.families, sim.birthday, sim.lookAhead,
		), result.Outputs)
		require.Equal(
			t, len(filters) == 2, result.Coverage.RuledOut > 0,
		)
		require.Equal(
			t, len(filters) == 2, result.Coverage.Filters != "",
		)
	}
}

// TestFiltersStall: a source of filters that does not answer is left aside.
func TestFiltersStall(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		source := newSimSource(simBranch{}.extend(nil, 0).extend(
			nil, 1,
		))
		result, err := run(t.Context(), Config{
			Source:     source,
			Filters:    []FilterSource{stalledFilters{}},
			Families:   []Family{&simFamily{id: 61}},
			Checkpoint: NewMemoryCheckpoint(),
		}, quickTuning())
		require.NoError(t, err)
		require.Zero(t, result.Coverage.RuledOut)
	})
}

// stalledFilters never answers.
type stalledFilters struct{}

// Name names the source.
func (stalledFilters) Name() string { return "stalled" }

// Filters waits for its context.
func (stalledFilters) Filters(ctx context.Context, _, _ int32) (*FilterRange,
	error) {

	<-ctx.Done()

	return nil, errors.New("given up")
}
