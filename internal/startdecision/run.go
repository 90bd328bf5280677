package startdecision

import "github.com/looprecovery/looprecovery/recoveryfsm"

// NewRun returns where an unfinished run stands, given what is in place. The
// table of the run says what its state does.
func NewRun(run recoveryfsm.Run, here recoveryfsm.InPlace) *Run {
	standing := run.Standing()

	return &Run{
		Kind:      run.Kind,
		Phase:     phaseOf(standing),
		Blocked:   standing.Stopped,
		Automatic: run.Facts.Request.Automatic,
		Retrying:  run.Attempt > 0,
		Halfway:   run.Halfway(here),
	}
}

// phaseOf returns where a state stands towards token and row. A table that this
// binary does not know says nothing: what decides then is Run.Halfway.
func phaseOf(standing recoveryfsm.Standing) Phase {
	switch row := standing.Row; {
	case !standing.Known:
		return Before

	case !row.Holds:
		return After

	case row.HasEffect():
		return Writing

	default:
		return Before
	}
}
