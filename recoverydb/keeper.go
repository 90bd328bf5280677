package recoverydb

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/looprecovery/looprecovery/internal/keeper"
)

// Keeper is what the keeper of the backups remembers.
type Keeper struct {
	db *DB
}

var _ keeper.Memory = (*Keeper)(nil)

// Keeper returns the part of the database that belongs to package keeper.
func (db *DB) Keeper() *Keeper {
	return &Keeper{db: db}
}

// Pair implements keeper.Memory.
func (k *Keeper) Pair(ctx context.Context, id keeper.PairID) (*keeper.Pair,
	error) {

	var pair *keeper.Pair
	err := k.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var err error
		pair, err = loadPair(ctx, tx, id)

		return err
	})

	return pair, err
}

// loadPair reads a proof, or nil if there is none.
func loadPair(ctx context.Context, tx *sql.Tx, id keeper.PairID) (*keeper.Pair,
	error) {

	pair := &keeper.Pair{PairID: id}
	var nanoseconds int64
	err := tx.QueryRowContext(ctx, `SELECT proof, time FROM keeper_pairs
		WHERE token_id = ? AND client_key = ?`,
		id.TokenID[:], id.ClientKey[:],
	).Scan(&pair.Proof, &nanoseconds)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil

	case err != nil:
		return nil, err
	}
	pair.When = time.Unix(0, nanoseconds)

	return pair, nil
}

// RecordPair implements keeper.Memory.
func (k *Keeper) RecordPair(ctx context.Context, pair keeper.Pair) error {
	return k.db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		known, err := loadPair(ctx, tx, pair.PairID)
		if err != nil || known != nil && !pair.Outranks(*known) {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO
			keeper_pairs (token_id, client_key, proof, time)
			VALUES (?, ?, ?, ?)`, pair.TokenID[:],
			pair.ClientKey[:], string(pair.Proof),
			pair.When.UnixNano())

		return err
	})
}

// MountRoot implements keeper.Memory.
func (k *Keeper) MountRoot(ctx context.Context, place string) (string, error) {
	var root string
	err := k.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT root FROM keeper_mounts
			WHERE place = ?`, place).Scan(&root)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}

		return err
	})

	return root, err
}

// RecordMountRoot implements keeper.Memory.
func (k *Keeper) RecordMountRoot(ctx context.Context, place,
	root string) error {

	return k.db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO
			keeper_mounts (place, root) VALUES (?, ?)`, place, root)

		return err
	})
}
