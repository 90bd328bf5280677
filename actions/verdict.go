package actions

import (
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/states"
)

// reasons maps every verdict but OK to the reason for which a run stops that
// was pointed at such a file.
var reasons = map[backup.Verdict]states.Reason{
	backup.NotABackup:      states.NotABackup,
	backup.Corrupt:         states.BackupCorrupt,
	backup.OtherSeed:       states.OtherSeed,
	backup.OtherNetwork:    states.OtherNetwork,
	backup.NewerVersion:    states.NewerVersion,
	backup.Incomplete:      states.BackupIncomplete,
	backup.NameMismatch:    states.NameMismatch,
	backup.KeyNotDerivable: states.KeyNotDerivable,
	backup.DoesNotOpen:     states.DoesNotOpen,
}

// checkVerdict returns nil for a file that is in order, and for any other the
// error that blocks the run.
func checkVerdict(entry backup.Entry) error {
	if entry.Verdict == backup.OK {
		return nil
	}

	// A verdict that is not in the list cannot be trusted either.
	reason, ok := reasons[entry.Verdict]
	if !ok {
		reason = states.NotABackup
	}

	detail := entry.Path
	if entry.Detail != "" {
		detail += ": " + entry.Detail
	}

	return &BlockError{Reason: reason, Detail: detail}
}
