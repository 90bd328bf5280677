package chainscan

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
)

// hold opens the scan of a fixture.
func (f *fixture) hold(t *testing.T) *Scan {
	t.Helper()

	scan, err := open(t.Context(), f.cfg, f.tuning)
	require.NoError(t, err)
	t.Cleanup(scan.Close)

	return scan
}

// TestBudget: a scan that is held walks no more blocks than it may, tells when
// it is complete, and goes on with the blocks that come.
func TestBudget(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 3, growth())
	scan := f.hold(t)
	for height := int32(4); height < 59; height = min(height+5, 59) {
		require.Equal(t, height, scan.Cursor().Block.Height)
		complete, err := scan.Advance(t.Context(), 5)
		require.NoError(t, err)
		require.False(t, complete)
	}

	complete, err := scan.Advance(t.Context(), 0)
	require.NoError(t, err)
	require.True(t, complete)
	require.Equal(t, f.run(t).Outputs, scan.Result().Outputs)

	f.source.set(f.branch.extend([]*wire.MsgTx{
		payTx(9, unknown(9), 3),
	}, 0))
	complete, err = scan.Advance(t.Context(), 0)
	require.NoError(t, err)
	require.False(t, complete)
	complete, err = scan.Advance(t.Context(), 1)
	require.NoError(t, err)
	require.False(t, complete)
	complete, err = scan.Advance(t.Context(), 1)
	require.NoError(t, err)
	require.True(t, complete)
	require.Equal(t, f.run(t).Outputs, scan.Result().Outputs)
}

// TestHeldThroughCancel: a caller who leaves in the middle costs nothing: the
// next one goes on, and finds what a scan that nobody left finds.
func TestHeldThroughCancel(t *testing.T) {
	t.Parallel()

	for calls := range 200 {
		f := newFixture(5, 60, 3, growth())
		scan := f.hold(t)
		ctx, cancel := context.WithCancel(t.Context())
		f.source.onCall = func(call int) error {
			if call > calls {
				cancel()
			}

			return nil
		}
		_, err := scan.Advance(ctx, 40)
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}

		f.source.onCall = nil
		for complete := false; !complete; {
			complete, err = scan.Advance(t.Context(), unlimited)
			require.NoError(t, err)
		}
		require.Equal(t, f.run(t).Outputs, scan.Result().Outputs)
	}
}

// hookedFamily calls a function before it derives a script.
type hookedFamily struct {
	simFamily

	before func(index uint32)
}

// Script calls the function first.
func (f *hookedFamily) Script(index uint32) ([]byte, error) {
	f.before(index)

	return f.simFamily.Script(index)
}

// TestHeldThroughDerivation: a caller who leaves while scripts are derived
// costs no script of any family: what one of them has learnt meanwhile is
// looked up in the blocks before all the same.
func TestHeldThroughDerivation(t *testing.T) {
	t.Parallel()

	both := func(lock, index uint32) *wire.MsgTx {
		tx := payTx(lock, unknown(byte(lock)), index)
		tx.AddTxOut(wire.NewTxOut(1_000, simScript(62, index)))

		return tx
	}
	f := newFixture(5, 60, 3, map[int32][]*wire.MsgTx{
		10: {payTx(1, unknown(1), 8)},
		20: {both(2, 2)},
		30: {both(3, 5)},
	})

	// The caller leaves when index 8 of the first family was derived, and
	// that of the second one is being derived.
	const slow = 8
	ctx, cancel := context.WithCancel(t.Context())
	quick, proceed := make(chan struct{}, 1), make(chan struct{})
	first := &hookedFamily{simFamily{id: 61}, func(index uint32) {
		if index == slow+4 {
			quick <- struct{}{}
		}
	}}
	second := &hookedFamily{simFamily{id: 62}, func(index uint32) {
		if index == slow {
			<-quick
			cancel()
			<-proceed
		}
	}}
	f.cfg.Families = []Family{first, second}
	scan := f.hold(t)
	_, err := scan.Advance(ctx, unlimited)
	require.ErrorIs(t, err, context.Canceled)

	close(proceed)
	complete, err := scan.Advance(t.Context(), unlimited)
	require.NoError(t, err)
	require.True(t, complete)
	require.Len(t, scan.Result().Outputs, 5)
}

// TestHeldThroughFailedSave: what could not be saved is saved with the next
// step, whether or not the store had it.
func TestHeldThroughFailedSave(t *testing.T) {
	t.Parallel()

	for failAt := 1; failAt <= 4; failAt++ {
		for _, after := range []bool{false, true} {
			f := newFixture(5, 60, 3, growth())
			f.tuning.chunkBlocks = 1 << 20
			f.cfg.Checkpoint = &killCheckpoint{
				Checkpoint: f.store, failAt: failAt,
				after: after,
			}
			scan := f.hold(t)
			for complete := false; !complete; {
				var err error
				complete, err = scan.Advance(t.Context(), 14)
				if err != nil {
					require.ErrorIs(t, err, errInjected)
				}
			}
			require.Len(t, scan.Result().Outputs, 2)

			cursor, stored, err := f.store.Load(t.Context())
			require.NoError(t, err)
			require.Equal(t, describe(scan.Result().Outputs),
				describe(Select(*cursor, stored)))
		}
	}
}

// TestBehind: a best chain that ends lower, by however little, and does not
// contradict what was walked is that of a node that is catching up, for example
// after a reindex. Nothing proven is forgotten, no spent output comes back, and
// nothing is walked again. If this breaks, an output that was spent long ago is
// reported as a deposit.
func TestBehind(t *testing.T) {
	t.Parallel()

	for _, height := range []int32{58, 50, 29, 20, 11, 9, 4, 0} {
		f := newFixture(5, 60, 3, growth())
		wanted := f.run(t).Outputs
		scan := f.hold(t)
		served := f.source.served

		f.source.set(f.branch[: height+1 : height+1])
		_, err := scan.Advance(t.Context(), unlimited)
		require.ErrorIs(t, err, ErrBehind)
		require.Equal(t, wanted, scan.Result().Outputs)
		require.Equal(t, f.branch[59].BlockStamp, scan.Cursor().Block)
		_, stored, err := f.store.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, wanted, stored)

		f.source.set(f.branch)
		complete, err := scan.Advance(t.Context(), unlimited)
		require.NoError(t, err)
		require.True(t, complete)
		require.Equal(t, served, f.source.served)
	}
}

// TestLowerAndContradicted: a best chain that ends lower on another branch is a
// reorg.
func TestLowerAndContradicted(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 60, 3, growth())
	f.run(t)
	f.source.set(f.branch[:25:25].extend(nil, 9).extend(nil, 9))
	result := f.run(t)
	require.Empty(t, result.Outputs)
	require.EqualValues(t, 26, result.Coverage.Tip.Height)
}

// TestOtherSettings: a finished scan that is taken up with other settings saves
// what follows from them, also if there is no new block. If this breaks, a run
// says two outputs and its checkpoint one.
func TestOtherSettings(t *testing.T) {
	t.Parallel()

	paid := map[int32][]*wire.MsgTx{
		10: {payTx(1, unknown(1), 1)}, 12: {payTx(2, unknown(2), 5)},
	}
	f := newFixture(5, 60, 8, paid)
	f.cfg.Families = append(f.cfg.Families, &simFamily{
		id: 60, fixed: true, index: 7,
	})
	steps := map[string]func(){
		"the first":    func() {},
		"smaller":      func() { f.cfg.LookAhead = 2 },
		"larger":       func() { f.cfg.LookAhead = 5 },
		"one family":   func() { f.cfg.Families = f.cfg.Families[:1] },
		"other index":  func() { f.cfg.Families[1] = otherFixed },
		"other family": func() { f.cfg.Families[0] = otherGrowing },
	}
	for _, name := range []string{
		"the first", "smaller", "larger", "other index", "smaller",
		"larger", "other family", "one family",
	} {
		steps[name]()
		result := f.run(t)
		cursor, stored, err := f.store.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, describe(result.Outputs),
			describe(Select(*cursor, stored)), name)
	}
}

// otherFixed and otherGrowing are families that TestOtherSettings changes to.
var (
	otherFixed   = &simFamily{id: 60, fixed: true, index: 9}
	otherGrowing = &simFamily{id: 62}
)

// TestStrayCursor: in a later pass the cursor can stand on a branch that was
// the best chain for a moment, between two blocks whose hashes are known. It is
// led back to the best chain. If this breaks, the scan waits for ever.
func TestStrayCursor(t *testing.T) {
	t.Parallel()

	// Between heights 8 and 16 a history of 120 blocks names none.
	f := newFixture(5, 120, 3, growth())
	f.tuning.recordBudget, f.tuning.historyDense = 0, 12
	f.tuning.chunkBlocks = 1
	rival := busyBranch(f.branch[:10:10], nil, 121, 3)

	passes := 0
	f.source.onCall = func(int) error {
		second := passes > 0 && f.source.served[9] > 1
		switch {
		case passes == 1 && second:
			f.source.setBranch(rival)
		case passes == 2:
			f.source.setBranch(f.branch)
			f.source.pruned[13] = false
		}

		return nil
	}
	strayed := false
	f.cfg.Progress = func(p Progress) {
		f.source.mu.Lock()
		defer f.source.mu.Unlock()
		passes = max(passes, int(p.Pass))
		cursor, _, err := f.store.Load(t.Context())
		require.NoError(t, err)
		on := slices.ContainsFunc(rival[10:], func(b *simBlock) bool {
			return b.BlockStamp == cursor.Block
		})
		if on && p.Height > 9 && p.Pass > 0 {
			strayed, passes = true, 2
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := run(ctx, f.cfg, f.tuning)
	require.NoError(t, err)
	require.True(t, strayed)
}

// TestOneTransactionOnce: outputs and spends of one transaction share its
// bytes, also those that were found later or loaded. If this breaks, somebody
// who pays a user thousands of times in one transaction fills up the memory.
func TestOneTransactionOnce(t *testing.T) {
	t.Parallel()

	tx := payTx(1, unknown(1), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	spend := payTx(2, wire.OutPoint{Hash: tx.TxHash()})
	for i := range uint32(12) {
		spend.AddTxIn(wire.NewTxIn(
			wire.NewOutPoint(ptr(tx.TxHash()), i+1), nil, nil,
		))
	}
	f := newFixture(5, 60, 3, map[int32][]*wire.MsgTx{
		10: {tx}, 20: {spend},
	})
	first := f.run(t).Outputs
	require.Len(t, first, 13)

	// As if loaded from a store that shares nothing.
	for i, output := range first {
		output.FundingTx = slices.Clone(output.FundingTx)
		by := *output.Spend
		by.SpendingTx = slices.Clone(by.SpendingTx)
		output.Spend = &by
		first[i] = output
	}
	loaded := newScan(t.Context(), f.cfg, f.tuning)
	loaded.match.restore(first)
	again, _ := loaded.match.split()

	for _, outputs := range [][]Output{f.run(t).Outputs, again} {
		for _, output := range outputs {
			require.Same(t, &outputs[0].FundingTx[0],
				&output.FundingTx[0])
			require.Same(t, &outputs[0].Spend.SpendingTx[0],
				&output.Spend.SpendingTx[0])
		}
	}
}

// ptr returns a pointer to a value.
func ptr[T any](value T) *T {
	return &value
}

// TestCoinbase: a miner can be paid on a static address, and spend from there.
func TestCoinbase(t *testing.T) {
	t.Parallel()

	f := newFixture(5, 20, 3, nil)
	branch := f.branch.extendTo(simScript(61, 2), nil, 0)
	mined := wire.OutPoint{Hash: branch[20].ids[0]}
	f.source.set(branch.extend([]*wire.MsgTx{payTx(1, mined)}, 0))
	result := f.run(t)
	require.Len(t, result.Outputs, 1)
	require.NotNil(t, result.Outputs[0].Spend)
}
