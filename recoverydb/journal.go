package recoverydb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/looprecovery/looprecovery/recoveryfsm"
)

// Journal keeps the runs and their events. It implements recoveryfsm.Journal.
type Journal struct {
	db *DB
}

var _ recoveryfsm.Journal = (*Journal)(nil)

// Journal returns the journal in the database.
func (db *DB) Journal() *Journal {
	return &Journal{db: db}
}

// runColumns are the columns of a run in the order of runFields and scanRun.
const runColumns = "id, kind, version, state, blocked_from, reason, detail, " +
	"attempt, last_error, next_retry, acting, crashes, crash_pass, " +
	"crash_height, created, updated, last_seq, finished, facts"

// CreateRun implements recoveryfsm.Journal.
func (j *Journal) CreateRun(ctx context.Context, run recoveryfsm.Run) error {
	return j.db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var unfinished int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM runs "+
			"WHERE finished = 0").Scan(&unfinished)
		if err != nil {
			return err
		}
		if unfinished > 0 {
			return recoveryfsm.ErrUnfinished
		}

		fields, err := runFields(run)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO runs ("+runColumns+
			") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "+
			"?, ?, ?, ?, ?)", fields...)

		return err
	})
}

// SaveIntent implements recoveryfsm.Journal.
func (j *Journal) SaveIntent(ctx context.Context, run recoveryfsm.Run) error {
	return j.db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := expect(ctx, tx, run.ID, run.Position())
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE runs SET acting = ?, "+
			"next_retry = ?, updated = ? WHERE id = ?", run.Acting,
			nanos(run.NextRetry), nanos(run.Updated), run.ID)

		return err
	})
}

// SaveStatus implements recoveryfsm.Journal.
func (j *Journal) SaveStatus(ctx context.Context, run recoveryfsm.Run) error {
	return j.db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return replace(ctx, tx, run, run.Position())
	})
}

// SaveStep implements recoveryfsm.Journal.
func (j *Journal) SaveStep(ctx context.Context, run recoveryfsm.Run,
	event recoveryfsm.Event) error {

	return j.db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := replace(ctx, tx, run, event.Position())
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO events (run_id, "+
			"seq, time, from_state, event, to_state, reason, "+
			"detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", run.ID,
			event.Seq, nanos(event.Time), event.From, event.Event,
			event.To, event.Reason, event.Detail)

		return err
	})
}

// SaveProgress implements recoveryfsm.Journal.
func (j *Journal) SaveProgress(ctx context.Context, id string,
	progress recoveryfsm.Progress) error {

	text, err := json.Marshal(progress)
	if err != nil {
		return err
	}

	return j.db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "UPDATE runs SET "+
			"progress = ? WHERE id = ?", text, id)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		if err == nil && changed == 0 {
			err = recoveryfsm.ErrNoRun
		}

		return err
	})
}

// Run implements recoveryfsm.Journal.
func (j *Journal) Run(ctx context.Context, id string) (recoveryfsm.Run,
	error) {

	runs, err := j.query(ctx, "WHERE id = ?", id)
	if err != nil {
		return recoveryfsm.Run{}, err
	}
	if len(runs) == 0 {
		return recoveryfsm.Run{}, recoveryfsm.ErrNoRun
	}

	return runs[0], nil
}

// Runs implements recoveryfsm.Journal.
func (j *Journal) Runs(ctx context.Context, limit int) ([]recoveryfsm.Run,
	error) {

	return j.query(ctx, "ORDER BY created DESC, id DESC LIMIT ?", limit)
}

// Unfinished implements recoveryfsm.Journal.
func (j *Journal) Unfinished(ctx context.Context) (*recoveryfsm.Run, error) {
	runs, err := j.query(ctx, "WHERE finished = 0")
	if err != nil || len(runs) == 0 {
		return nil, err
	}

	return &runs[0], nil
}

// Events implements recoveryfsm.Journal.
func (j *Journal) Events(ctx context.Context, id string, after uint64,
	limit int) ([]recoveryfsm.Event, error) {

	var events []recoveryfsm.Event
	err := j.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT seq, time, "+
			"from_state, event, to_state, reason, detail FROM "+
			"events WHERE run_id = ? AND seq > ? ORDER BY seq "+
			"LIMIT ?", id, after, limit)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()

		for rows.Next() {
			var (
				event recoveryfsm.Event
				saved int64
			)
			err := rows.Scan(
				&event.Seq, &saved, &event.From, &event.Event,
				&event.To, &event.Reason, &event.Detail,
			)
			if err != nil {
				return err
			}
			event.Time = moment(saved)
			events = append(events, event)
		}

		return rows.Err()
	})

	return events, err
}

// query returns the runs that a clause selects.
func (j *Journal) query(ctx context.Context, clause string, args ...any) (
	[]recoveryfsm.Run, error) {

	var runs []recoveryfsm.Run
	err := j.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT "+runColumns+
			", progress FROM runs "+clause, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()

		for rows.Next() {
			run, err := scanRun(rows)
			if err != nil {
				return err
			}
			runs = append(runs, run)
		}

		return rows.Err()
	})

	return runs, err
}

// expect returns nil if the stored run is unfinished and at the given position.
func expect(ctx context.Context, tx *sql.Tx, id string,
	position recoveryfsm.Position) error {

	var (
		stored   recoveryfsm.Position
		finished bool
	)
	err := tx.QueryRowContext(ctx, "SELECT state, last_seq, finished FROM "+
		"runs WHERE id = ?", id).Scan(
		&stored.State, &stored.LastSeq, &finished,
	)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return recoveryfsm.ErrNoRun

	case err != nil:
		return err

	case finished || stored != position:
		return recoveryfsm.ErrConflict
	}

	return nil
}

// replace stores all of a run but its progress and its creation, if what is
// stored is at the given position.
func replace(ctx context.Context, tx *sql.Tx, run recoveryfsm.Run,
	position recoveryfsm.Position) error {

	if err := expect(ctx, tx, run.ID, position); err != nil {
		return err
	}

	fields, err := runFields(run)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE runs SET (id, kind, version, "+
		"state, blocked_from, reason, detail, attempt, last_error, "+
		"next_retry, acting, crashes, crash_pass, crash_height, "+
		"created, updated, last_seq, finished, facts) = (?1, ?2, ?3, "+
		"?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, created, "+
		"?16, ?17, ?18, ?19) WHERE id = ?1", fields...)

	return err
}

// runFields returns the values of runColumns.
func runFields(run recoveryfsm.Run) ([]any, error) {
	facts, err := json.Marshal(run.Facts)
	if err != nil {
		return nil, fmt.Errorf("facts of run %s: %w", run.ID, err)
	}

	return []any{
		run.ID, run.Kind, run.Version, run.State, run.BlockedFrom,
		run.Reason, run.Detail, run.Attempt, run.LastError,
		nanos(run.NextRetry), run.Acting, run.Crashes,
		run.CrashMark.Pass, run.CrashMark.Height, nanos(run.Created),
		nanos(run.Updated), run.LastSeq, run.Finished, facts,
	}, nil
}

// scanRun reads runColumns and the progress.
func scanRun(rows *sql.Rows) (recoveryfsm.Run, error) {
	var (
		run                         recoveryfsm.Run
		nextRetry, created, updated int64
		facts, progress             []byte
	)
	err := rows.Scan(
		&run.ID, &run.Kind, &run.Version, &run.State, &run.BlockedFrom,
		&run.Reason, &run.Detail, &run.Attempt, &run.LastError,
		&nextRetry, &run.Acting, &run.Crashes, &run.CrashMark.Pass,
		&run.CrashMark.Height, &created, &updated, &run.LastSeq,
		&run.Finished, &facts, &progress,
	)
	if err != nil {
		return run, err
	}
	run.NextRetry = moment(nextRetry)
	run.Created = moment(created)
	run.Updated = moment(updated)

	if err := json.Unmarshal(facts, &run.Facts); err != nil {
		return run, fmt.Errorf("facts of run %s: %w", run.ID, err)
	}
	if progress == nil {
		return run, nil
	}
	if err := json.Unmarshal(progress, &run.Progress); err != nil {
		return run, fmt.Errorf("progress of run %s: %w", run.ID, err)
	}

	return run, nil
}

// nanos returns a time as it is stored, in unix nanoseconds, 0 for none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}

	return t.UnixNano()
}

// moment returns a stored time.
func moment(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}

	return time.Unix(0, nanos).UTC()
}
