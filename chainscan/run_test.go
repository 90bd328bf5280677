package chainscan

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
)

// quickTuning are the limits of the product with pauses for tests.
func quickTuning() tuning {
	t := defaultTuning()
	t.backoffMin, t.backoffMax = 50*time.Microsecond, time.Millisecond
	t.patience = 5 * time.Millisecond

	return t
}

// payTx returns a transaction that spends an outpoint and pays scripts of
// family 61.
func payTx(lock uint32, spend wire.OutPoint, indices ...uint32) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.LockTime = lock
	tx.AddTxIn(wire.NewTxIn(&spend, nil, wire.TxWitness{{1}}))
	for _, index := range indices {
		tx.AddTxOut(wire.NewTxOut(1_000, simScript(61, index)))
	}
	if len(indices) == 0 {
		tx.AddTxOut(wire.NewTxOut(1, []byte{0x6a}))
	}

	return tx
}

// unknown returns an outpoint that pays nobody.
func unknown(n byte) wire.OutPoint {
	return wire.OutPoint{Hash: chainhash.Hash{n, 0xff}}
}

// fixture is a scan of family 61 over a chain.
type fixture struct {
	branch simBranch
	source *simSource
	store  *MemoryCheckpoint
	cfg    Config
	tuning tuning
	events []Progress
}

// newFixture returns a scan from a birthday over a chain of empty blocks but
// for the given transactions, by height.
func newFixture(birthday, blocks int32, look uint32,
	txs map[int32][]*wire.MsgTx) *fixture {

	f := &fixture{
		store:  NewMemoryCheckpoint(),
		tuning: quickTuning(),
	}
	for height := range blocks {
		f.branch = f.branch.extend(txs[height], 0)
	}
	f.source = newSimSource(f.branch)
	f.cfg = Config{
		Source:     f.source,
		Families:   []Family{&simFamily{id: 61}},
		Birthday:   birthday,
		LookAhead:  look,
		Checkpoint: f.store,
		Progress: func(p Progress) {
			f.events = append(f.events, p)
		},
	}

	return f
}

// run scans, and compares what is found with the brute-force walk.
func (f *fixture) run(t *testing.T) *Result {
	t.Helper()

	result, err := run(t.Context(), f.cfg, f.tuning)
	require.NoError(t, err)

	wanted := oracle(
		f.source.branch, f.cfg.Families, f.cfg.Birthday,
		f.cfg.LookAhead,
	)
	require.Equal(t, describe(wanted), describe(result.Outputs))

	return result
}

// growth is a chain on which the use of index 2 makes index 5 known late: it
// was paid in an earlier block and spent in between.
func growth() map[int32][]*wire.MsgTx {
	early := payTx(1, unknown(1), 5)

	return map[int32][]*wire.MsgTx{
		10: {early},
		20: {payTx(2, wire.OutPoint{Hash: early.TxHash()})},
		30: {payTx(3, unknown(2), 2)},
	}
}

// TestRecordServes: scripts that become known late are looked up in the record;
// only the blocks that hold them are fetched again, and there is one pass.
func TestRecordServes(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 3, growth())
	result := f.run(t)

	require.Len(t, result.Outputs, 2)
	require.NotNil(t, result.Outputs[0].Spend)
	require.Equal(t, Coverage{
		Families: []FamilyCoverage{{Family: 61, Used: 6, Tested: 9}},
		Birthday: 5,
		Tip:      f.branch[59].BlockStamp,
		Source:   "simulation",
		Passes:   1,

		// All blocks, and those of the output and of its spend.
		Blocks: 55 + 2,
	}, result.Coverage)
}

// TestPassServes: without room for the record another pass finds the same.
func TestPassServes(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 3, growth())
	f.tuning.recordBudget = 0
	result := f.run(t)

	require.EqualValues(t, 2, result.Coverage.Passes)
	require.EqualValues(t, 2*55, result.Coverage.Blocks)
	require.EqualValues(t, 9, result.Coverage.Families[0].Tested)
}

// TestMarginServes: on a long chain so many scripts are tested ahead of the
// need that no block is fetched twice, without any record.
func TestMarginServes(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 3, growth())
	f.tuning.recordBudget, f.tuning.marginShare = 0, 5
	result := f.run(t)

	require.EqualValues(t, 1, result.Coverage.Passes)
	require.EqualValues(t, 55, result.Coverage.Blocks)
	require.EqualValues(t, 9, result.Coverage.Families[0].Tested)
}

// TestBeyond: what lies beyond the look-ahead is no part of the result, since
// it was seen by chance only, but it is the user's money and is told.
func TestBeyond(t *testing.T) {
	t.Parallel()

	f := newFixture(0, 60, 3, map[int32][]*wire.MsgTx{
		9: {payTx(1, unknown(1), 3)},
	})
	f.tuning.marginShare = 10
	result := f.run(t)

	require.Empty(t, result.Outputs)
	require.Len(t, result.Beyond, 1)
	require.EqualValues(t, 3, result.Beyond[0].Script.Index)
	require.Zero(t, result.Coverage.Families[0].Used)
	require.EqualValues(t, 3, result.Coverage.Families[0].Tested)

	cursor, stored, err := f.store.Load(t.Context())
	require.NoError(t, err)
	require.Len(t, stored, 1)
	require.Empty(t, Select(*cursor, stored))
}

// TestUnavailable: a block that the node lacks ends the scan and is named; what
// was found before it is kept, and the scan goes on from there once the block
// is there.
func TestUnavailable(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 3, growth())
	f.source.pruned[40], f.source.pruned[50] = true, true

	_, err := run(t.Context(), f.cfg, f.tuning)
	var missing *UnavailableError
	require.ErrorAs(t, err, &missing)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, f.branch[40].BlockStamp, missing.Block)
	require.ErrorContains(t, err, "block 40")

	cursor, stored, err := f.store.Load(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 39, cursor.Block.Height)
	require.Len(t, stored, 2)

	clear(f.source.pruned)
	result := f.run(t)
	require.EqualValues(t, 20, result.Coverage.Blocks)
}

// TestUnavailableAgain: a block that is needed a second time can be gone by
// then. That is told too, and not taken for "nothing there".
func TestUnavailableAgain(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 3, growth())
	f.source.onCall = func(int) error {
		f.source.pruned[10] = f.source.served[30] > 0

		return nil
	}

	_, err := run(t.Context(), f.cfg, f.tuning)
	var missing *UnavailableError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, f.branch[10].BlockStamp, missing.Block)
}

// TestResume: what a crash costs is at most the chunk that was not saved.
func TestResume(t *testing.T) {
	t.Parallel()

	const chunk = 10
	f := newFixture(0, 100, 3, growth())
	f.tuning.chunkBlocks = chunk
	f.cfg.Checkpoint = &killCheckpoint{Checkpoint: f.store, failAt: 4}

	_, err := run(t.Context(), f.cfg, f.tuning)
	require.ErrorIs(t, err, errInjected)
	cursor, _, err := f.store.Load(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3*chunk-1, cursor.Block.Height)

	f.cfg.Checkpoint = f.store
	f.tuning.recordBudget = 0
	f.events = nil
	result := f.run(t)
	require.EqualValues(t, 2, result.Coverage.Passes)

	// The first pass goes on where the last commit left it.
	require.EqualValues(t, 4*chunk-1, f.events[0].Height)
	require.Zero(t, f.events[0].Pass)
}

// TestProgress: progress goes forward only, but for a reorg that is named.
func TestProgress(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 100, 3, growth())
	f.tuning.chunkBlocks = 10
	fork := f.branch[:50:50]
	for range 52 {
		fork = fork.extend(nil, 7)
	}
	f.cfg.Progress = func(p Progress) {
		f.events = append(f.events, p)
		if p.Height >= 69 {
			f.source.set(fork)
		}
	}
	result := f.run(t)
	require.Equal(t, fork[101].BlockStamp, result.Coverage.Tip)

	var (
		last   int32
		reorgs []BlockStamp
	)
	for _, event := range f.events {
		require.EqualValues(t, 5, event.Birthday)
		if event.Reorg != nil {
			reorgs = append(reorgs, *event.Reorg)
			require.LessOrEqual(t, event.Height, last)
			last = event.Height

			continue
		}
		require.GreaterOrEqual(t, event.Height, last)
		last = event.Height
	}
	require.Equal(t, []BlockStamp{f.branch[49].BlockStamp}, reorgs)
	require.EqualValues(t, 101, last)
	require.Equal(t, 2, f.events[len(f.events)-1].Outputs)
}

// TestSourceErrors: errors of the source are told, and end with the source's
// recovery. Bytes that are not the block are such an error: they are asked for
// again, and never walked.
func TestSourceErrors(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 3, growth())
	f.tuning.patience = time.Millisecond
	good := f.source.blocks[f.branch[30].Hash].raw
	bad := slices.Clone(good)
	bad[len(bad)-1] ^= 1

	var told atomic.Bool
	f.source.blocks[f.branch[30].Hash] = &simBlock{
		BlockStamp: f.branch[30].BlockStamp, raw: bad,
	}
	f.source.onCall = func(int) error {
		if told.Load() {
			f.source.blocks[f.branch[30].Hash] = f.branch[30]
		}

		return nil
	}
	f.cfg.Progress = func(p Progress) {
		if p.Err != nil {
			require.ErrorIs(t, p.Err, errWrongBlock)
			require.LessOrEqual(t, p.Height, int32(29))
			told.Store(told.Load() || p.Height == 29)
		}
	}

	f.run(t)
	require.True(t, told.Load())
}

// TestTwoReorgs: of two reorgs before a commit the deeper one is committed,
// whichever came first: the store must give up all that either took away.
func TestTwoReorgs(t *testing.T) {
	t.Parallel()

	for _, heights := range [][]int32{{20, 30}, {30, 20}} {
		f := newFixture(5, 60, 3, growth())
		f.run(t)

		s := newScan(t.Context(), f.cfg, f.tuning)
		require.NoError(t, s.load(t.Context()))
		for _, height := range heights {
			s.rollBack(f.branch[height].BlockStamp)
		}
		require.NoError(t, s.commit(t.Context()))

		cursor, stored, err := f.store.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, f.branch[20].BlockStamp, cursor.Block)
		require.Equal(t, f.branch[20].BlockStamp,
			cursor.History[len(cursor.History)-1])
		require.Len(t, stored, 1)
		require.NotNil(t, stored[0].Spend)

		f.run(t)
	}
}

// TestContradiction: a source whose blocks do not follow each other is told of.
// Nothing is taken back for it, since nothing that was walked left the chain.
func TestContradiction(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 3, growth())
	other := f.branch[:39:39].extend(nil, 1).extend(nil, 2)
	mixed := slices.Clone(f.branch)
	mixed[40] = other[40]
	f.source.set(mixed)

	var told error
	f.cfg.Progress = func(p Progress) {
		require.Nil(t, p.Reorg)
		if p.Err != nil {
			told = p.Err
			f.source.set(f.branch)
		}
	}
	f.run(t)
	require.ErrorIs(t, told, errReorg)
}

// TestCatchingUp: a node whose best chain ends far below what was walked, or
// below the birthday, is waited for. That is no reorg.
func TestCatchingUp(t *testing.T) {
	t.Parallel()

	for _, height := range []int32{3, 20} {
		f := newFixture(5, 60, 3, growth())
		f.tuning.historyDense = 12
		f.run(t)

		f.events = nil
		f.source.set(f.branch[:height])
		f.cfg.Progress = func(p Progress) {
			f.events = append(f.events, p)
			if len(f.events) == 3 {
				f.source.set(f.branch)
			}
		}
		f.run(t)

		require.GreaterOrEqual(t, len(f.events), 3)
		for _, event := range f.events {
			require.Nil(t, event.Reorg)
			require.EqualValues(t, 59, event.Height)
		}
		require.ErrorIs(t, f.events[0].Err, ErrBehind)
	}
}

// TestOtherBirthday: a scan with another birthday begins anew.
func TestOtherBirthday(t *testing.T) {
	t.Parallel()

	f := newFixture(25, 60, 3, growth())
	require.Len(t, f.run(t).Outputs, 1)

	f.cfg.Birthday = 5
	require.Len(t, f.run(t).Outputs, 2)

	f.cfg.Birthday = 25
	f.run(t)
	_, stored, err := f.store.Load(t.Context())
	require.NoError(t, err)
	require.Len(t, stored, 1)
}

// TestLargerLookAhead: a scan that has ended finds more with a larger
// look-ahead.
func TestLargerLookAhead(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 2, growth())
	require.Empty(t, f.run(t).Outputs)

	f.cfg.LookAhead = 3
	require.Len(t, f.run(t).Outputs, 2)

	f.cfg.Families = append(f.cfg.Families, &simFamily{id: 62})
	result := f.run(t)
	require.Len(t, result.Coverage.Families, 2)
	require.EqualValues(t, 55, result.Coverage.Blocks)
}

// TestCancel: a scan ends within a second of its context, whatever it waits
// for.
func TestCancel(t *testing.T) {
	t.Parallel()

	for _, heights := range []int32{0, 30} {
		f := newFixture(5, 60, 3, growth())
		f.tuning.backoffMin = time.Hour
		f.tuning.backoffMax = time.Hour

		ctx, cancel := context.WithCancel(t.Context())
		f.source.onCall = func(int) error {
			if f.source.served[heights+5] == 0 && heights > 0 {
				return nil
			}
			time.AfterFunc(20*time.Millisecond, cancel)

			return errInjected
		}

		began := time.Now()
		_, err := run(ctx, f.cfg, f.tuning)
		require.ErrorIs(t, err, context.Canceled)
		require.Less(t, time.Since(began), time.Second)
	}
}

// badFamily derives scripts that are none.
type badFamily struct {
	simFamily
	script []byte
	err    error
}

// Script returns the script and the error.
func (f *badFamily) Script(uint32) ([]byte, error) {
	return f.script, f.err
}

// TestFamilyErrors: a script that cannot be derived ends the scan: going on
// without it could report that nothing is there.
func TestFamilyErrors(t *testing.T) {
	t.Parallel()

	same := simScript(61, 1)
	fixed := simFamily{id: 60, fixed: true}
	for name, families := range map[string][]Family{
		"error":       {&badFamily{err: errInjected}},
		"fixed error": {&badFamily{simFamily: fixed, err: errInjected}},
		"short":       {&badFamily{script: same[:33]}},
		"not taproot": {&badFamily{script: append(
			[]byte{0}, same[1:]...,
		)}},
		"same script": {
			&simFamily{id: 61},
			&badFamily{simFamily: fixed, script: same},
		},
	} {
		f := newFixture(5, 60, 3, nil)
		f.cfg.Families = families
		_, err := run(t.Context(), f.cfg, f.tuning)
		require.ErrorIs(t, err, ErrFamily, name)

		cursor, _, err := f.store.Load(t.Context())
		require.NoError(t, err)
		require.Nil(t, cursor, name)
	}
}

// TestConfig: a scan that cannot be right is refused before it begins.
func TestConfig(t *testing.T) {
	t.Parallel()

	for name, change := range map[string]func(*Config){
		"source":     func(c *Config) { c.Source = nil },
		"checkpoint": func(c *Config) { c.Checkpoint = nil },
		"families":   func(c *Config) { c.Families = nil },
		"birthday":   func(c *Config) { c.Birthday = -1 },
		"look-ahead": func(c *Config) {
			c.LookAhead = MaxLookAhead + 1
		},
		"twice": func(c *Config) {
			c.Families = append(c.Families, c.Families[0])
		},
		"index": func(c *Config) {
			c.Families = []Family{&simFamily{
				id: 1, fixed: true, index: maxScripts,
			}}
		},
	} {
		f := newFixture(5, 6, 3, nil)
		change(&f.cfg)
		_, err := Run(t.Context(), f.cfg)
		require.ErrorIs(t, err, ErrConfig, name)
	}

	// The defaults of the product find a deposit at the birthday.
	f := newFixture(5, 12, 0, map[int32][]*wire.MsgTx{
		5: {payTx(1, unknown(1), DefaultLookAhead-1)},
		6: {payTx(2, unknown(2), 2*DefaultLookAhead)},
	})
	result, err := Run(t.Context(), f.cfg)
	require.NoError(t, err)
	require.Len(t, result.Outputs, 1)
}

// failingCheckpoint cannot be loaded.
type failingCheckpoint struct{ Checkpoint }

// Load fails.
func (failingCheckpoint) Load(context.Context) (*Cursor, []Output, error) {
	return nil, nil, errInjected
}

// TestCheckpointErrors: without its memory a scan does not begin.
func TestCheckpointErrors(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 6, 3, nil)
	f.cfg.Checkpoint = failingCheckpoint{}
	_, err := run(t.Context(), f.cfg, f.tuning)
	require.ErrorIs(t, err, errInjected)

	var passing *passingError
	require.False(t, errors.As(err, &passing))
}
