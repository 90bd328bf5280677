package recoverydb

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryfsm/journaltest"
	"github.com/stretchr/testify/require"
)

// origins are the ways in which a database can have come to be. A suite passes
// on each.
var origins = map[string]func(t *testing.T, path string){
	"new": func(*testing.T, string) {},
	"in the place of a damaged one": func(t *testing.T, path string) {
		garbage := []byte("this is no database")
		require.NoError(t, os.WriteFile(path, garbage, fileMode))
		db, err := Open(path)
		require.NoError(t, err)
		require.Len(t, db.Report().SetAside, 1)
		require.NoError(t, db.Close())
	},
}

// eachOrigin runs a test for each of them. The function that the test is given
// returns the path of such a database.
func eachOrigin(t *testing.T, test func(t *testing.T,
	newPath func(t *testing.T) string)) {

	for name, begin := range origins {
		t.Run(name, func(t *testing.T) {
			test(t, func(t *testing.T) string {
				path := filepath.Join(
					t.TempDir(), "recovery.db",
				)
				begin(t, path)

				return path
			})
		})
	}
}

// TestJournal runs the suite against the database. The next process opens it
// beside the first one, which never closed it.
func TestJournal(t *testing.T) {
	eachOrigin(t, func(t *testing.T, newPath func(*testing.T) string) {
		journaltest.Run(t, func(t *testing.T) journaltest.Store {
			path := newPath(t)
			connect := func(t *testing.T) recoveryfsm.Journal {
				return open(t, path).Journal()
			}

			return journaltest.Store{Open: connect, Reopen: connect}
		})
	})
}
