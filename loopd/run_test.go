package loopd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btclog/v2"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// errBroken is a permanent error of a start.
var errBroken = &states.PermanentError{
	Reason: states.DatabaseDirty, Detail: "loop_sqlite.db",
}

// runDaemon runs a daemon without an lnd, and returns where its error goes.
func runDaemon(t *testing.T, daemon *Daemon) <-chan error {
	t.Helper()

	ended := make(chan error, 1)
	go func() { ended <- daemon.Run() }()

	return ended
}

// newRunnable returns a daemon that owns its directory and has no lnd.
func newRunnable(t *testing.T, cfg *Config) *Daemon {
	t.Helper()

	cfg.Lnd.Host = "127.0.0.1:1"
	cfg.Lnd.TLSPath = filepath.Join(cfg.DataDir, "lnd.cert")
	daemon, err := newOwned(t.Context(), cfg, newOwner(cfg))
	require.NoError(t, err)
	t.Cleanup(daemon.Stop)

	return daemon
}

// within returns what a channel receives before somebody would lose patience.
func within(t *testing.T, ended <-chan error) error {
	t.Helper()

	select {
	case err := <-ended:
		return err

	case <-time.After(callPatience):
		require.Fail(t, "the daemon did not end")
		return nil
	}
}

// TestStopEndsEverything checks that a daemon that waits for lnd ends at once,
// leaves its directory to the next one, and that this one can start.
func TestStopEndsEverything(t *testing.T) {
	cfg := serverConfig(t)
	for range 2 {
		daemon := newRunnable(t, cfg)
		ended := runDaemon(t, daemon)
		daemon.Stop()
		require.NoError(t, within(t, ended))
	}
}

// TestOneOwner checks that a second daemon on the directory starts nothing.
func TestOneOwner(t *testing.T) {
	cfg := serverConfig(t)
	ownedDaemon(t, cfg)
	err := runOnce(t.Context(), cfg, "")
	require.ErrorContains(t, err, cfg.DataDir)
}

// TestPermanentErrorsEnd checks that the process ends with what somebody has to
// change if the user wants that, and not for what may pass.
func TestPermanentErrorsEnd(t *testing.T) {
	cfg := serverConfig(t)
	cfg.Recovery.ExitOnPermanent = true
	daemon := newRunnable(t, cfg)
	daemon.noteDown(await.NewState(errors.New("it may pass")))
	require.Empty(t, daemon.fatal)
	daemon.noteDown(await.NewState(errBroken))
	err := within(t, runDaemon(t, daemon))
	require.ErrorIs(t, err, errBroken)

	// What noted it has logged it.
	lines := captureLog(t)
	logEnd(err)
	require.NotContains(t, lines.String(), "[ERR]")
	logEnd(errBroken)
	require.Equal(t, 1, strings.Count(lines.String(), "[ERR]"))
}

// captureLog collects the lines of the package's log during a test.
func captureLog(t *testing.T) *bytes.Buffer {
	t.Helper()

	var lines bytes.Buffer
	before := log
	log = btclog.NewSLogger(btclog.NewDefaultHandler(&lines))
	t.Cleanup(func() { log = before })

	return &lines
}

// TestPermanentErrorsAreTold checks that without that the process stays, and
// that the status names the reason and the thing concerned.
func TestPermanentErrorsAreTold(t *testing.T) {
	daemon := ownedDaemon(t, serverConfig(t))
	daemon.gate.Release(holdOwner)
	daemon.noteDown(await.NewState(errBroken))
	daemon.noteDown(await.NewState(errBroken))
	require.Empty(t, daemon.fatal)

	view := &daemonView{daemon: daemon}
	require.ErrorIs(t, view.Cause(), errBroken)
	require.Equal(t, states.DatabaseDirty, daemon.gate.Status().Reason)
}

// TestStandbyOfTheDirectory checks what a daemon answers that waits for a
// directory that another process owns: every call, of both services, with the
// reason and no data.
func TestStandbyOfTheDirectory(t *testing.T) {
	cfg := serverConfig(t)
	servers, err := serve(cfg, standbyService())
	require.NoError(t, err)
	defer servers.stop()

	creds, err := credentials.NewClientTLSFromFile(cfg.TLSCertPath, "")
	require.NoError(t, err)
	conn, err := grpc.NewClient(
		servers.address, grpc.WithTransportCredentials(creds),
	)
	require.NoError(t, err)
	defer conn.Close()

	_, err = looprpc.NewSwapClientClient(conn).GetInfo(
		t.Context(), &looprpc.GetInfoRequest{},
	)
	requireReason(t, err, states.Standby)
	_, err = recoveryrpc.NewRecoveryClient(conn).GetRecovery(
		t.Context(), &recoveryrpc.GetRecoveryRequest{},
	)
	requireReason(t, err, states.Standby)
}

// TestDirectoryThatCannotBeUsed checks that what stands in the way of a daemon
// before it serves anything is an error, and that the directory is let go.
func TestDirectoryThatCannotBeUsed(t *testing.T) {
	cfg := serverConfig(t)
	store := filepath.Join(cfg.DataDir, macaroonDBName)
	require.NoError(t, os.Mkdir(store, 0o700))
	require.Error(t, runOnce(t.Context(), cfg, ""))

	require.NoError(t, os.Remove(store))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, runOnce(ctx, cfg, ""))
}

// TestJournalThatCannotBeOpened checks that a journal on a disk that fails
// keeps nobody from the swap client: there is one that takes nothing.
func TestJournalThatCannotBeOpened(t *testing.T) {
	cfg := serverConfig(t)
	cfg.DataDir = filepath.Join(cfg.DataDir, "gone")
	journal, err := openJournal(cfg)
	require.NoError(t, err)
	defer journal.Close()
	require.True(t, journal.Report().ReadOnly())
	require.ErrorIs(t, journal.Report().Without, os.ErrNotExist)
}
