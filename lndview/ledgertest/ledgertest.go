// Package ledgertest is the conformance suite of lndview.Ledger: every
// implementation must keep exactly what Snapshot.Apply defines.
package ledgertest

import (
	"bytes"
	"context"
	"math/rand"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/require"
)

const (
	// steps is the number of random changes of TestRandomChanges.
	steps = 400

	// tip is the height of the first followed block.
	tip = 1_000
)

// Run runs the suite. Each test opens a ledger of its own, which must be empty;
// reopen returns another one on the same storage, as after a restart.
func Run(t *testing.T, open func(t *testing.T) lndview.Ledger,
	reopen func(t *testing.T, ledger lndview.Ledger) lndview.Ledger) {

	for name, test := range map[string]func(*testing.T, *suite){
		"round trip":    testRoundTrip,
		"random":        testRandomChanges,
		"trail is cut":  testTrailIsCut,
		"deep rollback": testDeepRollback,
		"refused":       testRefused,
		"concurrent":    testConcurrent,
	} {
		t.Run(name, func(t *testing.T) {
			s := &suite{
				reopen: reopen,
				ledger: open(t),
				wanted: lndview.NewSnapshot(),
			}
			s.compare(t)
			test(t, s)
		})
	}
}

// suite compares a ledger with the snapshot that the same changes make.
type suite struct {
	reopen func(*testing.T, lndview.Ledger) lndview.Ledger
	ledger lndview.Ledger
	wanted *lndview.Snapshot
}

// commit stores a change in both.
func (s *suite) commit(t *testing.T, change lndview.Change) {
	t.Helper()

	require.NoError(t, s.wanted.Apply(change))
	require.NoError(t, s.ledger.Commit(t.Context(), change))
}

// compare checks that the ledger holds what it must, before and after a
// restart.
func (s *suite) compare(t *testing.T) {
	t.Helper()

	for range 2 {
		found, err := s.ledger.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, s.wanted.Scripts, found.Scripts)
		require.Equal(t, s.wanted.Outputs, found.Outputs)
		require.Equal(t, append(
			[]chainscan.BlockStamp{}, s.wanted.Trail...,
		), append([]chainscan.BlockStamp{}, found.Trail...))
		require.Equal(t, s.wanted.Publications, found.Publications)

		s.ledger = s.reopen(t, s.ledger)
	}
}

// testRoundTrip checks that no field is lost.
func testRoundTrip(t *testing.T, s *suite) {
	script := lndview.Script{PkScript: []byte{0x51, 0x20, 7}, Pending: true}
	s.commit(t, lndview.Change{Scripts: []lndview.Script{script}})
	s.compare(t)

	script = lndview.Script{
		PkScript: script.PkScript, Blind: true, Run: "run 1",
		Birthday: 900,
	}
	unspent := output(1, 950, script.PkScript)
	spent := output(2, 951, script.PkScript)
	spent.Spend = spend(3, 970)
	s.commit(t, lndview.Change{
		ClearTrail:   true,
		Outputs:      []chainscan.Output{unspent, spent},
		Blocks:       []chainscan.BlockStamp{stamp(tip, 0)},
		Scripts:      []lndview.Script{script},
		Publications: []lndview.Publication{publication(4)},
	})
	s.compare(t)

	// A spend is added to an output that is there.
	unspent.Spend = spend(5, tip+1)
	s.commit(t, lndview.Change{
		Outputs: []chainscan.Output{unspent},
		Blocks:  []chainscan.BlockStamp{stamp(tip+1, 0)},
		Forget:  []chainhash.Hash{publication(4).TxID},
	})
	s.compare(t)

	// A reorg takes the spend back, and nothing else.
	fork := stamp(tip, 0)
	s.commit(t, lndview.Change{RollbackTo: &fork})
	s.compare(t)
	require.Nil(t, s.wanted.Outputs[unspent.OutPoint].Spend)
	require.NotNil(t, s.wanted.Outputs[spent.OutPoint].Spend)

	// A new scan replaces all outputs.
	s.commit(t, lndview.Change{Replace: [][]byte{script.PkScript}})
	s.compare(t)
	require.Empty(t, s.wanted.Outputs)
}

// testRandomChanges makes many changes of all kinds.
func testRandomChanges(t *testing.T, s *suite) {
	random := rand.New(rand.NewSource(1))
	for step := range steps {
		s.commit(t, randomChange(random, s.wanted, step))
		if step%20 == 0 {
			s.compare(t)
		}
	}
	s.compare(t)
}

// randomChange returns a change that fits a snapshot.
func randomChange(random *rand.Rand, now *lndview.Snapshot,
	step int) lndview.Change {

	var (
		change   lndview.Change
		fork     = byte(random.Intn(3))
		pkScript = []byte{0x51, 0x20, byte(random.Intn(3))}
	)
	cursor, ok := now.Cursor()
	if !ok {
		cursor = stamp(tip, fork)
		change.Blocks = []chainscan.BlockStamp{cursor}
	}

	switch random.Intn(6) {
	case 0:
		back := int32(random.Intn(4))
		change.RollbackTo = &chainscan.BlockStamp{
			Height: cursor.Height - back, Hash: cursor.Hash,
		}
		change.Blocks = nil

	case 1:
		change.Scripts = []lndview.Script{{
			PkScript: pkScript, Blind: random.Intn(2) == 0,
			Pending: random.Intn(2) == 0, Run: "run",
		}}

	case 2:
		change.Replace = [][]byte{pkScript}

	case 3:
		p := publication(byte(random.Intn(5)))
		p.Height, p.Listed = int32(step), random.Intn(2) == 0
		change.Publications = []lndview.Publication{p}

	case 4:
		change.Forget = []chainhash.Hash{
			publication(byte(random.Intn(5))).TxID,
		}

	case 5:
		next := stamp(cursor.Height+1, fork)
		change.Blocks = append(change.Blocks, next)
		out := output(byte(random.Intn(40)), next.Height, pkScript)
		if random.Intn(2) == 0 {
			out.Spend = spend(byte(step), next.Height)
		}
		change.Outputs = []chainscan.Output{out}
	}

	return change
}

// testTrailIsCut checks that the trail does not grow for ever.
func testTrailIsCut(t *testing.T, s *suite) {
	for i := range 2 * int32(lndview.TrailLength) {
		s.commit(t, lndview.Change{
			Blocks: []chainscan.BlockStamp{stamp(tip+i, 0)},
		})
	}
	s.compare(t)
	require.Len(t, s.wanted.Trail, lndview.TrailLength)
}

// testDeepRollback checks a rollback to a block that the trail does not hold:
// it alone is the trail then.
func testDeepRollback(t *testing.T, s *suite) {
	for _, to := range []chainscan.BlockStamp{
		stamp(tip-50, 0), stamp(tip+1, 9), stamp(tip+500, 0),
	} {
		s.commit(t, lndview.Change{
			ClearTrail: true,
			Blocks: []chainscan.BlockStamp{
				stamp(tip, 0), stamp(tip+1, 0), stamp(tip+2, 0),
			},
			Outputs: []chainscan.Output{
				output(1, tip-100, []byte{0x51}),
				output(2, tip, []byte{0x51}),
				output(3, tip+2, []byte{0x51}),
			},
		})
		s.commit(t, lndview.Change{RollbackTo: &to})
		s.compare(t)
		require.Equal(t, []chainscan.BlockStamp{to}, s.wanted.Trail)
	}
}

// testRefused checks that nothing of a change is stored if it would contradict
// what is there, or if the caller has gone.
func testRefused(t *testing.T, s *suite) {
	s.commit(t, lndview.Change{
		Blocks: []chainscan.BlockStamp{stamp(tip, 0)},
		Scripts: []lndview.Script{{
			PkScript: []byte{1}, Blind: true, Run: "run",
		}},
	})

	for _, broken := range []lndview.Change{
		{Blocks: []chainscan.BlockStamp{stamp(tip+2, 0)}},
		{ClearTrail: true},
	} {
		broken.Outputs = []chainscan.Output{
			output(1, tip, []byte{1}),
		}
		broken.Publications = []lndview.Publication{publication(1)}
		err := s.ledger.Commit(t.Context(), broken)
		require.ErrorIs(t, err, lndview.ErrBroken)
		s.compare(t)
	}

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, s.ledger.Commit(gone, lndview.Change{
		Publications: []lndview.Publication{publication(1)},
	}))
	s.compare(t)
}

// testConcurrent checks that changes made at the same time are all stored.
func testConcurrent(t *testing.T, s *suite) {
	const writers = 8

	var group sync.WaitGroup
	failures := make([]error, writers)
	for i := range writers {
		change := lndview.Change{
			Publications: []lndview.Publication{
				publication(byte(i)),
			},
		}
		require.NoError(t, s.wanted.Apply(change))
		group.Go(func() {
			failures[i] = s.ledger.Commit(t.Context(), change)
		})
	}
	group.Wait()
	for _, err := range failures {
		require.NoError(t, err)
	}
	s.compare(t)
}

// stamp returns a block at a height on one of several chains.
func stamp(height int32, chain byte) chainscan.BlockStamp {
	return chainscan.BlockStamp{
		Height: height,
		Hash: chainhash.HashH([]byte{
			chain, byte(height), byte(height >> 8),
		}),
	}
}

// transaction returns a transaction that differs from others by a number.
func transaction(number byte) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	for i := range 2 {
		tx.AddTxIn(&wire.TxIn{
			PreviousOutPoint: wire.OutPoint{
				Hash:  chainhash.HashH([]byte{number}),
				Index: uint32(i),
			},
			Witness: wire.TxWitness{{number}},
		})
	}
	tx.AddTxOut(wire.NewTxOut(int64(number)+1, []byte{0x51}))

	return tx
}

// output returns an output of the transaction with a number.
func output(number byte, height int32, pkScript []byte) chainscan.Output {
	tx := transaction(number)

	return chainscan.Output{
		OutPoint: wire.OutPoint{Hash: tx.TxHash(), Index: 4},
		Script: chainscan.ScriptID{
			Family: 42060, Index: uint32(number),
		},
		PkScript:  pkScript,
		Value:     btcutil.Amount(number) * 1_000,
		Block:     stamp(height, 0),
		BlockTime: int64(height) * 600,
		FundingTx: raw(tx),
	}
}

// spend returns a spend by the transaction with a number.
func spend(number byte, height int32) *chainscan.Spend {
	tx := transaction(number)

	return &chainscan.Spend{
		TxID:       tx.TxHash(),
		InputIndex: 1,
		Block:      stamp(height, 0),
		BlockTime:  int64(height) * 600,
		SpendingTx: raw(tx),
	}
}

// publication returns a publication of the transaction with a number.
func publication(number byte) lndview.Publication {
	tx := transaction(number)
	p := lndview.Publication{TxID: tx.TxHash(), RawTx: raw(tx)}
	for _, in := range tx.TxIn {
		p.Inputs = append(p.Inputs, in.PreviousOutPoint)
	}

	return p
}

// raw serialises a transaction.
func raw(tx *wire.MsgTx) []byte {
	var buffer bytes.Buffer

	// A buffer does not fail.
	_ = tx.Serialize(&buffer)

	return buffer.Bytes()
}
