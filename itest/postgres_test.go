package itest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
)

// postgresDatabase is the name of loopd's database on a server.
const postgresDatabase = "loop"

// newPostgres starts a PostgreSQL server with an empty database, and returns it
// with loopd's options for it. The server's files are searched for secrets at
// the end, like everything else.
func (s *story) newPostgres() (*regtest.Postgres, []string) {
	s.Helper()

	server, err := regtest.StartPostgres(
		s.Context(), openRoot, s.world.logDir,
	)
	require.NoError(s, err)
	s.databases = append(s.databases, server)
	s.emptyDatabase(server)
	options, err := server.Args(postgresDatabase)
	require.NoError(s, err)

	return server, options
}

// emptyDatabase makes loopd's database an empty one.
func (s *story) emptyDatabase(server *regtest.Postgres) {
	s.Helper()
	require.NoError(s, server.CreateDatabase(s.Context(), postgresDatabase))
}

// TestStoryBPostgres: the machine is gone, with the database on it. If this
// breaks, those who run loopd on PostgreSQL learn on the worst day that the
// recovery was only ever tried with SQLite.
func TestStoryBPostgres(t *testing.T) {
	s := newStory(t)
	server, options := s.newPostgres()
	loopd := s.bothLost(options, func() { s.emptyDatabase(server) })

	// The journal is beside the token, and the rest is not.
	require.NoFileExists(t, filepath.Join(loopd.DataDir(), databaseName))
	require.FileExists(t, filepath.Join(loopd.DataDir(), "recovery.db"))
	require.FileExists(t, loopd.TokenPath())
}

// TestLockLost: the session with the database's lock ends, as when the server
// is restarted or an administrator ends it, while a scan is under way. If this
// breaks, a second daemon takes over while this one still swaps and sweeps.
func TestLockLost(t *testing.T) {
	s := newStory(t)
	server, options := s.newPostgres()
	loopd, proxy := s.newProxied(options...)
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000)
	s.waitDeposits(loopd, deposits...)

	const getBlock = "/chainrpc.ChainKit/GetBlock"
	proxy.Hold(func(method string) bool { return method == getBlock })
	result := s.cli(loopd, "recover", "rescan", "--detach")
	require.Zero(t, result.ExitCode, "%s%s", result.Stdout, result.Stderr)
	require.NoError(t, proxy.WaitHeld(t.Context(), getBlock))

	require.NoError(t, server.TerminateOwner(t.Context(), postgresDatabase))
	resp := s.waitDown(loopd, states.LockLost)
	require.Equal(t, string(states.ScanDeposits), resp.Run.State)
	require.False(t, resp.Run.Finished)
	require.Empty(t, proxy.Held(), "the scan goes on")
	s.refusesAll(loopd, states.LockLost)

	// It comes back by itself, and the run ends as if nothing had been.
	proxy.Open()
	run := s.waitReconciled(loopd)
	require.Equal(t, string(states.Rescan), run.Kind)
	require.Len(t, s.runs(loopd), 1)
	s.waitRestored(loopd, deposits...)
}

// TestStandby: two daemons with directories of their own share one database,
// and the backups. If this breaks, both swap with the same deposits, or the
// second one buys a token that does not belong to the address.
func TestStandby(t *testing.T) {
	s := newStory(t)
	server, options := s.newPostgres()
	shared := filepath.Join(s.scratch, "shared")
	require.NoError(t, os.Mkdir(shared, 0o700))
	options = append(options, "--recovery.backupdir="+shared)
	first := s.newLoopd(regtest.LoopdConfig{
		Name: "first", ExtraArgs: options,
	})
	second := s.newLoopd(regtest.LoopdConfig{
		Name: "second", ExtraArgs: options,
	})
	s.start(first)
	address := s.newAddress(first)
	deposits := s.pay(address, 200_000, 300_000)
	s.waitDeposits(first, deposits...)
	challenges := s.Swap.Challenges()

	// The second one answers, does nothing and says why.
	times := &stopTimes{story: s}
	s.startListening(second)
	s.waitDown(second, states.Standby)
	times.stop(second, "standby")
	s.startListening(second)
	s.waitDown(second, states.Standby)
	s.refusesAll(second, states.Standby)
	s.says(second, 0, string(states.Standby))
	require.NoFileExists(t, second.TokenPath())
	s.waitDeposits(first, deposits...)

	// It takes over when the first one dies: there is a row without its
	// token in its directory, and the backup that they share completes it.
	token := s.token(first)
	require.NoError(t, first.Kill())
	require.True(t, s.waitReconciled(second).Automatic)
	s.waitRestored(second, deposits...)
	require.Equal(t, token, s.token(second))
	require.Equal(t, address, s.newAddress(second))

	// The first one comes back as the standby, and is needed again.
	s.startListening(first)
	s.waitDown(first, states.Standby)
	s.stop(second)
	require.NoError(t, first.WaitReady(t.Context()))
	s.waitDeposits(first, deposits...)
	require.Empty(t, s.runs(first), "a recovery was begun")
	require.Equal(t, challenges, s.Swap.Challenges(), "bought a token")

	// The lock is taken from the owner while somebody waits for it.
	s.startListening(second)
	s.waitDown(second, states.Standby)
	require.NoError(t, server.TerminateOwner(t.Context(), postgresDatabase))
	s.neverTwo(first, second)
	times.stop(first, "one of the two")
	times.stop(second, "the other")
	t.Logf("\n%s", strings.Join(times.lines, "\n"))
}

// TestStandbyOfBlindWallet: as above, beside an lnd that was rebuilt and sees
// none of the deposits. What the first daemon knew of that is in its directory,
// the rows are in the database. If this breaks, upstream finds the rows'
// outputs gone, and never sweeps them.
func TestStandbyOfBlindWallet(t *testing.T) {
	s := newStory(t)
	server, options := s.newPostgres()
	shared := filepath.Join(s.scratch, "shared")
	require.NoError(t, os.Mkdir(shared, 0o700))
	options = append(options, "--recovery.backupdir="+shared)
	lost := s.newClient("lnd")
	first := s.newLoopd(regtest.LoopdConfig{
		Name: "first", Lnd: lost, ExtraArgs: options,
	})
	s.start(first)
	deposits := s.pay(s.newAddress(first), 200_000, 300_000)
	s.waitDeposits(first, deposits...)
	s.lose(first)
	s.emptyDatabase(server)
	lnd := s.rebuild(lost, "lnd-rebuilt")
	first.SetLnd(lnd)
	s.startListening(first)
	s.waitReconciled(first)
	s.waitRestored(first, deposits...)

	second := s.newLoopd(regtest.LoopdConfig{
		Name: "second", Lnd: lnd, ExtraArgs: options,
	})
	s.startListening(second)
	s.waitDown(second, states.Standby)
	require.NoError(t, first.Kill())
	require.True(t, s.waitReconciled(second).Automatic)
	s.waitRestored(second, deposits...)
	s.waitSwept(lnd, deposits...)
	s.waitDeposits(second)
}

// neverTwo watches two daemons of which the owner lost its lock, until one of
// them is the owner and the other stands by. There is a time at which neither
// is up, and none at which both are.
func (s *story) neverTwo(first, second *regtest.Loopd) {
	s.Helper()

	none := false
	err := regtest.Eventually(s.Context(), "one owner and one standby",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			up, waiting := 0, 0
			for _, loopd := range []*regtest.Loopd{first, second} {
				resp, err := recovery(ctx, loopd)
				daemon := resp.GetDaemon()
				switch {
				case err != nil:
					return err

				case daemon.State == recoveryrpc.
					DaemonState_DAEMON_UP:

					up++

				case daemon.Reason == string(states.Standby):
					waiting++
				}
			}
			require.Less(s, up, 2, "two owners")
			none = none || up == 0
			if !none || up != 1 || waiting != 1 {
				return fmt.Errorf("%w: %d up, %d waiting",
					errNotYet, up, waiting)
			}

			return nil
		})
	require.NoError(s, err)
}

// TestStandbySameDirectory: a second daemon is started on the directory of the
// first. It cannot know who calls, since the first has the macaroons, and says
// no more than that it waits. If this breaks, the two write one journal.
func TestStandbySameDirectory(t *testing.T) {
	s := newStory(t)
	_, options := s.newPostgres()
	first := s.newLoopd(regtest.LoopdConfig{
		Name: "first", ExtraArgs: options,
	})
	s.start(first)
	deposits := s.pay(s.newAddress(first), 200_000)
	s.waitDeposits(first, deposits...)
	second := s.newLoopd(regtest.LoopdConfig{
		Name: "second", Dir: first.Dir(), ExtraArgs: options,
	})

	s.startListening(second)
	err := regtest.Eventually(t.Context(), "the standby to say so",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			_, err := recovery(ctx, second)
			reason, _ := recoveryrpc.ReasonOf(err)
			if reason != states.Standby {
				return errNotYet
			}

			return nil
		})
	require.NoError(t, err)
	_, err = recovery(t.Context(), second)
	s.refused(err, codes.Unavailable, states.Standby)
	_, err = listDeposits(t.Context(), second)
	s.refused(err, codes.Unavailable, states.Standby)

	require.NoError(t, first.Kill())
	require.NoError(t, second.WaitReady(t.Context()))
	s.waitDeposits(second, deposits...)
	require.Empty(t, s.runs(second), "a recovery was begun")
}

// waitDown waits until a daemon says that the embedded daemon is down, and for
// the given reason, and returns all that it says.
func (s *story) waitDown(loopd *regtest.Loopd,
	reason states.Reason) *recoveryrpc.GetRecoveryResponse {

	s.Helper()

	return s.waitRecovery(loopd, string(reason),
		func(resp *recoveryrpc.GetRecoveryResponse) bool {
			return resp.Daemon.Reason == string(reason) &&
				resp.Daemon.State ==
					recoveryrpc.DaemonState_DAEMON_DOWN
		})
}

// refusesAll checks that a daemon neither swaps nor recovers, and says why.
func (s *story) refusesAll(loopd *regtest.Loopd, reason states.Reason) {
	s.Helper()

	s.swap(loopd, func(ctx context.Context,
		client looprpc.SwapClientClient) error {

		_, err := client.NewStaticAddress(
			ctx, &looprpc.NewStaticAddressRequest{},
		)
		s.refused(err, codes.Unavailable, reason)
		_, err = client.FetchL402Token(
			ctx, &looprpc.FetchL402TokenRequest{},
		)
		s.refused(err, codes.Unavailable, reason)

		return nil
	})

	conn, err := loopd.Dial()
	require.NoError(s, err)
	defer conn.Close()
	_, err = recoveryrpc.NewRecoveryClient(conn).StartRecovery(
		s.Context(), &recoveryrpc.StartRecoveryRequest{
			Kind: string(states.Rescan),
		},
	)
	s.refused(err, codes.Unavailable, reason)
}
