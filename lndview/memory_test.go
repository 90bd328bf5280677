package lndview_test

import (
	"testing"

	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/lndview/ledgertest"
)

// TestMemoryLedger runs the conformance suite against the ledger in memory.
func TestMemoryLedger(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) lndview.Ledger {
		return lndview.NewMemoryLedger()
	}, func(_ *testing.T, ledger lndview.Ledger) lndview.Ledger {
		return ledger
	})
}
