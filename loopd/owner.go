package loopd

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// lockFilename is the file whose lock makes one process the owner of a
	// data directory.
	lockFilename = "recovery.lock"

	// databaseLockName is what the key of the advisory lock is made from:
	// the first eight bytes of its SHA-256, as a big-endian signed number.
	databaseLockName = "loop recovery: the owner of this database"

	// lockPollInterval is how often a standby asks for a lock.
	lockPollInterval = time.Second

	// lockCheckInterval is how often an owner asks whether it still holds
	// the database's lock. A connection that is closed by the server is
	// noticed at once.
	lockCheckInterval = time.Second

	// lockTimeout bounds one question to the database server.
	lockTimeout = 2 * time.Second

	// handover is how long a new owner of a database waits before it does
	// anything. An owner whose lock was taken from it notices that within
	// lockCheckInterval and lockTimeout, and has stopped, or ended its
	// process, within stopLimit.
	handover = lockCheckInterval + lockTimeout + stopLimit +
		500*time.Millisecond

	// lockReleaseTimeout bounds the orderly end of the lock's connection.
	lockReleaseTimeout = 500 * time.Millisecond
)

// errLockLost is the end of a daemon that must not go on: what made it the
// owner of its database is gone.
var errLockLost = errors.New("the lock on the database was lost")

// errNotOwner is returned by the ports on the database while this process does
// not own it. It is passing.
var errNotOwner = errors.New("this loopd does not own the database (yet)")

// owner is what makes one process the only one that writes, swaps and recovers:
// a lock on the file recovery.lock in the data directory, and with PostgreSQL
// also an advisory lock on the database, since there the database can be shared
// by daemons with directories of their own.
//
// Both end with the process, however that ends. The file's is taken first. Who
// does not get it exits with SQLite; with PostgreSQL it waits for both as a
// standby, which answers calls and starts nothing.
type owner struct {
	directory *flock.Flock

	// database is nil with SQLite.
	database *databaseLock

	// owns says that all locks are held and that a former owner is gone.
	owns atomic.Bool

	// lost receives one error if the database's lock is lost.
	lost chan error

	// watching waits for the goroutine that uses the lock's session.
	watching sync.WaitGroup
}

// newOwner returns the owner-to-be of a configuration's data.
func newOwner(cfg *Config) *owner {
	o := &owner{
		directory: flock.New(filepath.Join(cfg.DataDir, lockFilename)),
		lost:      make(chan error, 1),
	}
	if cfg.DatabaseBackend == upstream.DatabaseBackendPostgres {
		o.database = &databaseLock{config: cfg.Postgres}
	}

	return o
}

// tryDirectory takes the lock of the data directory if it is free.
func (o *owner) tryDirectory() (bool, error) {
	owned, err := o.directory.TryLock()
	if err != nil {
		return false, fmt.Errorf("data directory: %w", err)
	}

	return owned, nil
}

// awaitDirectory returns when the lock of the data directory is held.
func (o *owner) awaitDirectory(ctx context.Context,
	onReason func(states.Reason)) error {

	for {
		owned, err := o.tryDirectory()
		if err != nil || owned {
			return err
		}
		onReason(states.Standby)
		if err := pause(ctx, lockPollInterval); err != nil {
			return err
		}
	}
}

// awaitDatabase returns when this process is the only one on its database, and
// watches from then on that it stays so. onReason is told why it waits.
func (o *owner) awaitDatabase(ctx context.Context,
	onReason func(states.Reason)) error {

	if o.database == nil {
		o.owns.Store(true)

		return nil
	}

	for {
		held, err := o.database.try(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)

		case held:
			o.watching.Go(func() { o.watch(ctx) })
			if err := pause(ctx, handover); err != nil {
				return err
			}
			log.Infof("This loopd owns the database")
			o.owns.Store(true)

			return nil

		case err != nil:
			log.Warnf("Unable to ask for the database's lock: %v",
				err)
			onReason(states.DatabaseDown)

		default:
			onReason(states.Standby)
		}

		if err := pause(ctx, lockPollInterval); err != nil {
			return err
		}
	}
}

// watch tells when the database's lock is lost.
func (o *owner) watch(ctx context.Context) {
	err := o.database.watch(ctx)
	if ctx.Err() != nil {
		return
	}
	o.owns.Store(false)
	o.lost <- fmt.Errorf("%w: %w", errLockLost, err)
}

// release gives up everything. Nothing that needs an owner runs any more, and
// the context of awaitDatabase has ended.
func (o *owner) release() {
	o.owns.Store(false)
	o.watching.Wait()
	if o.database != nil {
		o.database.release()
	}
	if err := o.directory.Unlock(); err != nil {
		log.Warnf("Unable to release the data directory: %v", err)
	}
}

// databaseLock is an advisory lock of a session of its own on the database
// server. It needs a connection that stays the same: through a pooler that
// hands out connections for one transaction it is never held.
type databaseLock struct {
	config *loopdb.PostgresConfig

	// conn is the session, or nil.
	conn *pgx.Conn
}

// databaseLockKey returns the key of the lock. Advisory locks are per database.
func databaseLockKey() int64 {
	sum := sha256.Sum256([]byte(databaseLockName))

	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// try takes the lock if it is free.
func (l *databaseLock) try(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()

	held, err := l.ask(ctx)
	if err != nil {
		l.release()
	}

	return held, err
}

// ask is try with a session that the caller ends if it failed.
func (l *databaseLock) ask(ctx context.Context) (bool, error) {
	if l.conn == nil {
		if err := l.connect(ctx); err != nil {
			return false, err
		}
	}

	var held bool
	err := l.conn.QueryRow(
		ctx, "SELECT pg_try_advisory_lock($1)", databaseLockKey(),
	).Scan(&held)
	if err != nil || !held {
		return false, err
	}

	return true, l.check(ctx)
}

// sessionSettings let the server notice within about twelve seconds that the
// machine at the other end of the lock's session is gone, so that a standby is
// not kept waiting; and keep it from ending the session for being idle.
var sessionSettings = []string{
	"SET tcp_keepalives_idle = 5",
	"SET tcp_keepalives_interval = 2",
	"SET tcp_keepalives_count = 3",
	"SET idle_session_timeout = 0",
}

// connect opens the session.
func (l *databaseLock) connect(ctx context.Context) error {
	config, err := pgx.ParseConfig(l.config.DSN(false))
	if err != nil {
		return err
	}
	// Prepared statements would only be in the way of poolers.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.RuntimeParams["application_name"] = "loopd owner"
	l.conn, err = pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}

	for _, setting := range sessionSettings {
		_, err := l.conn.Exec(ctx, setting)
		if err != nil && l.conn.IsClosed() {
			return err
		}
		if err != nil {
			// An older server lacks some of them.
			log.Debugf("%s: %v", setting, err)
		}
	}

	return nil
}

// heldQuery asks whether the session that answers holds the lock. The server
// shows the two halves of a key as classid and objid, with objsubid 1.
const heldQuery = `SELECT EXISTS (
	SELECT 1 FROM pg_locks
	WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database
			WHERE datname = current_database())
		AND classid::bigint = $1 AND objid::bigint = $2
		AND objsubid = 1 AND pid = pg_backend_pid())`

// errNotHeld means that the session is there and the lock is not its own.
var errNotHeld = errors.New("the session does not hold the lock (a pooler " +
	"between loopd and PostgreSQL must not share sessions)")

// check returns nil if the session holds the lock.
func (l *databaseLock) check(ctx context.Context) error {
	key := uint64(databaseLockKey())
	var held bool
	err := l.conn.QueryRow(
		ctx, heldQuery, int64(key>>32), int64(uint32(key)),
	).Scan(&held)
	if err == nil && !held {
		err = errNotHeld
	}

	return err
}

// watch returns as soon as the lock is not known to be held, or the context
// ends.
func (l *databaseLock) watch(ctx context.Context) error {
	for {
		// Nothing is ever sent to this session. The wait ends early if
		// the server ends it, of which the question then tells.
		wait, cancel := context.WithTimeout(ctx, lockCheckInterval)
		_, _ = l.conn.WaitForNotification(wait)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}

		// An interrupted question would end the session, and the lock
		// before what it stands for.
		ask, cancel := context.WithTimeout(
			context.WithoutCancel(ctx), lockTimeout,
		)
		err := l.check(ask)
		cancel()
		if err != nil {
			return err
		}
	}
}

// release ends the session, and the lock with it.
func (l *databaseLock) release() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(
		context.Background(), lockReleaseTimeout,
	)
	defer cancel()
	if err := l.conn.Close(ctx); err != nil {
		log.Debugf("Closing the lock's session: %v", err)
	}
	l.conn = nil
}
