package owner

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// databaseLockName is what the key of the advisory lock is made from:
	// the first eight bytes of its SHA-256, as a big-endian signed number.
	databaseLockName = "loop recovery: the owner of this database"

	// sessionName is how the session shows in pg_stat_activity.
	sessionName = "loopd owner"

	// lockCheckInterval is how often an owner asks whether it still holds
	// the database's lock. A connection that is closed by the server is
	// noticed at once.
	lockCheckInterval = time.Second

	// lockTimeout bounds one question to the database server.
	lockTimeout = 2 * time.Second

	// lockReleaseTimeout bounds the orderly end of the lock's connection.
	lockReleaseTimeout = 500 * time.Millisecond
)

// databaseLock is an advisory lock of a session of its own on the database
// server. It needs a connection that stays the same: through a pooler that
// hands out connections for one transaction it is never held. It is used by one
// goroutine at a time.
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

// where names the database in errors: no user, no password.
func (l *databaseLock) where() string {
	return fmt.Sprintf("%s:%d/%s", l.config.Host, l.config.Port,
		l.config.DBName)
}

// errHeldElsewhere means that another session holds the lock.
var errHeldElsewhere = errors.New("another loopd holds the lock")

// try takes the lock, or returns the reason why it is not held. A session that
// failed is closed; one that only found the lock taken is kept for the next
// try.
func (l *databaseLock) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()

	err := l.ask(ctx)
	switch {
	case err == nil:
		return nil

	case errors.Is(err, errHeldElsewhere):
		return &states.TransientError{
			Reason: states.Standby, Detail: l.where(), Err: err,
		}
	}
	l.release()

	if isRefusal(err) {
		return &states.PermanentError{
			Reason: states.DatabaseRefuses, Detail: l.where(),
			Err: err,
		}
	}

	return &states.TransientError{
		Reason: states.DatabaseDown, Detail: l.where(), Err: err,
	}
}

// ask is try with a session that the caller ends if it failed.
func (l *databaseLock) ask(ctx context.Context) error {
	if l.conn == nil {
		if err := l.connect(ctx); err != nil {
			return err
		}
	}

	var held bool
	err := l.conn.QueryRow(
		ctx, "SELECT pg_try_advisory_lock($1)", databaseLockKey(),
	).Scan(&held)
	switch {
	case err != nil:
		return err

	case !held:
		return errHeldElsewhere
	}

	return l.check(ctx)
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
		// The text of this error may show the password.
		return errBadOptions
	}
	// Prepared statements would only be in the way of poolers.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.RuntimeParams["application_name"] = sessionName
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

var (
	// errNotHeld means that the session is there and the lock is not its
	// own.
	errNotHeld = errors.New("the session does not hold the lock (a " +
		"pooler between loopd and PostgreSQL must not share sessions)")

	// errBadOptions means that the options do not name a database.
	errBadOptions = errors.New("the --postgres options do not parse")
)

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

// refusals are the beginnings of the SQLSTATE codes with which a server says
// that it does not let us in (PostgreSQL manual, appendix A): invalid
// authorization, invalid catalog name (no such database), insufficient
// privilege.
var refusals = []string{"28", "3D", "42501"}

// isRefusal reports whether somebody has to change a setting before the server
// answers otherwise.
func isRefusal(err error) bool {
	if errors.Is(err, errNotHeld) || errors.Is(err, errBadOptions) {
		return true
	}
	var fromServer *pgconn.PgError
	if !errors.As(err, &fromServer) {
		return false
	}
	for _, code := range refusals {
		if strings.HasPrefix(fromServer.Code, code) {
			return true
		}
	}

	return false
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
