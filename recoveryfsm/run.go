package recoveryfsm

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/states"
)

// idSize is the size of a run's id in bytes.
const idSize = 16

// Run is one execution of a table, as the journal keeps it.
type Run struct {
	// ID names the run: 32 lower-case hex digits. Ids of later runs sort
	// after those of earlier ones.
	ID string

	// Kind and Version name the table that the run follows.
	Kind    states.Kind
	Version uint32

	// State is where the run is.
	State states.State

	// BlockedFrom is the state that a blocked run left.
	BlockedFrom states.State

	// Reason and Detail say why a run is blocked.
	Reason states.Reason
	Detail string

	// Attempt is the number of attempts at the current state that failed.
	Attempt uint32

	// LastError is why the last one failed, for display only.
	LastError string

	// NextRetry is when the next attempt is due; zero if the run does not
	// wait for one.
	NextRetry time.Time

	// Acting says that an intent was saved whose end is not known.
	Acting bool

	// Crashes is the number of times that the process died in the current
	// state, without progress of the scan in between.
	Crashes uint32

	// CrashMark is how far the scan had come at the last of them.
	CrashMark Mark

	// Created and Updated are when the run was accepted, and when anything
	// but its progress was last saved.
	Created, Updated time.Time

	// LastSeq is the number of the last event, 0 if there is none.
	LastSeq uint64

	// Finished says that the run has reached its end: Cancelled, or
	// Reconciled with its summary.
	Finished bool

	// Facts are what the run knows.
	Facts actions.Facts

	// Progress is how far the scan has come, nil until it has begun.
	Progress *Progress

	// Halted, if not nil, says why this process does not go on with the
	// run, although the run itself is not blocked. It is not stored.
	Halted *Halt
}

// Halt is why a process does not go on with a run.
type Halt struct {
	// Reason is the machine-readable code: states.JournalFailed or
	// states.UnknownDefinition.
	Reason states.Reason

	// Error is the cause, for display only.
	Error string
}

// Mark is a point of a scan. Later points of one scan are greater.
type Mark struct {
	// Pass is the number of the pass, from 0.
	Pass uint32

	// Height is the last height walked in the pass.
	Height int32
}

// beyond reports whether a mark is later in the scan than another.
func (m Mark) beyond(other Mark) bool {
	if m.Pass != other.Pass {
		return m.Pass > other.Pass
	}

	return m.Height > other.Height
}

// Progress is how far the scan of a run has come.
type Progress struct {
	// Height is the last height walked in this pass.
	Height int32 `json:"height"`

	// Birthday and Tip bound the scan.
	Birthday int32 `json:"birthday"`
	Tip      int32 `json:"tip"`

	// Pass is the number of the pass, from 0.
	Pass uint32 `json:"pass"`

	// Outputs is the number of outputs found so far.
	Outputs int `json:"outputs"`

	// BlocksPerSecond is the rate of the last seconds, 0 if not known yet.
	BlocksPerSecond float64 `json:"blocks_per_second"`

	// ETA is the time to the end of the pass at that rate, 0 if not known.
	ETA time.Duration `json:"eta"`

	// Reorg is the block to which the last reorganisation led the scan
	// back, nil if there was none.
	Reorg *chainscan.BlockStamp `json:"reorg,omitempty"`

	// Started is when this process took the scan up, Updated when this
	// progress was made.
	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"`
}

// mark returns the point of the scan that the progress stands for.
func (p *Progress) mark() Mark {
	if p == nil {
		return Mark{}
	}

	return Mark{Pass: p.Pass, Height: p.Height}
}

// Event is one transition of a run.
type Event struct {
	// Seq numbers the events of a run from 1, without a gap.
	Seq uint64

	// Time is when the event was saved.
	Time time.Time

	// From is the state that the run left, To the one it entered. They are
	// equal if a restarted process took up the run, and when Reconciled is
	// Done.
	From states.State
	To   states.State

	// Event is what led from one to the other.
	Event states.Event

	// Reason is the reason of a Block event.
	Reason states.Reason

	// Detail is the thing concerned.
	Detail string
}

// newID returns the id of a run: six bytes of the time in milliseconds, then
// ten random ones.
func newID(now time.Time) string {
	var id [idSize]byte

	// Six bytes of milliseconds last for eight thousand years.
	var stamp [8]byte
	binary.BigEndian.PutUint64(stamp[:], uint64(now.UnixMilli()))
	copy(id[:], stamp[2:])

	// Read never fails: see its documentation.
	_, _ = rand.Read(id[6:])

	return hex.EncodeToString(id[:])
}

// at returns the time as the journal keeps it: in nanoseconds, without a zone
// and a monotonic part, so that what is read back equals what was saved.
func at(now time.Time) time.Time {
	return time.Unix(0, now.UnixNano()).UTC()
}

// Position is where a run stands: a save is valid for one position only.
type Position struct {
	// State is the state that the run is in.
	State states.State

	// LastSeq is the number of its last event.
	LastSeq uint64
}

// Position returns where the run stands.
func (r Run) Position() Position {
	return Position{State: r.State, LastSeq: r.LastSeq}
}

// Position returns where a run stood before the event.
func (e Event) Position() Position {
	return Position{State: e.From, LastSeq: e.Seq - 1}
}

// newestFirst orders runs by the time of their creation.
func newestFirst(a, b Run) int {
	return cmp.Or(
		b.Created.Compare(a.Created), strings.Compare(b.ID, a.ID),
	)
}
