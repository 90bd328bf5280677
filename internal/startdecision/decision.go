package startdecision

import (
	"time"

	"github.com/looprecovery/looprecovery/states"
)

const (
	// HalfInstallLimit is how long the swap client of half an install
	// waits for a matching backup to be found.
	HalfInstallLimit = 2 * time.Second

	// EmptyLimit is how long an empty directory waits for the places to
	// answer before the user is told what is waited for.
	EmptyLimit = 10 * time.Second
)

// Step is what to do next.
type Step uint8

const (
	// StartClient: nothing comes before the swap client.
	StartClient Step = iota

	// Continue the unfinished recovery.
	Continue

	// Look for backups, for no longer than Decision.Limit, and ask again
	// with what was found.
	Look

	// Restore from a backup that was found: begin a recovery.
	Restore

	// Await places that did not answer, and ask again when one does.
	Await
)

// Decision is the answer to a situation.
type Decision struct {
	// Step is what to do next.
	Step Step

	// Limit bounds the look for backups.
	Limit time.Duration

	// Hold says why the swap client is held back meanwhile; empty if it
	// runs.
	Hold states.Reason

	// Addresses says why calls that make or hand out an address are
	// refused meanwhile; empty if they are served.
	Addresses states.Reason

	// Empty says that the directory has nothing that a deadline could run
	// out for.
	Empty bool
}

// Decide says what comes first.
func Decide(s Situation) Decision {
	decision := s.decide()
	decision.Empty = s.empty()

	return decision
}

// decide is Decide but for what it says of the directory.
func (s *Situation) decide() Decision {
	switch {
	case s.Run != nil && s.JournalShut:
		return s.keepNewer()

	case s.Run != nil:
		return s.keepRun()

	case !s.mayRestore():
		return Decision{Step: StartClient}

	case s.Search == nil && s.empty():
		return Decision{
			Step: Look, Limit: EmptyLimit, Hold: states.Starting,
		}

	case s.Search == nil:
		return Decision{
			Step: Look, Limit: HalfInstallLimit,
			Hold:      states.Starting,
			Addresses: states.PlacesUnanswered,
		}

	case s.Search.Candidate != NoCandidate:
		return s.begin()

	case len(s.Search.Silent) > 0:
		return s.await()

	default:
		return Decision{Step: StartClient}
	}
}

// keepRun goes on with the unfinished recovery.
func (s *Situation) keepRun() Decision {
	decision := Decision{Step: Continue}
	if s.Holds(*s.Run) {
		decision.Hold = states.RecoveryActive
	}
	if s.guardsAddresses() {
		decision.Addresses = states.RecoveryActive
	}

	return decision
}

// keepNewer leaves a recovery alone that a newer version began. Only one that
// stands between token and row holds the swap client.
func (s *Situation) keepNewer() Decision {
	decision := Decision{Step: StartClient}
	if s.Run.Halfway {
		decision.Hold = states.JournalNewer
	}

	return decision
}

// begin restores from the backup that was found.
func (s *Situation) begin() Decision {
	decision := Decision{Step: Restore, Hold: states.RecoveryActive}

	// The restore blocks at once, and everything but an empty directory
	// goes on without it.
	if s.Search.Candidate == Obstructed && !s.empty() {
		decision.Hold = ""
	}
	if !s.empty() {
		decision.Addresses = states.RecoveryActive
	}

	return decision
}

// await waits for places that did not answer.
func (s *Situation) await() Decision {
	if s.empty() {
		return Decision{Step: Await, Hold: states.BackupAwaited}
	}

	return Decision{Step: Await, Addresses: states.PlacesUnanswered}
}

// Holds reports whether a recovery keeps the swap client down in this
// situation.
func (s *Situation) Holds(run Run) bool {
	if run.Kind != states.Restore || run.Phase == After {
		return false
	}

	// Whoever stands between the two holds whatever happens: the swap
	// client would complete the pair with something else.
	if run.Halfway {
		return true
	}

	switch {
	// An empty directory loses nothing by waiting, unless the user began
	// the run and it waits for the user.
	case s.empty() && run.Blocked:
		return run.Automatic && s.AutoRestore

	case s.empty():
		return true

	case run.Blocked:
		return false

	case run.Phase == Writing:
		return true

	// A restore that found its backup and goes straight on is waited for.
	default:
		return run.Automatic && !run.Retrying
	}
}

// guardsAddresses reports whether an address that is handed out now could turn
// out to be of the wrong generation, because a restore that the daemon began by
// itself has yet to write its own.
func (s *Situation) guardsAddresses() bool {
	return s.Run.Kind == states.Restore && s.Run.Automatic &&
		s.Run.Phase != After && !s.complete()
}
