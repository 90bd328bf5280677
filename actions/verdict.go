package actions

import (
	"cmp"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/states"
)

// checkVerdict returns nil for a file that is in order, and for any other the
// error that blocks the run.
func checkVerdict(entry backup.Entry) error {
	if entry.Verdict == backup.OK {
		return nil
	}

	// A verdict that is not in the list cannot be trusted either.
	reason := cmp.Or(entry.Verdict.Reason(), states.NotABackup)

	detail := entry.Path
	if entry.Detail != "" {
		detail += ": " + entry.Detail
	}

	return &BlockError{Reason: reason, Detail: detail}
}
