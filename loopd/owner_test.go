package loopd

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/looprecovery/looprecovery/internal/recoveryserver"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// testDatabase is the database that the tests of the lock fight for.
const testDatabase = "owned"

// startPostgres starts a server with an empty database.
func startPostgres(t *testing.T) (*regtest.Postgres, *loopdb.PostgresConfig) {
	t.Helper()

	server, err := regtest.StartPostgres(
		t.Context(), os.TempDir(), t.TempDir(),
	)
	if regtest.MaySkip(err) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Destroy()) })
	require.NoError(t, server.CreateDatabase(t.Context(), testDatabase))
	config, err := server.Config(testDatabase)
	require.NoError(t, err)

	return server, config
}

// newTestOwner returns an owner-to-be with a directory of its own.
func newTestOwner(t *testing.T, config *loopdb.PostgresConfig) *owner {
	t.Helper()

	cfg := &Config{}
	cfg.DataDir = t.TempDir()
	cfg.DatabaseBackend = upstream.DatabaseBackendPostgres
	cfg.Postgres = config

	return newOwner(cfg)
}

// reasons is where an owner-to-be says why it waits.
type reasons chan states.Reason

// take is onReason.
func (r reasons) take(reason states.Reason) {
	select {
	case r <- reason:
	default:
	}
}

// next waits for a reason.
func (r reasons) next(t *testing.T) states.Reason {
	t.Helper()

	select {
	case reason := <-r:
		return reason

	case <-time.After(testTimeout):
		require.Fail(t, "no reason was given")
		return ""
	}
}

// TestOneOwner checks that of two daemons on one database only one goes on,
// that the other says why it waits, that nobody goes on while the server is
// away, and that the second one follows only when the first one had the time to
// stop. If this breaks, two daemons sweep and swap the same deposits.
func TestOneOwner(t *testing.T) {
	server, config := startPostgres(t)
	first, second := newTestOwner(t, config), newTestOwner(t, config)
	firstCtx, endFirst := context.WithCancel(t.Context())
	defer endFirst()
	secondCtx, endSecond := context.WithCancel(t.Context())
	defer endSecond()

	require.NoError(t, server.Stop())
	waits := make(reasons)
	owned := make(chan error, 1)
	go func() { owned <- first.awaitDatabase(firstCtx, waits.take) }()
	require.Equal(t, states.DatabaseDown, waits.next(t))
	require.NoError(t, server.Start(t.Context()))
	require.NoError(t, <-owned)
	require.True(t, first.owns.Load())

	go func() { owned <- second.awaitDatabase(secondCtx, waits.take) }()
	require.Equal(t, states.Standby, waits.next(t))
	require.Equal(t, states.Standby, waits.next(t))
	require.False(t, second.owns.Load())

	began := time.Now()
	require.NoError(t, server.TerminateOwner(t.Context(), testDatabase))
	select {
	case err := <-first.lost:
		require.ErrorIs(t, err, errLockLost)

	case <-time.After(testTimeout):
		require.Fail(t, "the loss was not noticed")
	}
	noticed := time.Since(began)
	require.False(t, first.owns.Load())
	require.Less(t, noticed, lockCheckInterval+lockTimeout)
	require.False(t, second.owns.Load())
	require.NoError(t, <-owned)
	require.Greater(t, time.Since(began),
		lockCheckInterval+lockTimeout+stopLimit)

	// An orderly end frees the lock at once.
	endFirst()
	first.release()
	endSecond()
	second.release()
	held, err := first.database.try(t.Context())
	require.NoError(t, err)
	require.True(t, held)
	first.release()
	t.Logf("the loss was noticed after %v", noticed)
}

// TestLockSilentServer checks that a server that does not answer any more, as
// behind a broken network, counts as a lost lock: it may have given the lock to
// somebody else.
func TestLockSilentServer(t *testing.T) {
	server, config := startPostgres(t)
	lock := &databaseLock{config: config}
	defer lock.release()
	held, err := lock.try(t.Context())
	require.NoError(t, err)
	require.True(t, held)
	pid, err := server.OwnerPID(t.Context(), testDatabase)
	require.NoError(t, err)

	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	began := time.Now()
	err = lock.watch(t.Context())
	noticed := time.Since(began)
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, noticed, lockCheckInterval+lockTimeout+
		500*time.Millisecond)
	t.Logf("noticed after %v", noticed)
}

// TestLockThroughPooler checks that a session that was given to somebody else,
// as a pooler may do, does not count as an owner's.
func TestLockThroughPooler(t *testing.T) {
	_, config := startPostgres(t)
	lock := &databaseLock{config: config}
	defer lock.release()

	held, err := lock.try(t.Context())
	require.NoError(t, err)
	require.True(t, held)
	require.NoError(t, lock.check(t.Context()))

	_, err = lock.conn.Exec(t.Context(), "DISCARD ALL")
	require.NoError(t, err)
	require.ErrorIs(t, lock.check(t.Context()), errNotHeld)
	require.ErrorIs(t, lock.watch(t.Context()), errNotHeld)
}

// TestLockKey pins the key that docs/architecture.md names: a daemon with
// another one would not see this one's lock.
func TestLockKey(t *testing.T) {
	require.Equal(t, int64(-8477430090137981731), databaseLockKey())
}

// TestOneDirectory checks that a data directory has one owner.
func TestOneDirectory(t *testing.T) {
	cfg := &Config{}
	cfg.DataDir = t.TempDir()
	cfg.DatabaseBackend = upstream.DatabaseBackendSqlite
	first, second := newOwner(cfg), newOwner(cfg)

	owned, err := first.tryDirectory()
	require.NoError(t, err)
	require.True(t, owned)
	require.NoError(t, first.awaitDatabase(t.Context(), nil))
	require.True(t, first.owns.Load())
	owned, err = second.tryDirectory()
	require.NoError(t, err)
	require.False(t, owned)

	waits := make(reasons)
	done := make(chan error, 1)
	go func() { done <- second.awaitDirectory(t.Context(), waits.take) }()
	require.Equal(t, states.Standby, waits.next(t))
	first.release()
	require.NoError(t, <-done)
	second.release()
}

// TestStandbyAnswers checks which calls a daemon answers that owns nothing: all
// that only look at its own journal and files, and no other.
func TestStandbyAnswers(t *testing.T) {
	cfg := &Config{}
	cfg.DataDir = t.TempDir()
	d := &Daemon{owner: newOwner(cfg), gate: newGate()}
	d.gate.bar(states.Standby)

	answered := func(method string) error {
		_, err := d.ownerOnly(
			t.Context(), nil,
			&grpc.UnaryServerInfo{FullMethod: method},
			func(context.Context, any) (any, error) {
				return nil, nil
			},
		)

		return err
	}
	for method := range recoveryrpc.RequiredPermissions {
		d.owner.owns.Store(false)
		err := answered(method)
		if !recoveryserver.NeedsOwner(method) {
			require.NoError(t, err, method)
			continue
		}
		reason, ok := recoveryrpc.ReasonOf(err)
		require.True(t, ok, method)
		require.Equal(t, states.Standby, reason, method)

		d.owner.owns.Store(true)
		require.NoError(t, answered(method), method)
	}
	d.owner.owns.Store(false)
	_, err := d.gate.current()
	reason, _ := recoveryrpc.ReasonOf(err)
	require.Equal(t, states.Standby, reason)
	held, up, reason := d.gate.status()
	require.False(t, held)
	require.False(t, up)
	require.Equal(t, states.Standby, reason)
}
