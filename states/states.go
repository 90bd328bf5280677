package states

import "slices"

// State is one state of a recovery run. The values are stored in the journal
// and shown to users, so that they never change their meaning.
type State string

// The states of the restore and rescan machines.
const (
	// Start is the state of a run that was accepted but has not begun.
	Start State = "Start"

	// LocateBackup chooses the backup file to restore from.
	LocateBackup State = "LocateBackup"

	// Decrypt opens the chosen file with the key of this lnd's seed.
	Decrypt State = "Decrypt"

	// VerifyNetwork checks that file, lnd and chain belong together and
	// fixes the birthday of the scan.
	VerifyNetwork State = "VerifyNetwork"

	// ImportToken places the L402 token file.
	ImportToken State = "ImportToken"

	// RecreateAddress advances lnd's key counter, imports the tapscript
	// and inserts the address row.
	RecreateAddress State = "RecreateAddress"

	// ScanDeposits walks the chain from the birthday to the tip.
	ScanDeposits State = "ScanDeposits"

	// Reconciled computes and checks the summary; the run ends here.
	Reconciled State = "Reconciled"

	// Blocked is a stop that needs a person. The run remembers the reason
	// and the state it left, and resume leads back to that state.
	Blocked State = "Blocked"

	// Cancelled is the end of a run that the user gave up.
	Cancelled State = "Cancelled"
)

// Event is what moves a run from one state to another.
type Event string

// The events of the restore and rescan machines.
const (
	// Begin starts an accepted run.
	Begin Event = "Begin"

	// Done reports that the work of the current state is complete. In the
	// last state of a path it ends the run.
	Done Event = "Done"

	// Reorged reports that a reorganisation of the chain undid part of
	// what ScanDeposits had found.
	Reorged Event = "Reorged"

	// Block stops the run with a reason.
	Block Event = "Block"

	// Resume leads a blocked run back to the state it left. It is also the
	// event with which a restarted process re-enters the saved state.
	Resume Event = "Resume"

	// Cancel ends the run at the user's word.
	Cancel Event = "Cancel"
)

// Kind names a table.
type Kind string

// The kinds of runs.
const (
	// Restore rebuilds a generation from its backup.
	Restore Kind = "restore"

	// Rescan looks for the deposits of the generation that is already in
	// place.
	Rescan Kind = "rescan"
)

// Table is the definition of one state machine.
type Table struct {
	// Kind is the name of the machine.
	Kind Kind

	// Version is stored with each run. A run whose version this binary
	// does not know is refused.
	Version uint32

	// Path lists the working states in the order of an undisturbed run,
	// the final state included.
	Path []State

	// Transitions maps each state to the events it accepts. The target of
	// Resume in Blocked is not fixed: it is the state that the run left,
	// and is therefore listed once for each state that can block.
	Transitions map[State]map[Event][]State

	// rows is what Row returns.
	rows map[State]Row
}

// RestoreTable returns the definition of the restore machine. The embedded
// daemon is down until token file and address row are in place; a scan runs
// beside it.
func RestoreTable() Table {
	return newTable(Restore, 1, []State{
		LocateBackup, Decrypt, VerifyNetwork, ImportToken,
		RecreateAddress, ScanDeposits, Reconciled,
	}, ScanDeposits)
}

// RescanTable returns the definition of the rescan machine. It needs token file
// and address row in place, and runs beside the embedded daemon.
func RescanTable() Table {
	return newTable(Rescan, 1, []State{
		RecreateAddress, ScanDeposits, Reconciled,
	}, RecreateAddress)
}

// Lookup returns the table of the given kind and version, and whether this
// binary knows it.
func Lookup(kind Kind, version uint32) (Table, bool) {
	for _, table := range []Table{RestoreTable(), RescanTable()} {
		if table.Kind == kind && table.Version == version {
			return table, true
		}
	}

	return Table{}, false
}

// Current returns the newest table of a kind, and whether there is such a kind.
func Current(kind Kind) (Table, bool) {
	switch kind {
	case Restore:
		return RestoreTable(), true

	case Rescan:
		return RescanTable(), true

	default:
		return Table{}, false
	}
}

// newTable builds a table from the path of an undisturbed run: every state of
// the path leads to its successor, can block, be resumed and be cancelled, and
// the last one ends the run or is sent back to ScanDeposits by a
// reorganisation. Free is the first state beside which the embedded daemon
// runs.
func newTable(kind Kind, version uint32, path []State, free State) Table {
	transitions := map[State]map[Event][]State{
		Start: {
			Begin:  {path[0]},
			Resume: {Start},
			Cancel: {Cancelled},
		},
		Blocked:   {Resume: slices.Clone(path), Cancel: {Cancelled}},
		Cancelled: {},
	}

	for i, state := range path {
		events := map[Event][]State{
			Block:  {Blocked},
			Resume: {state},
			Cancel: {Cancelled},
		}
		if i+1 < len(path) {
			events[Done] = []State{path[i+1]}
		} else {
			events[Done] = []State{state}
			events[Reorged] = []State{ScanDeposits}
		}
		transitions[state] = events
	}

	return Table{
		Kind:        kind,
		Version:     version,
		Path:        path,
		Transitions: transitions,
		rows:        newRows(path, free),
	}
}

// Allows reports whether the table has a transition from one state to the
// other on the given event.
func (t Table) Allows(from State, event Event, to State) bool {
	return slices.Contains(t.Transitions[from][event], to)
}

// Ends reports whether an event in a state ends the run well: the last state of
// the path is done.
func (t Table) Ends(state State, event Event) bool {
	return event == Done && state == t.Path[len(t.Path)-1]
}
