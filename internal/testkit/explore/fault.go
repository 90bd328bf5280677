package explore

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
)

// Kind is a kind of fault.
type Kind string

// The kinds.
const (
	// Crash: the process dies.
	Crash Kind = "crash"

	// RPCError: a call fails, before or after its effect.
	RPCError Kind = "error"

	// RPCHang: a call does not return before it is given up.
	RPCHang Kind = "hang"

	// SaveError: the journal fails to save, or saves and reports that it
	// failed.
	SaveError Kind = "save"

	// Cancel: the user gives the run up.
	Cancel Kind = "cancel"

	// Deadline: the state's deadline passes while a call is under way,
	// which then succeeds.
	Deadline Kind = "deadline"

	// ClockJump: the clock is set back by an hour.
	ClockJump Kind = "jump"

	// LockLost: the process loses the lock that makes it the owner, and
	// stops; a call under way still has its effect. The next process takes
	// over.
	LockLost Kind = "lock"
)

// sourceCalls begin the names of the calls that read the chain. They are told
// by the state of the run too.
const sourceCalls = "chain."

// scanCalls end the names of those that a scan makes. It makes them beside each
// other and ahead of its need, so that their number and order differ from one
// time to the next: only the first one of each is a boundary.
const scanCalls = "/" + string(states.ScanDeposits)

// journalCalls begin the names of the boundaries of saves.
const journalCalls = "journal."

// place is where a boundary is, and what can happen there.
type place struct {
	twin.Point

	// Bound says that the call has a context that ends.
	Bound bool

	// Begins says that a save is made before a run is under way: it can
	// neither be cancelled nor stopped then.
	Begins bool
}

// Fault is something that happens the nth time, from 1, that a boundary is
// passed: since the beginning of the recovery, or since the fault before.
type Fault struct {
	Kind  Kind
	Point twin.Point
	Nth   int
}

// String renders a fault as ParseFaults reads it.
func (f Fault) String() string {
	side := "before"
	if f.Point.After {
		side = "after"
	}

	return fmt.Sprintf("%s@%s:%s#%d", f.Kind, side, f.Point.Call, f.Nth)
}

// ParseFaults reads faults separated by commas.
func ParseFaults(text string) ([]Fault, error) {
	var faults []Fault
	for _, part := range strings.Split(text, ",") {
		kind, rest, ok1 := strings.Cut(part, "@")
		side, rest, ok2 := strings.Cut(rest, ":")
		call, number, ok3 := strings.Cut(rest, "#")
		nth, err := strconv.Atoi(number)
		if !ok1 || !ok2 || !ok3 || err != nil ||
			side != "before" && side != "after" {

			return nil, fmt.Errorf("%q is not a fault such as "+
				"crash@after:rows.Create#1", part)
		}
		faults = append(faults, Fault{
			Kind: Kind(kind), Nth: nth,
			Point: twin.Point{Call: call, After: side == "after"},
		})
	}

	return faults, nil
}

// effects are the calls of ports that change something, with the effects of the
// tables of which they are a part: a call is in order in a state that has one
// of them. For all other calls it makes no difference on which side of the call
// a process dies, and none to the side of the next effect.
var effects = map[string][]states.Effect{
	"checkpoint.Commit": {states.FoundOutputs},
	"gate.Close":        {states.TokenFile, states.AddressRow},

	// Once the row is there.
	"gate.Open":               {states.AddressRow},
	"node.AdvanceKey":         {states.KeyCounter},
	"node.ImportScript":       {states.WatchedScript},
	"rows.Create":             {states.AddressRow},
	"tokens.Place":            {states.TokenFile},
	"tokens.SetAside":         {states.TokenFile},
	"visibility.ImportDone":   {states.WatchedScript},
	"visibility.ImportIntent": {states.WatchedScript},
	"visibility.Publish":      {states.FoundOutputs},
}

// inner begin the names of calls that are parts of another call and no
// boundaries of their own. What a file's operations do to each other is the
// matter of internal/testkit/powercut, which cuts the power between all of
// them.
var inner = []string{"disk.", "node.DeriveSharedKey"}

// isInner reports whether a call is a part of another one.
func isInner(call string) bool {
	return slices.ContainsFunc(inner, func(prefix string) bool {
		return strings.HasPrefix(call, prefix)
	})
}

// isEffect reports whether a call changes something.
func isEffect(call string) bool {
	return effects[call] != nil
}

// kinds returns the faults that make sense at a boundary.
func (p place) kinds() []Kind {
	var result []Kind
	switch {
	case strings.HasPrefix(p.Call, journalCalls):
		result = []Kind{Crash, SaveError, ClockJump}
		if !p.Begins {
			result = append(result, Cancel, LockLost)
		}

	case isEffect(p.Call):
		result = []Kind{Crash, Cancel, ClockJump, LockLost}
		// The gate opens without asking.
		if p.Call != "gate.Open" {
			result = append(result, RPCError)
		}
		if p.Bound {
			result = append(result, Deadline)
			if !p.After {
				result = append(result, RPCHang)
			}
		}

	case !p.After:
		result = []Kind{RPCError}
		if p.Bound {
			result = append(result, RPCHang)
		}
	}

	return result
}

// faults returns every fault at the places of a trace, in a fixed order.
func (t trace) faults() []Fault {
	places := make([]place, 0, len(t))
	for at := range t {
		places = append(places, at)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(
			strings.Compare(a.Call, b.Call),
			strings.Compare(a.String(), b.String()),
			compareBool(a.Begins, b.Begins),
			compareBool(a.Bound, b.Bound),
		)
	})

	// A call can pass a boundary with and without what distinguishes a
	// place; the visits are counted together.
	var faults []Fault
	for _, at := range places {
		for _, visit := range t[at] {
			for _, kind := range at.kinds() {
				faults = append(faults, Fault{
					kind, at.Point, visit,
				})
			}
		}
	}

	return faults
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0

	case a:
		return 1

	default:
		return -1
	}
}

// trace holds, for each place, the numbers of the visits of its boundary.
type trace map[place][]int

// note adds a visit.
func (t trace) note(at place, visit int) {
	if strings.HasSuffix(at.Call, scanCalls) && len(t[at]) > 0 {
		return
	}
	t[at] = append(t[at], visit)
}

// keyCalls are the calls of which there are many in a row, one for each key by
// which a counter is moved.
const keyCalls = "node.AdvanceKey"

// thin returns the trace of which pairs of faults are made: of the keys that
// are derived, the first, one in the middle and the last. Single faults are
// tried at each of them.
func (t trace) thin() trace {
	thinned := make(trace, len(t))
	for at, visits := range t {
		if last := len(visits) - 1; at.Call == keyCalls && last > 2 {
			visits = []int{
				visits[0], visits[last/2], visits[last],
			}
		}
		thinned[at] = visits
	}

	return thinned
}

// count returns the number of boundaries passed.
func (t trace) count() int {
	count := 0
	for _, visits := range t {
		count += len(visits)
	}

	return count
}
