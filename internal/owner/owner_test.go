package owner

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/lightninglabs/loop/loopdb"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// testTimeout bounds every wait.
	testTimeout = 30 * time.Second

	// testStopLimit is how long an owner of the tests may take to stop.
	testStopLimit = 500 * time.Millisecond
)

// postgres is the one server of all tests.
var postgres regtest.SharedPostgres

// TestMain ends the server.
func TestMain(m *testing.M) {
	os.Exit(postgres.Main(m.Run))
}

// startPostgres returns a running server with an empty database for the tests
// of the lock to fight for.
func startPostgres(t *testing.T) (*regtest.Postgres, *loopdb.PostgresConfig) {
	t.Helper()

	server, config, err := postgres.Database(t.Context())
	require.NoError(t, err)

	return server, config
}

// newOwner returns an owner-to-be with a directory of its own.
func newOwner(t *testing.T, config *loopdb.PostgresConfig) *Owner {
	t.Helper()

	return New(Config{
		DataDir: t.TempDir(), Postgres: config,
		StopLimit: testStopLimit,
	})
}

// waits is where an owner-to-be says why it waits.
type waits chan states.Reason

// take is onReason.
func (w waits) take(reason states.Reason) {
	select {
	case w <- reason:
	default:
	}
}

// state is onState.
func (w waits) state(state await.State) {
	w.take(state.Reason)
}

// next waits for a reason.
func (w waits) next(t *testing.T) states.Reason {
	t.Helper()

	select {
	case reason := <-w:
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
	first, second := newOwner(t, config), newOwner(t, config)
	require.True(t, first.Shared())
	firstCtx, endFirst := context.WithCancel(t.Context())
	defer endFirst()
	secondCtx, endSecond := context.WithCancel(t.Context())
	defer endSecond()

	require.NoError(t, server.Stop())
	reasons := make(waits)
	owned := make(chan error, 1)
	go func() { owned <- first.AwaitDatabase(firstCtx, reasons.state) }()
	require.Equal(t, states.DatabaseDown, reasons.next(t))
	require.NoError(t, server.Start(t.Context()))
	require.NoError(t, <-owned)
	require.True(t, first.Owns())

	go func() { owned <- second.AwaitDatabase(secondCtx, reasons.state) }()
	require.Equal(t, states.Standby, reasons.next(t))
	require.Equal(t, states.Standby, reasons.next(t))
	require.False(t, second.Owns())

	began := time.Now()
	require.NoError(t, server.TerminateOwner(t.Context(), config.DBName))
	select {
	case <-first.Lost():

	case <-time.After(testTimeout):
		require.Fail(t, "the loss was not noticed")
	}
	noticed := time.Since(began)
	require.Equal(t, Lost, first.State())
	require.Less(t, noticed, lockCheckInterval+lockTimeout)
	require.False(t, second.Owns())
	require.NoError(t, <-owned)
	require.Greater(t, time.Since(began),
		lockCheckInterval+lockTimeout+testStopLimit)

	// An orderly end frees the lock at once.
	endFirst()
	first.Release()
	endSecond()
	second.Release()
	require.Equal(t, Released, second.State())
	lock := databaseLock{config: config}
	require.NoError(t, lock.try(t.Context()))
	lock.release()
	t.Logf("the loss was noticed after %v", noticed)
}

// TestLostWhileHandingOver checks that a lock that is lost while a former owner
// may still stop makes nobody an owner.
func TestLostWhileHandingOver(t *testing.T) {
	server, config := startPostgres(t)
	o := newOwner(t, config)
	ctx, end := context.WithCancel(t.Context())
	owned := make(chan error, 1)
	go func() { owned <- o.AwaitDatabase(ctx, nil) }()
	require.Eventually(t, func() bool {
		return o.State() == HandingOver
	}, testTimeout, time.Millisecond)
	require.NoError(t, server.TerminateOwner(t.Context(), config.DBName))
	require.ErrorIs(t, <-owned, ErrLockLost)
	require.False(t, o.Owns())
	end()
	o.Release()
}

// TestOneDirectory checks that a data directory has one owner.
func TestOneDirectory(t *testing.T) {
	dir := t.TempDir()
	first, second := New(Config{DataDir: dir}), New(Config{DataDir: dir})
	require.False(t, first.Shared())

	held, err := first.TryDirectory()
	require.NoError(t, err)
	require.True(t, held)
	held, err = first.TryDirectory()
	require.NoError(t, err)
	require.True(t, held)
	require.NoError(t, first.AwaitDatabase(t.Context(), nil))
	require.True(t, first.Owns())
	held, err = second.TryDirectory()
	require.NoError(t, err)
	require.False(t, held)

	reasons := make(waits)
	done := make(chan error, 1)
	go func() { done <- second.AwaitDirectory(t.Context(), reasons.take) }()
	require.Equal(t, states.Standby, reasons.next(t))
	first.Release()
	require.NoError(t, <-done)
	second.Release()

	_, err = first.TryDirectory()
	require.ErrorIs(t, err, ErrReleased)
	require.ErrorIs(t, first.AwaitDatabase(t.Context(), nil), ErrReleased)
}

// TestDirectoryOfNobody checks that a lock that cannot be taken at all is an
// error, and not a wait for another process that does not exist.
func TestDirectoryOfNobody(t *testing.T) {
	dir := t.TempDir()
	o := New(Config{DataDir: dir + "/missing"})
	_, err := o.TryDirectory()
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorIs(t, o.AwaitDirectory(t.Context(), nil), os.ErrNotExist)
	require.Equal(t, WaitingForDirectory, o.State())
}

// TestAwaitDirectoryEnds checks that a standby can be stopped.
func TestAwaitDirectoryEnds(t *testing.T) {
	dir := t.TempDir()
	first, second := New(Config{DataDir: dir}), New(Config{DataDir: dir})
	_, err := first.TryDirectory()
	require.NoError(t, err)
	defer first.Release()

	ctx, cancel := context.WithCancel(t.Context())
	err = second.AwaitDirectory(ctx, func(states.Reason) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
}

// TestStatesGoForward checks that a state that was passed is never entered
// again: a late success must not make an owner of a process that lost its lock
// or gave it up.
func TestStatesGoForward(t *testing.T) {
	all := []State{
		WaitingForDirectory, WaitingForDatabase, HandingOver, Owning,
		Lost, Released,
	}
	for _, from := range all {
		for _, to := range all {
			o := New(Config{DataDir: t.TempDir()})
			o.advance(from)
			require.Equal(t, to > from, o.advance(to))
			require.Equal(t, max(from, to), o.State())
			require.Equal(t, max(from, to) == Owning, o.Owns())
		}
		require.NotContains(t, from.String(), "unknown")
	}
	require.Contains(t, (Released + 1).String(), "unknown")
}
