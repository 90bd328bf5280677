package recoverydb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReadAfterInterruptedReads checks that a reader sees what was committed
// before it began, however many readers before it went away in the middle: a
// client that ends its stream interrupts a query, and the next client must not
// be answered from the moment of the first.
func TestReadAfterInterruptedReads(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "recovery.db"))
	ctx := t.Context()

	err := db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO runs VALUES ('a', "+
			"'', 1, '', '', '', '', 0, '', 0, 0, 0, 0, 0, 0, 0, "+
			"0, 0, x'', NULL)")

		return err
	})
	require.NoError(t, err)

	// The query is long enough to be interrupted while it runs.
	impatient := func(patience time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()

		_ = db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
			rows, err := tx.QueryContext(ctx, "WITH RECURSIVE "+
				"n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "+
				"FROM n WHERE i < 2000) "+
				"SELECT i, runs.id FROM n, runs")
			if err != nil {
				return err
			}
			for rows.Next() {
			}

			return errors.Join(rows.Err(), rows.Close())
		})
	}

	for round := range 40 {
		var readers sync.WaitGroup
		for reader := range maxReaders {
			patience := time.Duration(round*7%100+reader*13) *
				10 * time.Microsecond
			readers.Go(func() { impatient(patience) })
		}

		err := db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx,
				"UPDATE runs SET attempt = ?", round)

			return err
		})
		require.NoError(t, err)

		var seen int
		err = db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
			return tx.QueryRowContext(ctx,
				"SELECT attempt FROM runs").Scan(&seen)
		})
		require.NoError(t, err)
		require.Equal(t, round, seen)
		readers.Wait()
	}
}

// TestWriteAfterInterruptedWrites checks that a write that was interrupted
// leaves nothing behind: neither a part of itself nor a transaction that the
// next one would find open.
func TestWriteAfterInterruptedWrites(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "recovery.db"))
	ctx := t.Context()

	insert := func(ctx context.Context, id string, rows int) error {
		return db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "WITH RECURSIVE n(i) AS "+
				"(SELECT 1 UNION ALL SELECT i + 1 FROM n "+
				"WHERE i < ?) INSERT INTO runs SELECT ? || i, "+
				"'', 1, '', '', '', '', 0, '', 0, 0, 0, 0, 0, "+
				"0, 0, 0, 1, x'', NULL FROM n", rows, id)

			return err
		})
	}

	wanted := 0
	for round := range 40 {
		patience := time.Duration(round*7%100) * 20 * time.Microsecond
		short, cancel := context.WithTimeout(ctx, patience)
		id := fmt.Sprintf("%d-", round)
		if insert(short, "a"+id, 1000) == nil {
			wanted += 1000
		}
		cancel()

		require.NoError(t, insert(ctx, "b"+id, 1))
		wanted++
	}

	var seen int
	require.NoError(t, db.view(ctx, func(ctx context.Context,
		tx *sql.Tx) error {

		return tx.QueryRowContext(ctx,
			"SELECT count(*) FROM runs").Scan(&seen)
	}))
	require.Equal(t, wanted, seen)
}
