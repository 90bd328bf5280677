package recoverydb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/lndview"
)

// Ledger keeps what lnd's wallet cannot see.
type Ledger struct {
	db *DB
}

var _ lndview.Ledger = (*Ledger)(nil)

// Ledger returns the part of the database that belongs to package lndview.
func (db *DB) Ledger() *Ledger {
	return &Ledger{db: db}
}

// Load returns everything that was committed. Of a newer version's ledger it
// returns as much as can be relied on (see lndview.Snapshot.Doubted): that may
// keep what a scan proved somewhere else.
func (l *Ledger) Load(ctx context.Context) (*lndview.Snapshot, error) {
	snapshot, err := l.load(ctx)
	if !l.db.report.ReadOnly() {
		return snapshot, err
	}
	if err != nil {
		log.Warnf("The ledger is not read: %v", err)
		snapshot = lndview.NewSnapshot()
	}

	return snapshot.Doubted(), nil
}

// load reads all tables.
func (l *Ledger) load(ctx context.Context) (*lndview.Snapshot, error) {
	snapshot := lndview.NewSnapshot()
	loaders := []func(context.Context, *sql.Tx, *lndview.Snapshot) error{
		loadScripts, loadOutputs, loadTrail, loadPublications,
		loadUnproven,
	}
	err := l.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, load := range loaders {
			if err := load(ctx, tx, snapshot); err != nil {
				return err
			}
		}

		return nil
	})
	if err != nil {
		return nil, err
	}

	return snapshot, nil
}

// Commit stores a change in one transaction. Its parts take effect in the order
// of lndview.Change's fields.
func (l *Ledger) Commit(ctx context.Context, change lndview.Change) error {
	return l.db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		w := &ledgerWriter{ctx: ctx, tx: tx}

		for _, pkScript := range change.Replace {
			w.exec("DELETE FROM view_outputs WHERE pk_script = ?",
				pkScript)
		}
		if change.RollbackTo != nil {
			w.rollback(*change.RollbackTo)
		}
		if change.ClearTrail {
			w.exec("DELETE FROM view_trail")
		}
		for _, output := range change.Outputs {
			w.output(output)
		}
		w.advance(change.Blocks)
		for _, script := range change.Scripts {
			w.exec(`INSERT OR REPLACE INTO view_scripts
				(pk_script, pending, blind, run, birthday)
				VALUES (?, ?, ?, ?, ?)`,
				script.PkScript, script.Pending, script.Blind,
				script.Run, script.Birthday)
		}
		for _, txID := range change.Forget {
			w.exec("DELETE FROM view_publications WHERE tx_id = ?",
				txID[:])
		}
		for _, p := range change.Publications {
			w.exec(`INSERT OR REPLACE INTO view_publications
				(tx_id, raw_tx, height, listed)
				VALUES (?, ?, ?, ?)`,
				p.TxID[:], p.RawTx, p.Height, p.Listed)
		}
		if change.Named {
			w.exec("UPDATE set_asides SET settled = 1")
		}

		return w.check()
	})
}

// ledgerWriter executes statements until one fails.
type ledgerWriter struct {
	ctx context.Context
	tx  *sql.Tx
	err error
}

// exec executes a statement, unless one before it failed.
func (w *ledgerWriter) exec(statement string, args ...any) {
	if w.err == nil {
		_, w.err = w.tx.ExecContext(w.ctx, statement, args...)
	}
}

// rollback removes what was found above a block and makes it the last one.
func (w *ledgerWriter) rollback(to chainscan.BlockStamp) {
	w.exec("DELETE FROM view_outputs WHERE block_height > ?", to.Height)
	w.exec(`UPDATE view_outputs SET spend_tx_id = NULL,
		spend_input = NULL, spend_block_height = NULL,
		spend_block_hash = NULL, spend_block_time = NULL,
		spending_tx = NULL
		WHERE spend_block_height > ?`, to.Height)
	w.exec("DELETE FROM view_trail WHERE height > ?", to.Height)

	// What is left of the trail must end in that very block.
	w.exec(`DELETE FROM view_trail WHERE NOT EXISTS (
		SELECT 1 FROM view_trail WHERE height = ? AND hash = ?)`,
		to.Height, to.Hash[:])
	w.exec("INSERT OR IGNORE INTO view_trail (height, hash) VALUES (?, ?)",
		to.Height, to.Hash[:])
}

// output stores an output with its spend.
func (w *ledgerWriter) output(output chainscan.Output) {
	args := []any{
		output.OutPoint.Hash[:], output.OutPoint.Index,
		output.Script.Family, output.Script.Index, output.PkScript,
		int64(output.Value), output.Block.Height,
		output.Block.Hash[:], output.BlockTime, output.FundingTx,
	}
	if s := output.Spend; s != nil {
		args = append(args, s.TxID[:], s.InputIndex, s.Block.Height,
			s.Block.Hash[:], s.BlockTime, s.SpendingTx)
	} else {
		args = append(args, nil, nil, nil, nil, nil, nil)
	}

	w.exec(`INSERT OR REPLACE INTO view_outputs
		(tx_id, output_index, key_family, key_index, pk_script, value,
		block_height, block_hash, block_time, funding_tx, spend_tx_id,
		spend_input, spend_block_height, spend_block_hash,
		spend_block_time, spending_tx)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		args...)
}

// advance appends blocks to the trail and cuts it.
func (w *ledgerWriter) advance(blocks []chainscan.BlockStamp) {
	for _, block := range blocks {
		w.exec("INSERT INTO view_trail (height, hash) VALUES (?, ?)",
			block.Height, block.Hash[:])
	}
	w.exec(`DELETE FROM view_trail WHERE height <=
		(SELECT max(height) FROM view_trail) - ?`, lndview.TrailLength)
}

// check asserts what must hold between the tables: the trail has no gap, and
// there is one if a script is covered.
func (w *ledgerWriter) check() error {
	if w.err != nil {
		return w.err
	}

	var gaps, untrailed bool
	err := w.tx.QueryRowContext(w.ctx, `SELECT
		(SELECT count(*) <> coalesce(max(height) - min(height) + 1, 0)
			FROM view_trail),
		EXISTS (SELECT 1 FROM view_scripts WHERE run <> '')
			AND NOT EXISTS (SELECT 1 FROM view_trail)`,
	).Scan(&gaps, &untrailed)
	switch {
	case err != nil:
		return err

	case gaps:
		return fmt.Errorf("%w: a gap between followed blocks",
			lndview.ErrBroken)

	case untrailed:
		return fmt.Errorf("%w: a covered script without a followed "+
			"block", lndview.ErrBroken)
	}

	return nil
}

// loadScripts reads the scripts.
func loadScripts(ctx context.Context, tx *sql.Tx,
	snapshot *lndview.Snapshot) error {

	return eachRow(ctx, tx, `SELECT pk_script, pending, blind, run,
		birthday FROM view_scripts`, func(rows *sql.Rows) error {

		var script lndview.Script
		err := rows.Scan(
			&script.PkScript, &script.Pending, &script.Blind,
			&script.Run, &script.Birthday,
		)
		snapshot.Scripts[string(script.PkScript)] = script

		return err
	})
}

// loadOutputs reads the outputs with their spends.
func loadOutputs(ctx context.Context, tx *sql.Tx,
	snapshot *lndview.Snapshot) error {

	return eachRow(ctx, tx, `SELECT tx_id, output_index, key_family,
		key_index, pk_script, value, block_height, block_hash,
		block_time, funding_tx, spend_tx_id, spend_input,
		spend_block_height, spend_block_hash, spend_block_time,
		spending_tx FROM view_outputs`, func(rows *sql.Rows) error {

		output, err := scanViewOutput(rows)
		if err == nil {
			snapshot.Outputs[output.OutPoint] = output
		}

		return err
	})
}

// scanViewOutput reads one output.
func scanViewOutput(rows *sql.Rows) (chainscan.Output, error) {
	var (
		output                    chainscan.Output
		txID, block               []byte
		spendTx, spendBlock       []byte
		value                     int64
		input, spendHeight, spent sql.NullInt64
		spendingTx                []byte
	)
	err := rows.Scan(
		&txID, &output.OutPoint.Index, &output.Script.Family,
		&output.Script.Index, &output.PkScript, &value,
		&output.Block.Height, &block, &output.BlockTime,
		&output.FundingTx, &spendTx, &input, &spendHeight, &spendBlock,
		&spent, &spendingTx,
	)
	if err != nil {
		return chainscan.Output{}, err
	}
	output.Value = btcutil.Amount(value)

	err = errors.Join(
		output.OutPoint.Hash.SetBytes(txID),
		output.Block.Hash.SetBytes(block),
	)
	if err != nil || spendTx == nil {
		return output, err
	}

	output.Spend = &chainscan.Spend{
		InputIndex: uint32(input.Int64),
		Block: chainscan.BlockStamp{
			Height: int32(spendHeight.Int64),
		},
		BlockTime:  spent.Int64,
		SpendingTx: spendingTx,
	}

	return output, errors.Join(
		output.Spend.TxID.SetBytes(spendTx),
		output.Spend.Block.Hash.SetBytes(spendBlock),
	)
}

// loadTrail reads the last followed blocks.
func loadTrail(ctx context.Context, tx *sql.Tx,
	snapshot *lndview.Snapshot) error {

	return eachRow(ctx, tx, `SELECT height, hash FROM view_trail
		ORDER BY height`, func(rows *sql.Rows) error {

		var (
			stamp chainscan.BlockStamp
			hash  []byte
		)
		err := rows.Scan(&stamp.Height, &hash)
		if err != nil {
			return err
		}
		snapshot.Trail = append(snapshot.Trail, stamp)

		return snapshot.Trail[len(snapshot.Trail)-1].Hash.SetBytes(hash)
	})
}

// publicationColumns are the columns that scanPublication reads.
const publicationColumns = "tx_id, raw_tx, height, listed"

// loadPublications reads our own spends.
func loadPublications(ctx context.Context, tx *sql.Tx,
	snapshot *lndview.Snapshot) error {

	return eachRow(ctx, tx, "SELECT "+publicationColumns+
		" FROM view_publications", func(rows *sql.Rows) error {

		_, p, err := scanPublication(rows)
		snapshot.Publications[p.TxID] = p

		return err
	})
}

// scanPublication reads one publication, and its key as it is stored.
func scanPublication(rows *sql.Rows) ([]byte, lndview.Publication, error) {
	var (
		p    lndview.Publication
		txID []byte
	)
	err := rows.Scan(&txID, &p.RawTx, &p.Height, &p.Listed)
	if err != nil {
		return txID, p, err
	}
	if err := p.TxID.SetBytes(txID); err != nil {
		return txID, p, err
	}
	p.Inputs, err = txInputs(p.RawTx, p.TxID)

	return txID, p, err
}

// loadUnproven reads whether a ledger before this one was lost, and nobody has
// named the scripts concerned yet.
func loadUnproven(ctx context.Context, tx *sql.Tx,
	snapshot *lndview.Snapshot) error {

	return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM set_asides
		WHERE settled = 0)`).Scan(&snapshot.Unproven)
}

// txInputs returns the outpoints that a serialised transaction spends.
func txInputs(raw []byte, txID chainhash.Hash) ([]wire.OutPoint, error) {
	var tx wire.MsgTx
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("publication %v: %w", txID, err)
	}

	inputs := make([]wire.OutPoint, len(tx.TxIn))
	for i, in := range tx.TxIn {
		inputs[i] = in.PreviousOutPoint
	}

	return inputs, nil
}

// eachRow calls a function for each row that a query returns.
func eachRow(ctx context.Context, tx *sql.Tx, query string,
	read func(*sql.Rows) error) error {

	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()

	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}

	return rows.Err()
}
