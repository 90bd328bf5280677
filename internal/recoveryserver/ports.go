package recoveryserver

import (
	"context"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

// Keeper looks after the backups. All of its methods but Behind may take as
// long as the slowest backup place is allowed to; errors are passing unless
// stated.
type Keeper interface {
	// JudgeAll reads and judges every copy in every place, ordered by
	// generation, the newest first. Places that could not be read are an
	// error that joins *backup.PlaceError only; what could be read is
	// returned beside it.
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
		name string, data []byte, err error)

	// Behind returns the places that lack the backup of the generation in
	// place, from memory.
	Behind() []keeper.Lag
}

// A compile-time check that the keeper is one.
var _ Keeper = (*keeper.Keeper)(nil)

// Gate is what the service sees of the gate that the embedded daemon is behind.
type Gate interface {
	// Status says how the embedded daemon is, from memory.
	Status() GateStatus

	// Task names what the embedded daemon must not be interrupted in, or
	// returns the empty string.
	Task(ctx context.Context) (string, error)
}

// GateStatus is how the embedded daemon is.
type GateStatus struct {
	// State is what a person is shown.
	State recoveryrpc.DaemonState

	// Reason says why it is not up; empty if it is.
	Reason states.Reason

	// Detail names the thing concerned.
	Detail string
}
