package recoverydb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// salvageTime bounds the reading of a damaged database.
	salvageTime = 10 * time.Second

	// salvageRows is the number of rows of a table that are salvaged at
	// the most.
	salvageRows = 1_000_000
)

// salvageTable is a table that is salvaged.
type salvageTable struct {
	// name is the name of the table.
	name string

	// key are the columns of the key in whose order the table is stored.
	// A table can be read in it without its indexes.
	key []string
}

// salvageTables are the tables that are salvaged, those first that others refer
// to.
var salvageTables = []salvageTable{
	{name: "runs", key: []string{"rowid"}},
	{name: "events", key: []string{"run_id", "seq"}},
	{name: "scans", key: []string{"rowid"}},
	{name: "scan_transactions", key: []string{"run_id", "txid"}},
	{name: "scan_outputs", key: []string{"run_id", "txid", "output_index"}},
	{name: "view_scripts", key: []string{"rowid"}},
	{name: "view_publications", key: []string{"rowid"}},
	{name: "set_asides", key: []string{"rowid"}},
	{name: "keeper_pairs", key: []string{"token_id", "client_key"}},
	{name: "keeper_mounts", key: []string{"place"}},
}

// unsalvagedTables are the tables that are not: what a scan had proved is worth
// something as a whole only. A missing output would be taken for a spent one.
// The wallet counts as blind until another scan has ended.
var unsalvagedTables = []string{"view_outputs", "view_trail"}

// salvager takes over what can be read of a damaged database.
type salvager struct {
	// source is the damaged database, nil if it cannot be read at all.
	source *sql.DB

	// target is the new one.
	target *DB

	// damage is what is wrong with the source.
	damage Damage

	// reports are the outcomes by table, in the order of salvageTables.
	reports []TableReport
}

// salvage copies what can be read of a damaged database to a new one, and
// reports it. The new database judges: a row that it refuses is dropped, and so
// is what does not fit together afterwards.
func (s *salvager) salvage() ([]TableReport, error) {
	ctx, cancel := context.WithTimeout(context.Background(), salvageTime)
	defer cancel()

	for _, table := range salvageTables {
		report, err := s.copyTable(ctx, table)
		if err != nil {
			return nil, fmt.Errorf(
				"salvage %s: %w", table.name, err,
			)
		}
		s.reports = append(s.reports, report)
	}
	for _, judge := range []func(context.Context) error{
		s.judgeScans, s.judgeRuns, s.judgeLedger, s.judgeSetAsides,
	} {
		if err := judge(context.Background()); err != nil {
			return nil, fmt.Errorf("salvage: %w", err)
		}
	}

	return s.reports, s.count(context.Background())
}

// outdated says whether what is read may be from an earlier time, so that what
// is true at a time only, and can do harm at another, is not taken over.
func (s *salvager) outdated() bool {
	return s.damage == TornLog
}

// copyTable copies the rows of a table that can be read.
func (s *salvager) copyTable(ctx context.Context, table salvageTable) (
	TableReport, error) {

	report := TableReport{Name: table.name, Unread: true}
	if s.source == nil {
		return report, nil
	}
	columns, err := s.columns(ctx, table.name)
	if err != nil || len(columns) == 0 {
		return report, nil
	}
	rows, whole := s.readTable(ctx, table, columns)
	report.Unread = !whole

	insert := fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", table.name,
		strings.Join(columns, ", "),
		strings.Repeat(", ?", len(columns)-1))
	err = s.target.tx(context.Background(), func(ctx context.Context,
		tx *sql.Tx) error {

		for _, row := range rows {
			_, err := tx.ExecContext(ctx, insert, row...)
			switch {
			case resultCode(err) == sqlite3.SQLITE_CONSTRAINT:
				report.Dropped++

			case err != nil:
				return err
			}
		}

		return nil
	})

	return report, err
}

// columns returns the columns that both databases' tables have.
func (s *salvager) columns(ctx context.Context, table string) ([]string,
	error) {

	const query = "SELECT name FROM pragma_table_info(?)"
	ours, err := names(ctx, s.target.reader, query, table)
	if err != nil {
		return nil, err
	}
	theirs, err := names(ctx, s.source, query, table)
	if err != nil {
		return nil, err
	}

	there := make(map[string]bool, len(theirs))
	for _, name := range theirs {
		there[name] = true
	}
	var both []string
	for _, name := range ours {
		if there[name] {
			both = append(both, name)
		}
	}

	return both, nil
}

// names returns the first column of a query's result.
func names(ctx context.Context, pool *sql.DB, query string, args ...any) (
	[]string, error) {

	rows, err := pool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()

	var list []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		list = append(list, name)
	}

	return list, rows.Err()
}

// readTable reads the rows of a table from its beginning up to the first page
// that cannot be read, and then from its end back. It reports whether the
// table was read as a whole.
func (s *salvager) readTable(ctx context.Context, table salvageTable,
	columns []string) ([][]any, bool) {

	seen := make(map[string]bool)
	rows, err := s.read(ctx, table, columns, "ASC", seen)
	if err == nil {
		return rows, quickCheck(ctx, s.source, table.name) == nil
	}

	// The rows behind the damage come in the order of before.
	behind, _ := s.read(ctx, table, columns, "DESC", seen)
	for i := len(behind) - 1; i >= 0; i-- {
		rows = append(rows, behind[i])
	}

	return rows, false
}

// errRepeated says that a row came twice: the pages of a damaged table can lead
// in a circle.
var errRepeated = fmt.Errorf("a row came twice")

// read reads rows in the order of their keys until an error. It leaves out
// those that were seen before.
func (s *salvager) read(ctx context.Context, table salvageTable,
	columns []string, direction string, seen map[string]bool) ([][]any,
	error) {

	query := fmt.Sprintf("SELECT %s, %s FROM %s NOT INDEXED "+
		"ORDER BY %s %s LIMIT %d", strings.Join(table.key, ", "),
		strings.Join(columns, ", "), table.name,
		strings.Join(table.key, " "+direction+", "), direction,
		salvageRows)
	rows, err := s.source.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()

	var (
		read  [][]any
		width = len(table.key) + len(columns)
	)
	for rows.Next() {
		row := make([]any, width)
		into := make([]any, width)
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return read, err
		}

		key := fmt.Sprintf("%q", row[:len(table.key)])
		if seen[key] {
			return read, errRepeated
		}
		seen[key] = true
		read = append(read, row[len(table.key):])
	}

	return read, rows.Err()
}

// whole says whether all rows of a table were read and taken over.
func (s *salvager) whole(tables ...string) bool {
	for _, report := range s.reports {
		for _, table := range tables {
			if report.Name == table &&
				(report.Unread || report.Dropped > 0) {

				return false
			}
		}
	}

	return true
}

// drop deletes rows and counts them as dropped.
func (s *salvager) drop(ctx context.Context, table, where string,
	args ...any) error {

	return s.target.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "DELETE FROM "+table+
			" WHERE "+where, args...)
		if err != nil {
			return err
		}
		count, err := result.RowsAffected()
		for i := range s.reports {
			if s.reports[i].Name == table {
				s.reports[i].Dropped += int(count)
			}
		}

		return err
	})
}

// judgeScans drops the scans that may lack something: one that is continued, or
// summed up, without an output it had found would report too little. The run
// scans again.
func (s *salvager) judgeScans(ctx context.Context) error {
	if !s.whole("scans", "scan_transactions", "scan_outputs") {
		return s.dropScans(ctx, "TRUE")
	}

	ids, err := s.target.scanIDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		_, outputs, err := s.target.Checkpoint(id).Load(ctx)
		if err == nil {
			err = verifyOutputs(outputs)
		}
		if err == nil {
			continue
		}
		if err := s.dropScans(ctx, "run_id = ?", id); err != nil {
			return err
		}
	}

	return nil
}

// dropScans drops scans with their outputs and transactions.
func (s *salvager) dropScans(ctx context.Context, where string,
	args ...any) error {

	for _, table := range []string{
		"scan_outputs", "scan_transactions", "scans",
	} {
		if err := s.drop(ctx, table, where, args...); err != nil {
			return err
		}
	}

	return nil
}

// judgeRuns drops the runs that cannot be continued, or shown, as they were.
func (s *salvager) judgeRuns(ctx context.Context) error {
	ids, err := names(ctx, s.target.reader, "SELECT id FROM runs")
	if err != nil {
		return err
	}
	for _, id := range ids {
		run, err := s.target.Journal().Run(ctx, id)
		if err == nil {
			err = s.judgeRun(ctx, run)
		}
		if err == nil {
			continue
		}
		log.Warnf("Recovery %s is not salvaged: %v", id, err)
		if err := s.dropRun(ctx, id); err != nil {
			return err
		}
	}

	// A scan belongs to a run.
	return s.dropScans(ctx, "run_id NOT IN (SELECT id FROM runs)")
}

// judgeRun returns an error if a run is of a table that is not known, is not
// whole, has lost the scan that it is about to sum up, or may have come to its
// end since: it would be continued although the user gave it up.
func (s *salvager) judgeRun(ctx context.Context, run recoveryfsm.Run) error {
	table, known := states.Lookup(run.Kind, run.Version)
	if !known {
		return fmt.Errorf("unknown table %q %d", run.Kind, run.Version)
	}
	for _, state := range []states.State{run.State, run.BlockedFrom} {
		_, known := table.Transitions[state]
		if !known && state != "" {
			return fmt.Errorf("unknown state %q", state)
		}
	}
	if err := s.target.verifyRun(ctx, run); err != nil {
		return err
	}
	if !run.Finished && s.outdated() {
		return fmt.Errorf("it may have gone on")
	}
	if run.Finished || run.Facts.Coverage == nil {
		return nil
	}

	cursor, _, err := s.target.Checkpoint(run.ID).Load(ctx)
	if err == nil && cursor == nil {
		err = fmt.Errorf("its scan is lost")
	}

	return err
}

// dropRun drops a run with its events.
func (s *salvager) dropRun(ctx context.Context, id string) error {
	if err := s.drop(ctx, "events", "run_id = ?", id); err != nil {
		return err
	}

	return s.drop(ctx, "runs", "id = ?", id)
}

// judgeLedger makes the wallet count as blind for every script, and drops the
// publications that do not decode, or that may have been given up since: they
// would hide deposits.
func (s *salvager) judgeLedger(ctx context.Context) error {
	err := s.target.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE view_scripts SET
			pending = 0, blind = 1, run = '', birthday = 0`)

		return err
	})
	if err != nil {
		return err
	}

	if s.outdated() {
		return s.drop(ctx, "view_publications", "TRUE")
	}

	return s.judgePublications(ctx)
}

// judgePublications drops the publications that do not decode.
func (s *salvager) judgePublications(ctx context.Context) error {
	var broken [][]byte
	err := s.target.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return eachRow(ctx, tx, "SELECT "+publicationColumns+
			" FROM view_publications", func(rows *sql.Rows) error {

			txID, p, err := scanPublication(rows)
			if err == nil {
				_, err = verifyTx(p.RawTx, p.TxID)
			}
			if err != nil {
				broken = append(broken, txID)
			}

			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, txID := range broken {
		err := s.drop(ctx, "view_publications", "tx_id = ?", txID)
		if err != nil {
			return err
		}
	}

	return nil
}

// judgeSetAsides drops the notes of earlier damage that do not decode. That the
// wallet is unproven is noted anew.
func (s *salvager) judgeSetAsides(ctx context.Context) error {
	if _, err := s.target.loadSetAsides(ctx); err == nil {
		return nil
	}

	return s.drop(ctx, "set_asides", "TRUE")
}

// count enters the number of rows that each table has in the end.
func (s *salvager) count(ctx context.Context) error {
	return s.target.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for i := range s.reports {
			report := &s.reports[i]
			err := tx.QueryRowContext(ctx, "SELECT count(*) FROM "+
				report.Name).Scan(&report.Salvaged)
			if err != nil {
				return err
			}
		}

		return nil
	})
}
