package recoverydb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/chainscan"
)

// Checkpoint keeps the progress of the scan of one run. It implements
// chainscan.Checkpoint.
type Checkpoint struct {
	db    *DB
	runID string
}

var _ chainscan.Checkpoint = (*Checkpoint)(nil)

// Checkpoint returns the checkpoint of a run's scan. A run that never scanned
// has an empty one.
func (db *DB) Checkpoint(runID string) *Checkpoint {
	return &Checkpoint{
		db:    db,
		runID: runID,
	}
}

// Load returns the scan's cursor, or nil if it has not begun, and all outputs
// found so far, sorted.
func (c *Checkpoint) Load(ctx context.Context) (*chainscan.Cursor,
	[]chainscan.Output, error) {

	var (
		cursor  *chainscan.Cursor
		outputs []chainscan.Output
	)
	err := c.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var err error
		if cursor, err = c.loadCursor(ctx, tx); err != nil {
			return fmt.Errorf("scan cursor: %w", err)
		}
		if cursor == nil {
			return nil
		}

		if outputs, err = c.loadOutputs(ctx, tx); err != nil {
			return fmt.Errorf("scan outputs: %w", err)
		}

		return nil
	})
	if err != nil {
		return nil, nil, err
	}

	return cursor, outputs, nil
}

// Result returns the outputs that are part of the scan's result at its cursor,
// sorted by height, transaction and index.
func (c *Checkpoint) Result(ctx context.Context) ([]chainscan.Output, error) {
	cursor, outputs, err := c.Load(ctx)
	if err != nil || cursor == nil {
		return nil, err
	}

	return chainscan.Select(*cursor, outputs), nil
}

// Commit stores a chunk in one transaction.
func (c *Checkpoint) Commit(ctx context.Context, chunk chainscan.Chunk) error {
	return c.db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := c.saveCursor(ctx, tx, chunk.Cursor); err != nil {
			return fmt.Errorf("scan cursor: %w", err)
		}

		if chunk.RollbackTo != nil {
			err := c.rollBack(ctx, tx, chunk.RollbackTo.Height)
			if err != nil {
				return fmt.Errorf("scan rollback: %w", err)
			}
		}

		err := c.saveTransactions(ctx, tx, chunk)
		if err != nil {
			return fmt.Errorf("scan transaction: %w", err)
		}
		for _, output := range chunk.Outputs {
			if err := c.saveOutput(ctx, tx, output); err != nil {
				return fmt.Errorf("scan output: %w", err)
			}
		}
		for _, spend := range chunk.Spends {
			if err := c.saveSpend(ctx, tx, spend); err != nil {
				return fmt.Errorf("scan spend: %w", err)
			}
		}

		return nil
	})
}

// loadCursor reads the cursor, or nil.
func (c *Checkpoint) loadCursor(ctx context.Context, tx *sql.Tx) (
	*chainscan.Cursor, error) {

	var text []byte
	err := tx.QueryRowContext(
		ctx, "SELECT cursor FROM scans WHERE run_id = ?", c.runID,
	).Scan(&text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil

	case err != nil:
		return nil, err
	}

	cursor := &chainscan.Cursor{}
	if err := json.Unmarshal(text, cursor); err != nil {
		return nil, err
	}

	return cursor, nil
}

// saveCursor writes the cursor.
func (c *Checkpoint) saveCursor(ctx context.Context, tx *sql.Tx,
	cursor chainscan.Cursor) error {

	text, err := json.Marshal(cursor)
	if err != nil {
		return err
	}

	_, err = tx.ExecContext(
		ctx, `INSERT INTO scans (run_id, cursor) VALUES (?, ?)
		ON CONFLICT (run_id) DO UPDATE SET cursor = excluded.cursor`,
		c.runID, text,
	)

	return err
}

// rollBack removes all outputs and spends above a height, and the transactions
// that nothing refers to any more.
func (c *Checkpoint) rollBack(ctx context.Context, tx *sql.Tx,
	height int32) error {

	for _, statement := range []string{
		`DELETE FROM scan_outputs WHERE run_id = ?1 AND height > ?2`,

		`UPDATE scan_outputs SET spend_txid = NULL, spend_input = NULL,
			spend_height = NULL, spend_hash = NULL,
			spend_time = NULL
		WHERE run_id = ?1 AND spend_height > ?2`,

		`DELETE FROM scan_transactions WHERE run_id = ?1
			AND ?2 IS NOT NULL
			AND txid NOT IN (
				SELECT txid FROM scan_outputs
				WHERE run_id = ?1
				UNION ALL
				SELECT spend_txid FROM scan_outputs
				WHERE run_id = ?1 AND spend_txid IS NOT NULL
			)`,
	} {
		_, err := tx.ExecContext(ctx, statement, c.runID, height)
		if err != nil {
			return err
		}
	}

	return nil
}

// saveOutput writes an output, with its spend if it has one. An output that is
// there already stays as it is.
func (c *Checkpoint) saveOutput(ctx context.Context, tx *sql.Tx,
	output chainscan.Output) error {

	txid := output.OutPoint.Hash
	result, err := tx.ExecContext(
		ctx, `INSERT INTO scan_outputs (run_id, txid, output_index,
			family, key_index, pk_script, value, height,
			block_hash, block_time)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`,
		c.runID, txid[:], output.OutPoint.Index,
		output.Script.Family, output.Script.Index, output.PkScript,
		int64(output.Value), output.Block.Height,
		output.Block.Hash[:], output.BlockTime,
	)
	if err != nil || output.Spend == nil {
		return err
	}

	inserted, err := result.RowsAffected()
	if err != nil || inserted == 0 {
		return err
	}

	return c.saveSpend(ctx, tx, chainscan.OutputSpend{Output: output})
}

// saveSpend writes the spend of an output that is there.
func (c *Checkpoint) saveSpend(ctx context.Context, tx *sql.Tx,
	spend chainscan.OutputSpend) error {

	outPoint, by := spend.Output.OutPoint, spend.Output.Spend
	if by == nil {
		return fmt.Errorf("no spend of output %v", outPoint)
	}

	result, err := tx.ExecContext(
		ctx, `UPDATE scan_outputs SET spend_txid = ?, spend_input = ?,
			spend_height = ?, spend_hash = ?, spend_time = ?
		WHERE run_id = ? AND txid = ? AND output_index = ?`,
		by.TxID[:], by.InputIndex, by.Block.Height, by.Block.Hash[:],
		by.BlockTime, c.runID, outPoint.Hash[:], outPoint.Index,
	)
	if err != nil {
		return err
	}

	updated, err := result.RowsAffected()
	if err == nil && updated != 1 {
		err = fmt.Errorf("output %v is not stored", outPoint)
	}

	return err
}

// saveTransactions writes the transactions of a chunk, once each: one of them
// can hold thousands of outputs.
func (c *Checkpoint) saveTransactions(ctx context.Context, tx *sql.Tx,
	chunk chainscan.Chunk) error {

	raw := make(map[chainhash.Hash][]byte)
	for _, output := range chunk.Outputs {
		raw[output.OutPoint.Hash] = output.FundingTx
		if output.Spend != nil {
			raw[output.Spend.TxID] = output.Spend.SpendingTx
		}
	}
	for _, spend := range chunk.Spends {
		if by := spend.Output.Spend; by != nil {
			raw[by.TxID] = by.SpendingTx
		}
	}
	for txid, bytes := range raw {
		if err := c.saveTransaction(ctx, tx, txid, bytes); err != nil {
			return err
		}
	}

	return nil
}

// saveTransaction writes a transaction. The same one can come back with another
// witness after a reorg.
func (c *Checkpoint) saveTransaction(ctx context.Context, tx *sql.Tx,
	txid chainhash.Hash, raw []byte) error {

	_, err := tx.ExecContext(
		ctx, `INSERT INTO scan_transactions (run_id, txid, tx)
		VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET tx = excluded.tx
		WHERE tx <> excluded.tx`,
		c.runID, txid[:], raw,
	)

	return err
}

// loadOutputs reads all outputs.
func (c *Checkpoint) loadOutputs(ctx context.Context, tx *sql.Tx) (
	[]chainscan.Output, error) {

	transactions, err := c.loadTransactions(ctx, tx)
	if err != nil {
		return nil, err
	}

	rows, err := tx.QueryContext(
		ctx, `SELECT txid, output_index, family, key_index, pk_script,
			value, height, block_hash, block_time, spend_txid,
			spend_input, spend_height, spend_hash, spend_time
		FROM scan_outputs WHERE run_id = ?`, c.runID,
	)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var outputs []chainscan.Output
	for rows.Next() {
		output, err := scanOutput(rows, transactions)
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, output)
	}
	slices.SortFunc(outputs, chainscan.CompareOutputs)

	return outputs, rows.Err()
}

// loadTransactions reads all transactions, so that outputs share their bytes.
func (c *Checkpoint) loadTransactions(ctx context.Context, tx *sql.Tx) (
	map[chainhash.Hash][]byte, error) {

	rows, err := tx.QueryContext(
		ctx, "SELECT txid, tx FROM scan_transactions WHERE run_id = ?",
		c.runID,
	)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	transactions := make(map[chainhash.Hash][]byte)
	for rows.Next() {
		var txid, raw []byte
		if err := rows.Scan(&txid, &raw); err != nil {
			return nil, err
		}

		hash, err := chainhash.NewHash(txid)
		if err != nil {
			return nil, err
		}
		transactions[*hash] = raw
	}

	return transactions, rows.Err()
}

// outputRow is a row of outputs with columns that need a conversion.
type outputRow struct {
	output                  chainscan.Output
	value                   int64
	txid, blockHash         []byte
	spendTxID, spendHash    []byte
	spendInput, spendHeight sql.NullInt64
	spendTime               sql.NullInt64
}

// scanOutput reads one row of outputs.
func scanOutput(rows *sql.Rows, transactions map[chainhash.Hash][]byte) (
	chainscan.Output, error) {

	var row outputRow
	err := rows.Scan(
		&row.txid, &row.output.OutPoint.Index,
		&row.output.Script.Family, &row.output.Script.Index,
		&row.output.PkScript, &row.value, &row.output.Block.Height,
		&row.blockHash, &row.output.BlockTime, &row.spendTxID,
		&row.spendInput, &row.spendHeight, &row.spendHash,
		&row.spendTime,
	)
	if err != nil {
		return chainscan.Output{}, err
	}

	return row.convert(transactions)
}

// convert returns the output of a row.
func (r *outputRow) convert(transactions map[chainhash.Hash][]byte) (
	chainscan.Output, error) {

	output := r.output
	output.Value = btcutil.Amount(r.value)

	err := errors.Join(
		output.OutPoint.Hash.SetBytes(r.txid),
		output.Block.Hash.SetBytes(r.blockHash),
	)
	if err != nil {
		return chainscan.Output{}, err
	}
	output.FundingTx, err = transaction(transactions, output.OutPoint.Hash)
	if err != nil || r.spendTxID == nil {
		return output, err
	}

	spend := &chainscan.Spend{
		InputIndex: uint32(r.spendInput.Int64),
		Block: chainscan.BlockStamp{
			Height: int32(r.spendHeight.Int64),
		},
		BlockTime: r.spendTime.Int64,
	}
	err = errors.Join(
		spend.TxID.SetBytes(r.spendTxID),
		spend.Block.Hash.SetBytes(r.spendHash),
	)
	if err != nil {
		return chainscan.Output{}, err
	}
	spend.SpendingTx, err = transaction(transactions, spend.TxID)
	output.Spend = spend

	return output, err
}

// transaction returns the bytes of a transaction that a row refers to.
func transaction(transactions map[chainhash.Hash][]byte, txid chainhash.Hash) (
	[]byte, error) {

	raw, ok := transactions[txid]
	if !ok {
		return nil, fmt.Errorf("transaction %v is missing", txid)
	}

	return raw, nil
}
