package recoverydb

import (
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryfsm/journaltest"
)

// TestJournal runs the suite against the database. The next process opens it
// beside the first one, which never closed it.
func TestJournal(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) journaltest.Store {
		path := filepath.Join(t.TempDir(), "recovery.db")
		connect := func(t *testing.T) recoveryfsm.Journal {
			return open(t, path).Journal()
		}

		return journaltest.Store{Open: connect, Reopen: connect}
	})
}
