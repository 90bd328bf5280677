package recoverydb

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// intact is a full journal before it is damaged.
type intact struct {
	// file is the content of its file.
	file []byte

	// rows are the rows of each table.
	rows map[string][]string

	// pages are the pages of the file by number, from 1.
	pages map[int]page
}

// page is a page of a database.
type page struct {
	// table is the table or index that it belongs to.
	table string

	// leaf says that it holds rows and leads to no other page; cells is
	// how many.
	leaf  bool
	cells int
}

// pageSize is SQLite's default.
const pageSize = 4_096

// newIntact makes a full journal.
func newIntact(t *testing.T) intact {
	t.Helper()

	path := filepath.Join(t.TempDir(), "recovery.db")
	db, err := Open(path)
	require.NoError(t, err)
	fill(t, db)
	_, err = db.writer.Exec(`INSERT INTO keeper_pairs VALUES
		(zeroblob(32), zeroblob(33), 'seen', 1);
		INSERT INTO keeper_mounts VALUES ('/backup', '/')`)
	require.NoError(t, err)
	whole := intact{rows: dump(t, db), pages: make(map[int]page)}
	require.NoError(t, db.Close())
	whole.file, err = os.ReadFile(path)
	require.NoError(t, err)

	pool, err := connect(path, 1, url.Values{})
	require.NoError(t, err)
	rows, err := pool.Query(`SELECT pageno, tbl_name, pagetype, ncell FROM
		dbstat JOIN (SELECT name, tbl_name FROM sqlite_schema UNION
		SELECT 'sqlite_schema', 'sqlite_schema') USING (name)`)
	require.NoError(t, err)
	for rows.Next() {
		var (
			number int
			one    page
			kind   string
		)
		require.NoError(t, rows.Scan(
			&number, &one.table, &kind, &one.cells,
		))
		one.leaf = kind == "leaf"
		whole.pages[number] = one
	}
	require.NoError(t, rows.Err())
	require.NoError(t, pool.Close())
	require.Len(t, whole.pages, len(whole.file)/pageSize)

	return whole
}

// dump returns the rows of all salvaged tables.
func dump(t *testing.T, db *DB) map[string][]string {
	t.Helper()

	rows := make(map[string][]string)
	for _, table := range salvageTables {
		if table.name == "set_asides" {
			continue
		}

		// What is salvaged of a script is that it is there.
		columns := "*"
		if table.name == "view_scripts" {
			columns = "pk_script"
		}
		rows[table.name] = dumpTable(t, db, "SELECT "+columns+
			" FROM "+table.name)
	}

	return rows
}

// dumpTable returns the rows that a query selects, as text.
func dumpTable(t *testing.T, db *DB, query string) []string {
	t.Helper()

	list := []string{}
	require.NoError(t, db.view(t.Context(), func(ctx context.Context,
		tx *sql.Tx) error {

		return eachRow(ctx, tx, query, func(rows *sql.Rows) error {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			row := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			err = rows.Scan(into...)
			list = append(list, fmt.Sprintf("%q", row))

			return err
		})
	}))
	slices.Sort(list)

	return list
}

// damaged is a directory with a damaged journal.
type damaged struct {
	t     *testing.T
	whole intact
	path  string

	// before are the files before the journal was opened.
	before map[string]string
}

// damage writes files, by their suffix, where a journal is expected.
func (i intact) damage(t *testing.T, files map[string][]byte) damaged {
	t.Helper()

	d := damaged{
		t: t, whole: i,
		path: filepath.Join(t.TempDir(), "recovery.db"),
	}
	for suffix, data := range files {
		require.NoError(t, os.WriteFile(d.path+suffix, data, fileMode))
	}
	d.before = filesIn(t, filepath.Dir(d.path))

	return d
}

// open opens the journal twice, as two processes would, and checks what holds
// whatever was damaged: nothing that was there is lost, a row that is there is
// a true one, and the second start finds nothing new. It returns what the first
// one reported, and the rows.
func (d damaged) open() (Report, map[string][]string) {
	d.t.Helper()

	db, err := Open(d.path)
	require.NoError(d.t, err)
	report, rows := db.Report(), dump(d.t, db)
	require.NoError(d.t, db.Close())
	require.Zero(d.t, openHandles(d.t, filepath.Dir(d.path)))

	if len(report.SetAside) == 0 {
		// What was not noticed did no harm.
		require.Equal(d.t, d.whole.rows, rows)

		return report, rows
	}
	require.Len(d.t, report.Unsettled(), 1)
	for name, data := range d.before {
		aside := filepath.Join(
			report.SetAside[0].Path, filepath.Base(name),
		)
		kept, err := os.ReadFile(aside)
		require.NoError(d.t, err)
		require.True(d.t, data == string(kept), aside)
	}
	outdated := report.SetAside[0].Damage == TornLog
	for table, found := range rows {
		if !outdated {
			require.Subset(d.t, d.whole.rows[table], found, table)
		}
	}

	again, err := Open(d.path)
	require.NoError(d.t, err)
	require.Equal(d.t, report, again.Report())
	require.Equal(d.t, rows, dump(d.t, again))
	snapshot, err := again.Ledger().Load(d.t.Context())
	require.NoError(d.t, err)
	require.True(d.t, snapshot.Unproven)
	require.Empty(d.t, snapshot.Outputs)
	if outdated {
		unfinished, err := again.Journal().Unfinished(d.t.Context())
		require.NoError(d.t, err)
		require.Nil(d.t, unfinished)
		require.Empty(d.t, snapshot.Publications)
	}
	require.NoError(d.t, again.Close())
	left, err := os.ReadDir(filepath.Dir(d.path))
	require.NoError(d.t, err)
	require.Len(d.t, left, 2)

	return report, rows
}

// openHandles returns the number of files below a directory that this process
// has open, as far as the system tells.
func openHandles(t *testing.T, dir string) int {
	t.Helper()

	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	count := 0
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err == nil && strings.HasPrefix(target, dir) {
			count++
		}
	}

	return count
}

// pageShapes are ways in which a page is lost.
var pageShapes = map[string]func(file []byte, page int){
	"garbage": func(file []byte, page int) {
		random := rand.New(rand.NewSource(int64(page)))
		random.Read(pageOf(file, page))
	},
	"zeros": func(file []byte, page int) {
		clear(pageOf(file, page))
	},
	"another page": func(file []byte, page int) {
		last := len(file) / pageSize
		copy(pageOf(file, page), pageOf(file, last-page+1))
	},
}

// pageOf returns the bytes of a page.
func pageOf(file []byte, page int) []byte {
	return file[(page-1)*pageSize : page*pageSize]
}

// TestOnePage damages each page of a full journal, and some of them in each
// way. Whatever page it is, the process starts; and where the page held rows
// only these are lost.
func TestOnePage(t *testing.T) {
	const everyWay = 4

	whole := newIntact(t)
	for shape, spoil := range pageShapes {
		for number, page := range whole.pages {
			if shape != "garbage" && number%everyWay != 0 {
				continue
			}
			name := fmt.Sprintf(
				"%s/%d %s", shape, number, page.table,
			)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				file := bytes.Clone(whole.file)
				spoil(file, number)
				if bytes.Equal(file, whole.file) {
					return
				}
				report, rows := whole.damage(t,
					map[string][]byte{"": file}).open()
				if len(report.SetAside) > 0 {
					whole.requireKept(t, page, rows)
				}
			})
		}
	}
}

// dependents are the tables whose rows are dropped when rows of another one are
// missing.
var dependents = map[string][]string{
	"runs": {
		"events", "scans", "scan_transactions", "scan_outputs",
	},
	"events": {
		"runs", "scans", "scan_transactions", "scan_outputs",
	},
	"scans":             {"scan_transactions", "scan_outputs"},
	"scan_transactions": {"scans", "scan_outputs"},
	"scan_outputs":      {"scans", "scan_transactions"},
}

// requireKept checks that the damage of one page cost no row of a table that
// has nothing to do with it, and not more rows of its own than it held.
func (i intact) requireKept(t *testing.T, lost page,
	rows map[string][]string) {

	t.Helper()

	// Without the schema nothing can be read.
	if lost.table == "sqlite_schema" {
		return
	}
	for table, wanted := range i.rows {
		switch {
		case slices.Contains(dependents[lost.table], table):

		case table != lost.table:
			require.True(
				t, slices.Equal(wanted, rows[table]), table,
			)

		// An event that is missing costs its run, and a missing output
		// its scan.
		case lost.leaf && dependents[table] == nil:
			require.GreaterOrEqual(t, len(rows[table]),
				len(wanted)-lost.cells, table)
		}
	}
}

// TestEveryTable checks that for each table it was decided what becomes of it
// when the journal is damaged.
func TestEveryTable(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "recovery.db"))
	tables, err := names(t.Context(), db.reader, "SELECT name FROM "+
		"sqlite_schema WHERE type = 'table' AND "+
		"name NOT LIKE 'sqlite_%'")
	require.NoError(t, err)

	decided := slices.Clone(unsalvagedTables)
	for _, table := range salvageTables {
		decided = append(decided, table.name)
	}
	require.ElementsMatch(t, tables, decided)
}

// TestTruncated cuts a journal between pages and within them.
func TestTruncated(t *testing.T) {
	whole := newIntact(t)
	for size := 1; size < len(whole.file); size += 5 * pageSize / 2 {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			report, _ := whole.damage(t, map[string][]byte{
				"": whole.file[:size],
			}).open()
			require.NotEmpty(t, report.SetAside)
		})
	}
}

// TestNoJournal tries everything that can lie where a journal is expected.
func TestNoJournal(t *testing.T) {
	whole := newIntact(t)
	garbage := bytes.Repeat([]byte("no database "), 4_000)
	for name, test := range map[string]struct {
		files  map[string][]byte
		damage Damage
	}{
		"garbage": {map[string][]byte{"": garbage}, NotADatabase},
		"short":   {map[string][]byte{"": garbage[:9]}, NotADatabase},
		"empty":   {map[string][]byte{"": {}}, Empty},
		"a log alone": {
			map[string][]byte{"-wal": garbage}, LogAlone,
		},
		"an empty file with a log": {
			map[string][]byte{"": {}, "-wal": garbage}, Empty,
		},
		"with the index of another log": {
			map[string][]byte{"": garbage, "-shm": garbage},
			NotADatabase,
		},
	} {
		t.Run(name, func(t *testing.T) {
			report, rows := whole.damage(t, test.files).open()
			require.Equal(t, test.damage, report.SetAside[0].Damage)
			require.Contains(
				t, report.SetAside[0].Path, test.damage,
			)
			for table := range rows {
				require.Empty(t, rows[table])
			}
		})
	}
}

// TestNotAFile tries directories, and a link that leads to itself.
func TestNotAFile(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"directory": func(path string) error {
			return os.MkdirAll(filepath.Join(path, "x"), 0o700)
		},
		"log": func(path string) error {
			return os.Mkdir(path+"-wal", 0o700)
		},
		"link": func(path string) error {
			return os.Symlink(path, path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "recovery.db")
			require.NoError(t, make(path))
			db := open(t, path)
			aside := db.Report().SetAside[0]
			require.Equal(t, NotAFile, aside.Damage)
			entries, err := os.ReadDir(aside.Path)
			require.NoError(t, err)
			require.Len(t, entries, 1)
		})
	}
}

// TestNotDamage checks that what says nothing about the file moves nothing: the
// error is returned, and the next start tries again.
func TestNotDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.db")

	// A link to a disk that is not there yet.
	target := filepath.Join(t.TempDir(), "disk", "recovery.db")
	require.NoError(t, os.Symlink(target, path))
	_, err := Open(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoFileExists(t, filepath.Join(filepath.Dir(path), asideDir))

	require.NoError(t, os.Mkdir(filepath.Dir(target), 0o700))
	whole := newIntact(t)
	require.NoError(t, os.WriteFile(target, whole.file, fileMode))
	db := open(t, path)
	require.Empty(t, db.Report().SetAside)
	require.Equal(t, whole.rows, dump(t, db))
}

// TestForeign sets aside databases that are none of ours, and one of ours that
// lacks a table.
func TestForeign(t *testing.T) {
	for name, statements := range map[string]string{
		"other": "CREATE TABLE songs (x); " +
			"INSERT INTO songs VALUES (1)",
		"version": "CREATE TABLE runs (x); PRAGMA user_version = 3",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "recovery.db")
			pool, err := sql.Open(driverName, path)
			require.NoError(t, err)
			_, err = pool.Exec(statements)
			require.NoError(t, err)
			require.NoError(t, pool.Close())

			require.Equal(t, Foreign,
				open(t, path).Report().SetAside[0].Damage)
		})
	}

	path := filepath.Join(t.TempDir(), "recovery.db")
	db, err := Open(path)
	require.NoError(t, err)
	fill(t, db)
	rows := dump(t, db)
	_, err = db.writer.Exec("DROP TABLE view_publications")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	db = open(t, path)
	require.Equal(t, Foreign, db.Report().SetAside[0].Damage)
	rows["view_publications"] = []string{}
	require.Equal(t, rows, dump(t, db))
}

// TestInvalid checks that rows which SQLite reads well, and that say nothing or
// contradict each other, are found before they are needed, and that the others
// are kept.
func TestInvalid(t *testing.T) {
	whole := newIntact(t)
	for name, statement := range map[string]string{
		"facts": "UPDATE runs SET facts = x'7b' WHERE rowid = 3",
		"an event is missing": "DELETE FROM events WHERE seq = 1 AND " +
			"run_id = (SELECT id FROM runs WHERE rowid = 3)",
		"state":  "UPDATE runs SET state = 'Decrypt' WHERE rowid = 3",
		"cursor": "UPDATE scans SET cursor = x'00' WHERE rowid = 1",
		"a transaction of a scan": "UPDATE scan_transactions " +
			"SET tx = x'00' WHERE run_id = (SELECT run_id FROM " +
			"scans WHERE rowid = 1)",
		"a publication": "UPDATE view_publications SET " +
			"raw_tx = x'00' WHERE rowid = 1",
		"a hash": "UPDATE view_outputs " +
			"SET tx_id = CAST(x'00' || tx_id AS BLOB)",
		"the trail": "DELETE FROM view_trail",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "recovery.db")
			require.NoError(
				t, os.WriteFile(path, whole.file, 0o600),
			)
			pool, err := connect(path, 1, url.Values{})
			require.NoError(t, err)
			_, err = pool.Exec(statement)
			require.NoError(t, err)
			before := dump(t, &DB{writer: pool, reader: pool})
			require.NoError(t, pool.Close())

			db := open(t, path)
			require.Equal(t, Invalid,
				db.Report().SetAside[0].Damage)
			lost := 0
			for table, rows := range dump(t, db) {
				require.Subset(t, whole.rows[table], rows)
				lost += len(before[table]) - len(rows)
			}
			dropped := 0
			for _, table := range db.Report().SetAside[0].Tables {
				require.False(t, table.Unread, table.Name)
				dropped += table.Dropped
			}
			require.Equal(t, lost, dropped)
			require.NotEmpty(t, dump(t, db)["runs"])
		})
	}
}
