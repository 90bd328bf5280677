package recoveryfsm_test

import (
	"testing"

	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryfsm/journaltest"
)

// TestMemoryJournal runs the suite against the journal in memory.
func TestMemoryJournal(t *testing.T) {
	journaltest.Run(t, func(*testing.T) journaltest.Store {
		journal := recoveryfsm.NewMemoryJournal()
		same := func(*testing.T) recoveryfsm.Journal { return journal }

		return journaltest.Store{Open: same, Reopen: same}
	})
}
