package owner

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// manyTries is how often a lock is asked for in the tests that look for leaks.
const manyTries = 1_000

// maxOpen is how many connections a server may count as open for a moment when
// one client makes one after the other.
const maxOpen = 20

// TestLockSilentServer checks that a server that does not answer any more, as
// behind a broken network, counts as a lost lock: it may have given the lock to
// somebody else.
func TestLockSilentServer(t *testing.T) {
	server, config := startPostgres(t)
	lock := &databaseLock{config: config}
	defer lock.release()
	require.NoError(t, lock.try(t.Context()))
	pid, err := server.OwnerPID(t.Context(), config.DBName)
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

	require.NoError(t, lock.try(t.Context()))
	require.NoError(t, lock.check(t.Context()))

	_, err := lock.conn.Exec(t.Context(), "DISCARD ALL")
	require.NoError(t, err)
	require.ErrorIs(t, lock.check(t.Context()), errNotHeld)
	require.ErrorIs(t, lock.watch(t.Context()), errNotHeld)
}

// TestLockKey pins the key that docs/architecture.md names: a daemon with
// another one would not see this one's lock.
func TestLockKey(t *testing.T) {
	require.Equal(t, int64(-8477430090137981731), databaseLockKey())
}

// TestStandbyHoldsOneConnection checks that a standby that waits for long takes
// one connection of the server and no more, even if its session is ended again
// and again: a server has about a hundred for everybody.
func TestStandbyHoldsOneConnection(t *testing.T) {
	server, config := startPostgres(t)
	owner := &databaseLock{config: config}
	require.NoError(t, owner.try(t.Context()))
	defer owner.release()
	standby := &databaseLock{config: config}
	defer standby.release()

	watcher, err := server.Connect(t.Context(), config.DBName)
	require.NoError(t, err)
	defer watcher.Close(t.Context())
	for range manyTries {
		reason, _ := states.TransientReason(standby.try(t.Context()))
		require.Equal(t, states.Standby, reason)
	}
	require.Eventually(t, func() bool {
		var sessions int
		err := watcher.QueryRow(
			t.Context(), "SELECT count(*) FROM pg_stat_activity "+
				"WHERE application_name = $1", sessionName,
		).Scan(&sessions)
		require.NoError(t, err)

		return sessions == 2
	}, testTimeout, 10*time.Millisecond)
}

// TestRefused checks that a server that will answer the same tomorrow counts as
// permanent: with a name that does not exist and with a user that has none.
func TestRefused(t *testing.T) {
	_, config := startPostgres(t)
	noDatabase, noUser := *config, *config
	noDatabase.DBName = "nowhere"
	noUser.User = "nobody"
	badOptions := loopdb.PostgresConfig{Host: "a b", Password: "secret"}
	for name, refused := range map[string]loopdb.PostgresConfig{
		"no such database": noDatabase,
		"no such user":     noUser,
		"bad options":      badOptions,
	} {
		lock := &databaseLock{config: &refused}
		err := lock.try(t.Context())
		reason, ok := states.PermanentReason(err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, states.DatabaseRefuses, reason, name)
		require.NotContains(t, err.Error(), "secret")
		require.Nil(t, lock.conn)
	}
	require.False(t, isRefusal(errors.New("connection refused")))
}

// fakeServer counts the connections of clients that it does not let in.
type fakeServer struct {
	net.Listener

	// code is the SQLSTATE of its answers; without one it hangs up.
	code string

	accepted, open atomic.Int64
}

// newFakeServer starts one.
func newFakeServer(t *testing.T, code string) (*fakeServer,
	*loopdb.PostgresConfig) {

	t.Helper()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &fakeServer{Listener: listener, code: code}
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			server.accepted.Add(1)
			server.open.Add(1)
			go server.answer(conn)
		}
	}()
	address, _ := listener.Addr().(*net.TCPAddr)

	return server, &loopdb.PostgresConfig{
		Host: "127.0.0.1", Port: address.Port, User: "loop",
		DBName: "owned",
	}
}

// answer refuses a client and waits until it has gone.
func (s *fakeServer) answer(conn net.Conn) {
	defer s.open.Add(-1)
	defer conn.Close()

	backend := pgproto3.NewBackend(conn, conn)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return
	}
	if s.code == "" {
		return
	}
	backend.Send(&pgproto3.ErrorResponse{
		Severity: "FATAL", Code: s.code, Message: "no",
	})
	_ = backend.Flush()
	_, _ = backend.Receive()
}

// TestFailedTriesLeaveNothing checks that no connection stays open of a
// thousand tries that fail, whatever the server says: one left behind each
// second would shut out every program on that server.
func TestFailedTriesLeaveNothing(t *testing.T) {
	for code, reason := range map[string]states.Reason{
		"":      states.DatabaseDown,
		"53300": states.DatabaseDown,
		"57P03": states.DatabaseDown,
		"28P01": states.DatabaseRefuses,
		"3D000": states.DatabaseRefuses,
		"42501": states.DatabaseRefuses,
	} {
		server, config := newFakeServer(t, code)
		lock := &databaseLock{config: config}
		for range manyTries {
			err := lock.try(t.Context())
			got, permanent := states.PermanentReason(err)
			if !permanent {
				got, _ = states.TransientReason(err)
			}
			require.Equal(t, reason, got, "%s: %v", code, err)
			require.Less(t, server.open.Load(), int64(maxOpen))
		}
		require.GreaterOrEqual(t, server.accepted.Load(),
			int64(manyTries))
		require.Eventually(t, func() bool {
			return server.open.Load() == 0
		}, testTimeout, time.Millisecond, code)
	}
}
