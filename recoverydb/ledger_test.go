package recoverydb

import (
	"testing"

	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/lndview/ledgertest"
	"github.com/stretchr/testify/require"
)

// TestLedger runs the conformance suite of lndview's ledger against a database
// that is closed and opened again.
func TestLedger(t *testing.T) {
	eachOrigin(t, testLedger)
}

// testLedger is TestLedger for one origin.
func testLedger(t *testing.T, newPath func(*testing.T) string) {
	databases := make(map[lndview.Ledger]*DB)
	paths := make(map[lndview.Ledger]string)
	openAt := func(t *testing.T, path string) lndview.Ledger {
		db, err := unlooked(path)
		require.NoError(t, err)
		ledger := db.Ledger()
		databases[ledger], paths[ledger] = db, path

		return ledger
	}

	ledgertest.Run(t, func(t *testing.T) lndview.Ledger {
		return openAt(t, newPath(t))
	}, func(t *testing.T, ledger lndview.Ledger) lndview.Ledger {
		require.NoError(t, databases[ledger].Close())

		return openAt(t, paths[ledger])
	})

	for _, db := range databases {
		require.NoError(t, db.Close())
	}
}
