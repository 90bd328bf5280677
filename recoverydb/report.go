package recoverydb

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/looprecovery/looprecovery/states"
)

// Report is what Open found. It does not change afterwards.
type Report struct {
	// SetAside are the damaged journals before this one, oldest first.
	// One that is not settled means that what lnd's wallet sees is
	// unproven.
	SetAside []SetAside

	// Newer is set if the journal was written by a newer version.
	Newer *Newer

	// Without is why there is no journal (see OpenWithout), or nil.
	Without error
}

// Unsettled returns the journals that were set aside and not settled before
// this start.
func (r Report) Unsettled() []SetAside {
	var unsettled []SetAside
	for _, aside := range r.SetAside {
		if !aside.Settled {
			unsettled = append(unsettled, aside)
		}
	}

	return unsettled
}

// SetAside is a damaged journal that was set aside.
type SetAside struct {
	// Path is the directory that holds its files, as they were found.
	Path string

	// Time is when that was.
	Time time.Time

	// Damage is what was wrong.
	Damage Damage

	// Tables is what was salvaged.
	Tables []TableReport

	// Settled says that lnd's wallet has been marked as blind since for
	// the scripts concerned (see lndview.View.Distrust).
	Settled bool
}

// TableReport is what was salvaged of one table.
type TableReport struct {
	// Name is the name of the table.
	Name string `json:"name"`

	// Salvaged is the number of rows that were taken over.
	Salvaged int `json:"salvaged"`

	// Dropped is the number of rows that were read and not taken over,
	// because they were not whole or contradicted others.
	Dropped int `json:"dropped,omitempty"`

	// Unread says that there may have been more rows, which could not be
	// read.
	Unread bool `json:"unread,omitempty"`
}

// String describes a set-aside journal in one line, for a notice.
func (s SetAside) String() string {
	var kept, lost []string
	for _, table := range s.Tables {
		if table.Salvaged > 0 {
			kept = append(kept, fmt.Sprintf("%d of %s",
				table.Salvaged, table.Name))
		}
		if table.Dropped > 0 || table.Unread {
			lost = append(lost, table.Name)
		}
	}
	text := fmt.Sprintf("%s at %s, now in %s", s.Damage,
		s.Time.UTC().Format(time.RFC3339), s.Path)
	if len(kept) > 0 {
		text += "; salvaged " + strings.Join(kept, ", ")
	}
	if len(lost) > 0 {
		text += "; rows lost of " + strings.Join(lost, ", ")
	}

	return text
}

// Newer is what can be told of a journal that a newer version wrote.
type Newer struct {
	// Found is the version of its schema, Known the newest one that this
	// binary knows.
	Found, Known int

	// Readable says whether its runs could be read. If not, Unfinished is
	// not known.
	Readable bool

	// Unfinished is its unfinished run, nil if there is none.
	Unfinished *UnfinishedRun
}

// UnfinishedRun is where the unfinished run of a newer journal stands.
type UnfinishedRun struct {
	// ID names the run.
	ID string

	// Kind and Version name its table, which this binary may not know.
	Kind    states.Kind
	Version uint32

	// State is where it is; BlockedFrom is the state that it left if it is
	// blocked.
	State, BlockedFrom states.State
}

// Err returns the error with which every write to such a journal is refused.
func (n Newer) Err() error {
	return &states.PermanentError{
		Reason: states.JournalNewer,
		Detail: fmt.Sprintf("recovery.db has schema %d, this version "+
			"knows schemas up to %d", n.Found, n.Known),
	}
}

// Report returns what Open found.
func (db *DB) Report() Report {
	return db.report
}

// loadSetAsides reads the journals that were set aside before this one.
func (db *DB) loadSetAsides(ctx context.Context) ([]SetAside, error) {
	var asides []SetAside
	err := db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return eachRow(ctx, tx, `SELECT path, time, damage, tables,
			settled FROM set_asides ORDER BY time, path`,
			func(rows *sql.Rows) error {
				aside, err := scanSetAside(rows)
				asides = append(asides, aside)

				return err
			})
	})

	return asides, err
}

// scanSetAside reads one row.
func scanSetAside(rows *sql.Rows) (SetAside, error) {
	var (
		aside  SetAside
		saved  int64
		tables []byte
	)
	err := rows.Scan(
		&aside.Path, &saved, &aside.Damage, &tables, &aside.Settled,
	)
	if err != nil {
		return aside, err
	}
	aside.Time = moment(saved)

	return aside, json.Unmarshal(tables, &aside.Tables)
}

// saveSetAside stores what became of the journal before this one.
func saveSetAside(ctx context.Context, tx *sql.Tx, aside SetAside) error {
	tables, err := json.Marshal(aside.Tables)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO set_asides (path, time,
		damage, tables, settled) VALUES (?, ?, ?, ?, ?)`, aside.Path,
		nanos(aside.Time), aside.Damage, tables, aside.Settled)

	return err
}

// Notices returns what a person is to be told of what Open found.
func (r Report) Notices() []states.Notice {
	var notices []states.Notice
	for _, aside := range r.Unsettled() {
		notices = append(notices, states.Notice{
			Warning: states.WarnJournalSetAside,
			Detail:  aside.String(),
		})
	}
	if r.Without != nil {
		notices = append(notices, states.Notice{
			Warning: states.WarnJournalUnreadable,
			Detail:  r.Without.Error(),
		})
	}
	if r.Newer != nil {
		notices = append(notices, states.Notice{
			Warning: states.WarnJournalNewer,
			Detail: fmt.Sprintf("schema %d, known up to %d",
				r.Newer.Found, r.Newer.Known),
		})
	}

	return notices
}
