package backup

import "github.com/looprecovery/looprecovery/states"

// verdictInfo is what a verdict means to scripts and people.
type verdictInfo struct {
	reason states.Reason
	exit   int
}

// verdicts is the closed list. An exit code never changes its meaning.
var verdicts = map[Verdict]verdictInfo{
	OK:              {"", 0},
	NotABackup:      {states.NotABackup, 20},
	Corrupt:         {states.BackupCorrupt, 21},
	OtherSeed:       {states.OtherSeed, 22},
	OtherNetwork:    {states.OtherNetwork, 23},
	NewerVersion:    {states.NewerVersion, 24},
	Incomplete:      {states.BackupIncomplete, 25},
	NameMismatch:    {states.NameMismatch, 26},
	KeyNotDerivable: {states.KeyNotDerivable, 27},
	DoesNotOpen:     {states.DoesNotOpen, 28},
	Unreadable:      {states.PlaceUnreadable, 29},
}

// Verdicts returns the closed list of verdicts, OK first, in the order of their
// exit codes.
func Verdicts() []Verdict {
	return []Verdict{
		OK, NotABackup, Corrupt, OtherSeed, OtherNetwork, NewerVersion,
		Incomplete, NameMismatch, KeyNotDerivable, DoesNotOpen,
		Unreadable,
	}
}

// Reason returns the reason code of a verdict, which states.ExplainWithoutRun
// turns into a sentence and the next command. OK has none.
func (v Verdict) Reason() states.Reason {
	return verdicts[v].reason
}

// ExitCode returns the code with which a command ends that judged a file: 0 for
// OK, and a code of its own for every other verdict.
func (v Verdict) ExitCode() int {
	info, ok := verdicts[v]
	if !ok {
		// Not one of ours: whatever it is, it is not in order.
		return verdicts[NotABackup].exit
	}

	return info.exit
}
