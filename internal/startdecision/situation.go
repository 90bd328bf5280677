package startdecision

import (
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/states"
)

// Situation is what is there when the question is asked.
type Situation struct {
	// Token says what is in place of the token file.
	Token generation.TokenStatus

	// Rows is the number of address rows in the embedded daemon's database.
	Rows int

	// SwapData says that the database knows of a swap or a deposit.
	SwapData bool

	// Unprobed says that it could not be told what is in place.
	Unprobed bool

	// AwaitsConversion says that the embedded daemon has yet to convert its
	// database of years ago, so that nobody knows what is in it.
	AwaitsConversion bool

	// AutoRestore is the setting of --recovery.autorestore.
	AutoRestore bool

	// GivenUp says that the newest recovery is one that the daemon began by
	// itself and the user cancelled. It is not begun again behind the
	// user's back.
	GivenUp bool

	// JournalShut says that the journal can be read at most, and that no
	// recovery can be begun or continued: a newer version wrote it, or the
	// disk fails.
	JournalShut bool

	// Run is the unfinished recovery, nil if there is none.
	Run *Run

	// Search is what a look for backups found, nil before the look.
	Search *Search
}

// Run is where an unfinished recovery stands.
type Run struct {
	// Kind is the kind of the run.
	Kind states.Kind

	// Phase is where its state stands towards the token file and the
	// address row. A blocked run is judged by the state that it left.
	Phase Phase

	// Blocked says that the run waits for a person.
	Blocked bool

	// Automatic says that the daemon began it by itself.
	Automatic bool

	// Retrying says that the last attempt at the state failed.
	Retrying bool

	// Halfway says that the run placed the token and not yet the row.
	Halfway bool
}

// Phase is where a state stands towards the two things that the embedded daemon
// must not see half written.
type Phase uint8

const (
	// Before the token file and the address row are touched.
	Before Phase = iota

	// Writing one of them.
	Writing

	// After both are in place.
	After
)

// Search is the result of a look for backups.
type Search struct {
	// Candidate says whether a restore has something to restore from.
	Candidate Candidate

	// Silent are the places that did not answer or cannot be read: what
	// they hold is not known.
	Silent []string
}

// Candidate says whether there is a backup that fits to what is in place.
type Candidate uint8

const (
	// NoCandidate: no valid backup of this seed and network that fits.
	NoCandidate Candidate = iota

	// Restorable: there is one to restore from.
	Restorable

	// Obstructed: there is one, and a person has to decide something first.
	// A restore that begins blocks with the reason.
	Obstructed
)

// empty reports whether the directory has nothing that a deadline could run
// out for. A file that does not parse as a token protects nothing.
func (s *Situation) empty() bool {
	absent := s.Token == generation.TokenAbsent ||
		s.Token == generation.TokenUnreadable

	return absent && s.Rows == 0 && !s.SwapData && !s.AwaitsConversion &&
		!s.Unprobed
}

// complete reports whether token and row are both there: nothing is missing
// that a restore could bring.
func (s *Situation) complete() bool {
	return s.Token == generation.TokenPaid && s.Rows > 0
}

// mayRestore reports whether the daemon may begin a restore by itself.
func (s *Situation) mayRestore() bool {
	return s.AutoRestore && !s.GivenUp && !s.JournalShut &&
		!s.AwaitsConversion && !s.complete() &&
		s.Token != generation.TokenPending
}
