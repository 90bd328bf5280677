package owner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// LockFilename is the file whose lock makes one process the owner of a
	// data directory.
	LockFilename = "recovery.lock"

	// directoryPollInterval is how often a standby asks for the lock of
	// its directory.
	directoryPollInterval = time.Second

	// handoverSlack is added to what a former owner may need to stop.
	handoverSlack = 500 * time.Millisecond
)

var (
	// ErrLockLost is the end of a daemon that must not go on: what made it
	// the owner of its database is gone.
	ErrLockLost = errors.New("the lock on the database was lost")

	// ErrNotOwner is returned by the ports on the database while this
	// process does not own it. It is passing.
	ErrNotOwner = errors.New("this loopd does not own the database (yet)")

	// ErrReleased is returned by an owner whose locks were given up.
	ErrReleased = errors.New("the locks were released")
)

// State is how far a process is on its way to own its data.
type State uint8

// An owner passes through these states in this order; it may skip some, and
// never goes back. With SQLite the directory is all there is.
const (
	// WaitingForDirectory means that the directory's lock is not held.
	WaitingForDirectory State = iota

	// WaitingForDatabase means that the directory's lock is held, and the
	// database's not yet, or not needed yet.
	WaitingForDatabase

	// HandingOver means that all locks are held, and that a former owner
	// may not have stopped yet.
	HandingOver

	// Owning means that this process is the only one.
	Owning

	// Lost means that the database's lock was lost.
	Lost

	// Released means that everything was given up.
	Released
)

// String returns the state as a log shows it.
func (s State) String() string {
	switch s {
	case WaitingForDirectory:
		return "waiting for the directory"

	case WaitingForDatabase:
		return "waiting for the database"

	case HandingOver:
		return "handing over"

	case Owning:
		return "owning"

	case Lost:
		return "lost"

	case Released:
		return "released"

	default:
		return fmt.Sprintf("unknown state %d", uint8(s))
	}
}

// Config says what is to be owned.
type Config struct {
	// DataDir is the data directory. It exists.
	DataDir string

	// Postgres is the database that others can share; nil with SQLite,
	// whose database is in the data directory.
	Postgres *loopdb.PostgresConfig

	// StopLimit is how long an owner that lost its lock may take to stop
	// everything.
	StopLimit time.Duration
}

// Owner is what makes one process the owner of its data. It is used once: after
// Release, or the loss of the lock, a new one is made.
type Owner struct {
	directory *flock.Flock

	// database is nil with SQLite.
	database *databaseLock

	// handover is how long a new owner of a database waits before it does
	// anything. An owner whose lock was taken from it notices that within
	// lockCheckInterval and lockTimeout, and has stopped, or ended its
	// process, within Config.StopLimit.
	handover time.Duration

	// lost is closed when the database's lock is lost.
	lost chan struct{}

	// watching waits for the goroutine that uses the lock's session.
	watching sync.WaitGroup

	// mu guards state, and nothing else is kept of the locks.
	mu    sync.Mutex
	state State
}

// New returns an owner-to-be.
func New(cfg Config) *Owner {
	o := &Owner{
		directory: flock.New(filepath.Join(cfg.DataDir, LockFilename)),
		handover: lockCheckInterval + lockTimeout + cfg.StopLimit +
			handoverSlack,
		lost: make(chan struct{}),
	}
	if cfg.Postgres != nil {
		o.database = &databaseLock{config: cfg.Postgres}
	}

	return o
}

// Shared reports whether others can share the database, so that a process waits
// for it instead of exiting.
func (o *Owner) Shared() bool {
	return o.database != nil
}

// State returns the state.
func (o *Owner) State() State {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.state
}

// Owns reports whether all locks are held and a former owner is gone.
func (o *Owner) Owns() bool {
	return o.State() == Owning
}

// Lost is closed when the database's lock was lost. Everything that needs an
// owner then has to stop within Config.StopLimit.
func (o *Owner) Lost() <-chan struct{} {
	return o.lost
}

// advance moves to a later state. It reports whether it did: a state that was
// reached or passed is never entered again.
func (o *Owner) advance(next State) bool {
	o.mu.Lock()
	defer o.mu.Unlock()

	if o.state >= next {
		return false
	}
	o.state = next
	if next == Lost {
		close(o.lost)
	}

	return true
}

// TryDirectory takes the lock of the data directory if it is free.
func (o *Owner) TryDirectory() (bool, error) {
	switch o.State() {
	case WaitingForDirectory:

	case Released:
		return false, ErrReleased

	default:
		return true, nil
	}

	held, err := o.directory.TryLock()
	if err != nil {
		return false, fmt.Errorf("data directory: %w", err)
	}
	if held {
		o.advance(WaitingForDatabase)
	}

	return held, nil
}

// AwaitDirectory returns when the lock of the data directory is held. onReason
// is told why it waits.
func (o *Owner) AwaitDirectory(ctx context.Context,
	onReason func(states.Reason)) error {

	for {
		held, err := o.TryDirectory()
		if err != nil || held {
			return err
		}
		onReason(states.Standby)

		err = await.Pause(ctx, nil, directoryPollInterval)
		if err != nil {
			return err
		}
	}
}

// AwaitDatabase returns when this process is the only one on its database, and
// watches from then on, until the context ends, that it stays so. The lock of
// the data directory must be held. onState is told why it waits; it may be nil.
func (o *Owner) AwaitDatabase(ctx context.Context,
	onState func(await.State)) error {

	if o.database == nil {
		return o.own()
	}

	loop := await.Loop{Log: log, OnState: onState}
	err := loop.Until(ctx, "owning the database", o.database.try)
	if err != nil {
		return err
	}
	o.advance(HandingOver)
	o.watching.Go(func() { o.watch(ctx) })
	if err := await.Pause(ctx, nil, o.handover); err != nil {
		return err
	}

	return o.own()
}

// own ends the waiting.
func (o *Owner) own() error {
	if o.advance(Owning) {
		log.Infof("This loopd owns its data")
		return nil
	}

	if o.State() == Lost {
		return ErrLockLost
	}

	return ErrReleased
}

// watch notices when the database's lock is lost.
func (o *Owner) watch(ctx context.Context) {
	err := o.database.watch(ctx)
	if ctx.Err() != nil {
		return
	}
	if o.advance(Lost) {
		log.Errorf("%v: %v", ErrLockLost, err)
	}
}

// Release gives up everything. Nothing that needs an owner runs any more, and
// the context of AwaitDatabase has ended.
func (o *Owner) Release() {
	o.advance(Released)
	o.watching.Wait()
	if o.database != nil {
		o.database.release()
	}
	if err := o.directory.Unlock(); err != nil {
		log.Warnf("Unable to release the data directory: %v", err)
	}
}
