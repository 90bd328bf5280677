package recoverydb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// filledTime is when the runs of a filled journal were created.
var filledTime = time.Unix(1_700_000_000, 0).UTC()

const (
	// filledOutputs is the number of outputs of each scan.
	filledOutputs = 12

	// filledHeight is the height of the first of them.
	filledHeight = 1_000
)

// fill puts in a journal what a long life would: a run that ended in each state
// that a run can be stopped in, one that is not finished, the scans of two of
// them, what lnd's wallet cannot see, and spends that are waited for.
func fill(t *testing.T, db *DB) {
	t.Helper()

	table, _ := states.Current(states.Restore)
	for i, state := range table.Path {
		id := fmt.Sprintf("%032x", i)
		lead(t, db, id, table, state, true)
		if state == states.ScanDeposits || state == states.Reconciled {
			scan(t, db, id)
		}
	}
	lead(t, db, fmt.Sprintf("%032x", 99), table, states.RecreateAddress,
		false)
	see(t, db)
}

// lead leads a run to a state, and lets the user cancel it there if it is to be
// over.
func lead(t *testing.T, db *DB, id string, table states.Table,
	to states.State, over bool) {

	t.Helper()

	run := recoveryfsm.Run{
		ID: id, Kind: table.Kind, Version: table.Version,
		State: states.Start, Created: filledTime, Updated: filledTime,
		Facts: actions.Facts{
			Request: actions.Request{TokenID: id + id},
			Summary: json.RawMessage(`"` + id + `"`),
		},
	}
	journal := db.Journal()
	require.NoError(t, journal.CreateRun(t.Context(), run))

	step := func(event states.Event, next states.State) {
		run.LastSeq++
		from := run.State
		run.State = next
		run.Finished = next == states.Cancelled
		require.NoError(t, journal.SaveStep(t.Context(), run,
			recoveryfsm.Event{
				Seq: run.LastSeq, Time: filledTime, From: from,
				Event: event, To: next, Detail: "detail",
			}))
	}
	if to != states.Start {
		step(states.Begin, table.Path[0])
	}
	for i := 0; run.State != to; i++ {
		step(states.Done, table.Path[i+1])
	}
	if over {
		step(states.Cancel, states.Cancelled)
	}
}

// script is the output script of the n-th address of the tests.
func script(n byte) []byte {
	pkScript := make([]byte, 34)
	pkScript[0], pkScript[1], pkScript[2] = 0x51, 0x20, n

	return pkScript
}

// output is an output as the chain would have it.
func output(n int, spent bool) chainscan.Output {
	funding := wire.NewMsgTx(2)
	funding.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{
			Hash: chainhash.HashH([]byte(fmt.Sprint(n))),
		},
		Witness: wire.TxWitness{bytes.Repeat([]byte{1}, 64)},
	})
	funding.AddTxOut(wire.NewTxOut(int64(1_000+n), script(1)))
	found := chainscan.Output{
		OutPoint: wire.OutPoint{Hash: funding.TxHash()},
		Script:   chainscan.ScriptID{Family: 1, Index: 0},
		PkScript: script(1),
		Value:    btcutil.Amount(1_000 + n),
		Block: chainscan.BlockStamp{
			Height: int32(filledHeight + n),
			Hash:   chainhash.HashH([]byte{byte(n)}),
		},
		BlockTime: filledTime.Unix(),
		FundingTx: raw(funding),
	}
	if spent {
		spending := spend(found.OutPoint, n)
		found.Spend = &chainscan.Spend{
			TxID:       spending.TxHash(),
			Block:      found.Block,
			BlockTime:  found.BlockTime,
			SpendingTx: raw(spending),
		}
	}

	return found
}

// spend is a transaction that spends an output.
func spend(outPoint wire.OutPoint, n int) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{
		PreviousOutPoint: outPoint,
		Witness:          wire.TxWitness{bytes.Repeat([]byte{2}, 64)},
	})
	tx.AddTxOut(wire.NewTxOut(int64(n), script(9)))

	return tx
}

// raw returns a serialised transaction.
func raw(tx *wire.MsgTx) []byte {
	var buffer bytes.Buffer
	_ = tx.Serialize(&buffer)

	return buffer.Bytes()
}

// outputs are the outputs of a filled journal, every third one spent.
func outputs() []chainscan.Output {
	list := make([]chainscan.Output, filledOutputs)
	for n := range list {
		list[n] = output(n, n%3 == 0)
	}

	return list
}

// scan puts a scan's cursor and findings in a journal.
func scan(t *testing.T, db *DB, id string) {
	t.Helper()

	require.NoError(t, db.Checkpoint(id).Commit(t.Context(),
		chainscan.Chunk{
			Cursor: chainscan.Cursor{
				Birthday: filledHeight,
				Frontier: map[int32]uint32{1: 1},
			},
			Outputs: outputs(),
		}))
}

// see puts what lnd's wallet cannot see in a journal.
func see(t *testing.T, db *DB) {
	t.Helper()

	change := lndview.Change{
		Outputs: outputs(),
		Scripts: []lndview.Script{{
			PkScript: script(1), Blind: true, Run: "run",
			Birthday: filledHeight,
		}, {
			PkScript: script(2),
		}},
	}
	for height := range int32(lndview.TrailLength) {
		change.Blocks = append(change.Blocks, chainscan.BlockStamp{
			Height: filledHeight + height,
			Hash:   chainhash.HashH([]byte{byte(height)}),
		})
	}
	for n := 1; n < 4; n++ {
		tx := spend(output(n, false).OutPoint, 100+n)
		change.Publications = append(change.Publications,
			lndview.Publication{
				TxID: tx.TxHash(), RawTx: raw(tx),
				Height: filledHeight,
			})
	}
	require.NoError(t, db.Ledger().Commit(t.Context(), change))
}
