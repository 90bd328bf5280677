package failpoint

import (
	"slices"
	"strings"

	"github.com/looprecovery/looprecovery/states"
)

// The points within the work of a state.
const (
	// ImportTokenAfterLink: l402.token is there under its final name, and
	// nothing says so.
	ImportTokenAfterLink = "importtoken.after_link"

	// RecreateAddressAfterAdvance: lnd's key counter was moved, the script
	// is not imported.
	RecreateAddressAfterAdvance = "recreateaddress.after_advance"

	// RecreateAddressAfterImport: lnd watches the script, and nothing says
	// that it was new.
	RecreateAddressAfterImport = "recreateaddress.after_import"

	// RecreateAddressAfterRow: the address row is there, and the gate is
	// still closed.
	RecreateAddressAfterRow = "recreateaddress.after_row"

	// ScanDepositsAfterCommit: a chunk of the scan was committed.
	ScanDepositsAfterCommit = "scandeposits.after_commit"

	// ScanDepositsAfterPublish: the findings were published, the key
	// counters were not moved.
	ScanDepositsAfterPublish = "scandeposits.after_publish"

	// ReconciledBeforeSummary: the result was checked, the summary is not
	// saved.
	ReconciledBeforeSummary = "reconciled.before_summary"
)

// Intent returns the name of the point in a state when its intent was saved and
// nothing was done yet.
func Intent(state states.State) string {
	return strings.ToLower(string(state)) + ".intent"
}

// Outcome returns the name of the point in a state when its work was done, or
// has failed, and nothing of that was saved.
func Outcome(state states.State) string {
	return strings.ToLower(string(state)) + ".outcome"
}

// OfActions returns the names of the points that package actions passes. A test
// there shows that it does, and likewise for the groups below: a point that is
// declared and never passed fails a test.
func OfActions() []string {
	return []string{
		ImportTokenAfterLink,
		RecreateAddressAfterAdvance,
		RecreateAddressAfterImport,
		RecreateAddressAfterRow,
		ScanDepositsAfterPublish,
		ReconciledBeforeSummary,
	}
}

// OfDaemon returns the names of the points that package loopd passes.
func OfDaemon() []string {
	return []string{ScanDepositsAfterCommit}
}

// OfEngine returns the names of the points that package recoveryfsm passes.
func OfEngine() []string {
	var names []string
	for _, state := range states.RestoreTable().Path {
		names = append(names, Intent(state), Outcome(state))
	}

	return names
}

// All returns the names of all points.
func All() []string {
	return slices.Concat(OfActions(), OfDaemon(), OfEngine())
}
