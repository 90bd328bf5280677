package recoverydb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/recoveryfsm"
)

// allRows is SQLite's limit of a query without one.
const allRows = -1

// verify reads everything and checks what SQLite cannot: that it decodes, and
// that its parts fit together. It returns an error with a Damage if they do
// not.
func (db *DB) verify(ctx context.Context) error {
	for _, part := range []func(context.Context) error{
		db.verifyRuns, db.verifyScans, db.verifyLedger,
		func(ctx context.Context) error {
			_, err := db.loadSetAsides(ctx)

			return err
		},
	} {
		if err := part(ctx); err != nil {
			return invalid(err)
		}
	}

	return nil
}

// invalid makes an error of reading one with a Damage, unless it is SQLite's.
func invalid(err error) error {
	if resultCode(err) != 0 || damageOf(err) != "" ||
		errors.Is(err, context.DeadlineExceeded) {

		return err
	}

	return &damageError{damage: Invalid, cause: err}
}

// verifyRuns checks all runs.
func (db *DB) verifyRuns(ctx context.Context) error {
	runs, err := db.Journal().Runs(ctx, allRows)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := db.verifyRun(ctx, run); err != nil {
			return err
		}
	}

	return nil
}

// verifyRun checks that a run has all its events and stands where the last one
// led.
func (db *DB) verifyRun(ctx context.Context, run recoveryfsm.Run) error {
	events, err := db.Journal().Events(ctx, run.ID, 0, allRows)
	if err != nil {
		return err
	}
	if uint64(len(events)) != run.LastSeq {
		return fmt.Errorf("run %s has %d events of %d", run.ID,
			len(events), run.LastSeq)
	}
	for i, event := range events {
		if event.Seq != uint64(i)+1 {
			return fmt.Errorf("run %s lacks event %d", run.ID, i+1)
		}
	}
	if len(events) > 0 && events[len(events)-1].To != run.State {
		return fmt.Errorf("run %s is in %s, its last event led to %s",
			run.ID, run.State, events[len(events)-1].To)
	}

	return nil
}

// verifyScans checks all scans.
func (db *DB) verifyScans(ctx context.Context) error {
	ids, err := db.scanIDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, outputs, err := db.Checkpoint(id).Load(ctx)
		if err != nil {
			return err
		}
		if err := verifyOutputs(outputs); err != nil {
			return err
		}
	}

	return nil
}

// scanIDs returns the runs that have a scan.
func (db *DB) scanIDs(ctx context.Context) ([]string, error) {
	var ids []string
	err := db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return eachRow(ctx, tx, "SELECT run_id FROM scans",
			func(rows *sql.Rows) error {
				var id string
				err := rows.Scan(&id)
				ids = append(ids, id)

				return err
			})
	})

	return ids, err
}

// verifyLedger checks what lnd's wallet cannot see.
func (db *DB) verifyLedger(ctx context.Context) error {
	snapshot, err := db.Ledger().Load(ctx)
	if err != nil {
		return err
	}
	for _, output := range snapshot.Outputs {
		err := verifyOutputs([]chainscan.Output{output})
		if err != nil {
			return err
		}
	}
	for _, publication := range snapshot.Publications {
		_, err := verifyTx(publication.RawTx, publication.TxID)
		if err != nil {
			return err
		}
	}

	return snapshot.Check()
}

// verifyOutputs checks outputs against the transactions that make and spend
// them.
func verifyOutputs(outputs []chainscan.Output) error {
	for _, output := range outputs {
		outPoint := output.OutPoint
		tx, err := verifyTx(output.FundingTx, outPoint.Hash)
		if err != nil {
			return err
		}
		if int(outPoint.Index) >= len(tx.TxOut) ||
			tx.TxOut[outPoint.Index].Value != int64(output.Value) ||
			!bytes.Equal(tx.TxOut[outPoint.Index].PkScript,
				output.PkScript) {

			return fmt.Errorf("output %v is not the one that its "+
				"transaction makes", outPoint)
		}

		spend := output.Spend
		if spend == nil {
			continue
		}
		tx, err = verifyTx(spend.SpendingTx, spend.TxID)
		if err != nil {
			return err
		}
		if int(spend.InputIndex) >= len(tx.TxIn) ||
			tx.TxIn[spend.InputIndex].PreviousOutPoint != outPoint {

			return fmt.Errorf("output %v is not spent by %v",
				outPoint, spend.TxID)
		}
	}

	return nil
}

// verifyTx decodes a transaction and checks its hash.
func verifyTx(raw []byte, txID chainhash.Hash) (*wire.MsgTx, error) {
	var tx wire.MsgTx
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("transaction %v: %w", txID, err)
	}
	if tx.TxHash() != txID {
		return nil, fmt.Errorf("transaction %v is stored as %v",
			tx.TxHash(), txID)
	}

	return &tx, nil
}
