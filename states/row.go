package states

import (
	"slices"
	"strings"
)

// Effect is something that a run changes outside of its journal.
type Effect string

// The effects of the restore and rescan machines.
const (
	// TokenFile: l402.token is written; one that does not parse is set
	// aside first.
	TokenFile Effect = "token file"

	// KeyCounter: lnd's counter of a key family is moved on.
	KeyCounter Effect = "key counter"

	// WatchedScript: lnd's wallet is told to watch the static address.
	WatchedScript Effect = "watched script"

	// AddressRow: the static address is written to loopd's database.
	AddressRow Effect = "address row"

	// FoundOutputs: what a scan found is stored, and published to the
	// embedded daemon.
	FoundOutputs Effect = "found outputs"
)

// Row is what a table says about a state besides its transitions. It is no part
// of the table's version: it can be corrected for runs that exist.
type Row struct {
	// Holds says that in this state token file and address row are not both
	// in place yet, so that the embedded daemon waits while a run works in
	// it. What else that depends on is the matter of
	// internal/startdecision.
	Holds bool

	// Effects are what the state may change, and nothing else. Most are
	// probed before they are made, so that a state need not have them all.
	Effects []Effect
}

// effects are the effects of each state, in every table that has the state.
var effects = map[State][]Effect{
	ImportToken:     {TokenFile},
	RecreateAddress: {KeyCounter, WatchedScript, AddressRow},
	ScanDeposits:    {FoundOutputs, KeyCounter},
}

// newRows returns the rows of a path. The states before the first one that does
// not hold the embedded daemon do so, Start among them; if free is the first
// state of the path, none does.
func newRows(path []State, free State) map[State]Row {
	rows := make(map[State]Row)
	holds := path[0] != free
	for _, state := range append([]State{Start}, path...) {
		holds = holds && state != free
		rows[state] = Row{Holds: holds, Effects: effects[state]}
	}

	return rows
}

// Row returns what the table says about a state. In Blocked, in Cancelled and
// in a state that the table does not have nothing is done and nothing held.
func (t Table) Row(state State) Row {
	return t.rows[state]
}

// HasEffect reports whether the state changes anything outside of the journal.
func (r Row) HasEffect() bool {
	return len(r.Effects) > 0
}

// Allows reports whether the state may have an effect.
func (r Row) Allows(effect Effect) bool {
	return slices.Contains(r.Effects, effect)
}

// effectText names the effects of a row, for a person.
func (r Row) effectText() string {
	if !r.HasEffect() {
		return "-"
	}
	names := make([]string, len(r.Effects))
	for i, effect := range r.Effects {
		names[i] = string(effect)
	}

	return strings.Join(names, ", ")
}

// holdsText says whether the embedded daemon is held, for a person.
func (r Row) holdsText() string {
	if r.Holds {
		return "yes"
	}

	return "-"
}
