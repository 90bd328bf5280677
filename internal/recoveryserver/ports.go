package recoveryserver

import (
	"context"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

// Keeper looks after the backups: *keeper.Keeper, which says more about each
// method. Behind reads memory only; every other one may take as long as the
// slowest place is allowed to.
type Keeper interface {
	// JudgeAll judges every copy in every place. Places that could not be
	// read are an error that joins *backup.PlaceError only; what could be
	// read is returned beside it.
	JudgeAll(ctx context.Context) ([]keeper.Judged, error)

	// JudgeBytes judges a file that a client sent, and stores nothing.
	JudgeBytes(ctx context.Context, name string, data []byte) (
		backup.Entry, error)

	// Receive stores the bytes of a file that a client sent, durably, and
	// returns where. Equal bytes are stored once.
	Receive(ctx context.Context, data []byte) (string, error)

	// Create makes sure that every place holds a backup of the generation
	// in place. The report is nil if there is none.
	Create(ctx context.Context) (*backup.Report, error)

	// Import puts a file with known contents into every place. It returns
	// a *backup.ConflictError for one that contradicts a valid backup.
	Import(ctx context.Context, data []byte, content *backup.Content) (
		backup.Report, error)

	// Export returns a backup as bytes of a format, with its name.
	Export(ctx context.Context, entry backup.Entry, format backup.Format) (
		string, []byte, error)

	// Behind returns the places that lack the backup of the generation in
	// place.
	Behind() []keeper.Lag

	// PairEvidence returns what is known about whether token and address
	// in place belong together, nil if one of the two is missing.
	PairEvidence(ctx context.Context) (*keeper.Evidence, error)

	// AcceptPair records that a person says that they do.
	AcceptPair(ctx context.Context) error
}

// A compile-time check of the port.
var _ Keeper = (*keeper.Keeper)(nil)

// Gate is what the service sees of the gate that the embedded daemon is behind:
// *gate.Gate.
type Gate interface {
	// Status says how the embedded daemon is, from memory.
	Status() gate.Status

	// Task names what the embedded daemon must not be interrupted in, or
	// returns the empty string.
	Task(ctx context.Context) (string, error)
}

// Daemon is what else the service is told about the daemon around it.
type Daemon interface {
	// Cause returns why the embedded daemon does not start: the error that
	// the start last met, nil if there is none. It reads memory only.
	Cause() error

	// Notices returns the standing warnings, from memory.
	Notices() []states.Notice

	// LastLook returns what the look for backups at the start found, nil
	// if there was none. It reads memory only.
	LastLook() *actions.Look

	// GiveUp takes a person's word that no backup is to be waited for any
	// more, and returns the run in which that is kept. It returns nil if
	// nothing was waited for.
	GiveUp(ctx context.Context) (*recoveryfsm.Run, error)

	// Deposits returns the outpoints that the embedded daemon lists now,
	// as "txid:index". It may wait for the embedded daemon, and fails if
	// that is not up.
	Deposits(ctx context.Context) ([]string, error)
}
