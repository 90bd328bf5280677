package recoveryfsm

import "github.com/looprecovery/looprecovery/states"

// Standing is where a run is, as far as it decides about others: whether the
// embedded daemon waits for it, and whether another run may take its place.
type Standing struct {
	// Row is what the table says about the state that the run is in, or
	// was in when it was blocked. It says nothing if this binary does not
	// know the table.
	Row states.Row

	// Known says that this binary knows the run's table.
	Known bool

	// Stopped says that nobody works on the run: it is blocked or halted,
	// or its table is unknown.
	Stopped bool
}

// Standing returns where the run is.
func (r Run) Standing() Standing {
	state := r.State
	if state == states.Blocked {
		state = r.BlockedFrom
	}
	table, known := states.Lookup(r.Kind, r.Version)

	return Standing{
		Row:   table.Row(state),
		Known: known,
		Stopped: !known || r.Halted != nil ||
			r.State == states.Blocked,
	}
}

// InPlace is what of a generation is on this machine. It is probed and not
// remembered: a process can die between an effect and the save that tells it.
type InPlace struct {
	// TokenID is the id of the paid token, 64 lower-case hex digits, or
	// empty.
	TokenID string

	// Row says that there is an address row.
	Row bool
}

// Halfway reports whether the run stands between the token and the address row:
// it came to its first effect, the token in place is the one that it restores,
// and there is no row.
func (r Run) Halfway(here InPlace) bool {
	standing := r.Standing()
	located := r.Facts.Located
	began := standing.Row.Holds && standing.Row.HasEffect() ||
		!standing.Known && r.Facts.Effects.TokenPlaced

	return began && !r.Finished && !here.Row && located != nil &&
		located.TokenID == here.TokenID
}

// Changed reports whether the run changed anything outside of the journal, or
// may have.
func (r Run) Changed() bool {
	return r.interrupted() || !r.Facts.Effects.None()
}

// interrupted reports whether the run is in the middle of an action that
// changes something: as it is stored, nobody knows how far that came.
func (r Run) interrupted() bool {
	standing := r.Standing()

	return r.Acting && (!standing.Known || standing.Row.HasEffect())
}

// noteUnsaved makes a run remember that its last action was interrupted. It is
// called before a step that is not the outcome of that action.
func (r *Run) noteUnsaved() {
	if r.interrupted() {
		r.Facts.Effects.Unsaved = true
	}
}
