package recoveryfsm

import "github.com/looprecovery/looprecovery/states"

// InPlace is what of a generation is on this machine. It is probed and not
// remembered: a process can die between an effect and the save that tells it.
type InPlace struct {
	// TokenID is the id of the paid token, 64 lower-case hex digits, or
	// empty.
	TokenID string

	// Row says that there is an address row.
	Row bool
}

// empty reports whether nothing is there that an embedded daemon could use.
func (p InPlace) empty() bool {
	return p.TokenID == "" && !p.Row
}

// Holds reports whether the embedded daemon must stay down because of the run:
//
//   - while the run writes the token or the address row;
//   - before, while a run that the daemon began by itself goes smoothly, and any
//     run in a directory that has neither: what runs could buy a new token;
//   - in such a directory also when a run is blocked that the daemon began by
//     itself, until somebody decides;
//   - when a run was stopped between the token and the row.
//
// Nothing else holds it: neither a run that is blocked or tries again before its
// first effect where there is something to run with, nor any scan. A run of a
// table that this binary does not know counts as blocked.
func (r Run) Holds(here InPlace) bool {
	state, working := r.State, r.Halted == nil
	if state == states.Blocked {
		state, working = r.BlockedFrom, false
	}
	table, known := states.Lookup(r.Kind, r.Version)
	row := table.Row(state)
	if !known {
		working = false
		row.Holds = r.Kind == states.Restore
	}

	switch {
	case r.Finished || !row.Holds:
		return false

	case here.empty():
		return working || r.Facts.Request.Automatic

	case working && !row.HasEffect():
		return r.Facts.Request.Automatic && r.Attempt == 0

	case working:
		return true

	default:
		return r.halfway(here, row)
	}
}

// halfway reports whether a run that nobody works on left its token without the
// address row that belongs to it.
func (r Run) halfway(here InPlace, row states.Row) bool {
	began := row.HasEffect() || r.Facts.Effects.TokenPlaced
	located := r.Facts.Located

	return began && !here.Row && located != nil &&
		located.TokenID == here.TokenID
}

// Changed reports whether the run changed anything outside of the journal, or
// may have.
func (r Run) Changed() bool {
	return r.interrupted() || !r.Facts.Effects.None()
}

// interrupted reports whether the run is in the middle of an action that changes
// something: as it is stored, nobody knows how far that came.
func (r Run) interrupted() bool {
	table, known := states.Lookup(r.Kind, r.Version)

	return r.Acting && (!known || table.Row(r.State).HasEffect())
}

// noteUnsaved makes a run remember that its last action was interrupted. It is
// called before a step that is not the outcome of that action.
func (r *Run) noteUnsaved() {
	if r.interrupted() {
		r.Facts.Effects.Unsaved = true
	}
}
