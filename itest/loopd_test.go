package itest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// keyMargin is the number of keys that restores of the stories skip.
	// The default of 1,000 takes lnd seconds.
	keyMargin = 25

	// backupPattern matches the files that loopd writes as backups.
	backupPattern = "loop_recovery_*.lrb"
)

// newLoopd describes a daemon of the story, with a directory of its own, and
// starts nothing.
func (s *story) newLoopd(config regtest.LoopdConfig) *regtest.Loopd {
	s.Helper()

	if config.Name == "" {
		config.Name = "loopd"
	}
	config.Name = s.name(config.Name)
	loopd, err := s.NewLoopd(config)
	require.NoError(s, err)
	s.loopds = append(s.loopds, loopd)

	return loopd
}

// ourArgs are the options that only our loopd knows.
var ourArgs = []string{fmt.Sprintf("--recovery.keymargin=%d", keyMargin)}

// start starts our loopd and waits until the embedded daemon answers.
func (s *story) start(loopd *regtest.Loopd) {
	s.Helper()

	loopd.SetBinary(regtest.LoopdBinary)
	require.NoError(s, loopd.Start(s.Context(), ourArgs...))
}

// startListening starts our loopd and waits until it accepts connections.
func (s *story) startListening(loopd *regtest.Loopd) {
	s.Helper()

	loopd.SetBinary(regtest.LoopdBinary)
	require.NoError(s, loopd.StartListening(s.Context(), ourArgs...))
}

// startUpstream starts upstream's loopd on the same directory and waits until
// it answers.
func (s *story) startUpstream(loopd *regtest.Loopd) {
	s.Helper()

	loopd.SetBinary(regtest.UpstreamBinary)
	require.NoError(s, loopd.Start(s.Context()))
}

// stop ends a daemon in good order.
func (s *story) stop(loopd *regtest.Loopd) {
	s.Helper()
	require.NoError(s, loopd.Stop())
}

// logSize returns the length of a daemon's log.
func logSize(loopd *regtest.Loopd) int64 {
	info, err := os.Stat(loopd.LogPath())
	if err != nil {
		return 0
	}

	return info.Size()
}

// logSince returns what a daemon has logged since its log had a length.
func (s *story) logSince(loopd *regtest.Loopd, from int64) string {
	s.Helper()

	data, err := os.ReadFile(loopd.LogPath())
	require.NoError(s, err)

	return string(data[min(from, int64(len(data))):])
}

// lose kills a daemon and removes its directory. Its secrets are remembered, so
// that they are looked for in what is left.
func (s *story) lose(loopd *regtest.Loopd) {
	s.Helper()

	s.noteSecrets(loopd)
	require.NoError(s, loopd.Kill())
	require.NoError(s, loopd.Wipe())
}

// swap calls upstream's service.
func (s *story) swap(loopd *regtest.Loopd,
	call func(ctx context.Context, client looprpc.SwapClientClient) error) {

	s.Helper()
	require.NoError(s, loopd.Swap(
		func(client looprpc.SwapClientClient) error {
			return call(s.Context(), client)
		},
	))
}

// newAddress asks for the static address.
func (s *story) newAddress(loopd *regtest.Loopd) string {
	s.Helper()

	var address string
	s.swap(loopd, func(ctx context.Context,
		client looprpc.SwapClientClient) error {

		resp, err := client.NewStaticAddress(
			ctx, &looprpc.NewStaticAddressRequest{},
		)
		if err == nil {
			require.EqualValues(s, s.Swap.Expiry(), resp.Expiry)
			address = resp.Address
		}

		return err
	})

	return address
}

// token returns the bytes of the paid token's file.
func (s *story) token(loopd *regtest.Loopd) []byte {
	s.Helper()

	raw, err := os.ReadFile(loopd.TokenPath())
	require.NoError(s, err)

	return raw
}

// file is a backup file outside of any directory.
type file struct {
	name    string
	content []byte
}

// backups returns the backup files in a daemon's data directory.
func (s *story) backups(loopd *regtest.Loopd) []file {
	s.Helper()

	paths, err := filepath.Glob(
		filepath.Join(loopd.DataDir(), backupPattern),
	)
	require.NoError(s, err)

	var files []file
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(s, err)
		files = append(files, file{filepath.Base(path), content})
	}

	return files
}

// backup returns the only backup file in a daemon's data directory, which may
// be written beside the start.
func (s *story) backup(loopd *regtest.Loopd) file {
	s.Helper()

	var files []file
	err := regtest.Eventually(s.Context(), "a backup",
		regtest.DefaultTimeout, func(context.Context) error {
			files = s.backups(loopd)
			if len(files) == 0 {
				return errNotYet
			}

			return nil
		})
	require.NoError(s, err)
	require.Len(s, files, 1)

	return files[0]
}

// waitWarned waits until a daemon warns of something, or does not any more.
func (s *story) waitWarned(loopd *regtest.Loopd, code string,
	wanted bool) *recoveryrpc.GetRecoveryResponse {

	s.Helper()

	return s.waitRecovery(loopd, "the warning "+code,
		func(resp *recoveryrpc.GetRecoveryResponse) bool {
			return warned(resp, code) == wanted
		})
}

// waitCalm waits until nothing is warned of but that there is no second backup
// place, which is the default. After a start it is not known for a moment
// whether lnd's wallet sees everything.
func (s *story) waitCalm(
	loopd *regtest.Loopd) *recoveryrpc.GetRecoveryResponse {

	s.Helper()

	return s.waitRecovery(loopd, "no warning",
		func(resp *recoveryrpc.GetRecoveryResponse) bool {
			for _, warning := range resp.Warnings {
				if warning.Code != noPlaceCode {
					return false
				}
			}

			return true
		})
}

// plant puts a backup file into the data directory of a stopped daemon.
func (s *story) plant(loopd *regtest.Loopd, backup file) {
	s.Helper()

	require.NoError(s, os.MkdirAll(loopd.DataDir(), 0o700))
	require.NoError(s, os.WriteFile(
		filepath.Join(loopd.DataDir(), backup.name), backup.content,
		0o600,
	))
}

// keep writes a backup file to the story's own directory and returns its path.
func (s *story) keep(backup file) string {
	s.Helper()

	path := filepath.Join(s.scratch, backup.name)
	require.NoError(s, os.WriteFile(path, backup.content, 0o600))

	return path
}

// recovery asks for the latest run, the daemon's state and the warnings.
func recovery(ctx context.Context, loopd *regtest.Loopd) (
	*recoveryrpc.GetRecoveryResponse, error) {

	conn, err := loopd.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()

	return recoveryrpc.NewRecoveryClient(conn).GetRecovery(
		ctx, &recoveryrpc.GetRecoveryRequest{},
	)
}

// recovery asks for the latest run, the daemon's state and the warnings.
func (s *story) recovery(
	loopd *regtest.Loopd) *recoveryrpc.GetRecoveryResponse {

	s.Helper()

	resp, err := recovery(s.Context(), loopd)
	require.NoError(s, err)

	return resp
}

// errNotYet is returned by conditions that do not hold yet.
var errNotYet = errors.New("not yet")

// waitRecovery waits until a condition on the latest run, the daemon's state
// and the warnings holds.
func (s *story) waitRecovery(loopd *regtest.Loopd, what string,
	holds func(*recoveryrpc.GetRecoveryResponse) bool,
) *recoveryrpc.GetRecoveryResponse {

	s.Helper()

	var resp *recoveryrpc.GetRecoveryResponse
	err := regtest.Eventually(s.Context(), what, regtest.DefaultTimeout,
		func(ctx context.Context) error {
			var err error
			resp, err = recovery(ctx, loopd)
			if err == nil && !holds(resp) {
				err = fmt.Errorf("%w: %v, %v, last error %q",
					errNotYet, resp.Daemon.GetState(),
					resp.Run.GetState(),
					resp.Run.GetLastError())
			}

			return err
		})
	require.NoError(s, err)

	return resp
}

// waitReconciled waits until the latest run has ended well and the embedded
// daemon is up, and returns the run.
func (s *story) waitReconciled(loopd *regtest.Loopd) *recoveryrpc.Run {
	s.Helper()

	resp := s.waitRecovery(loopd, "the recovery's end",
		func(resp *recoveryrpc.GetRecoveryResponse) bool {
			run := resp.GetRun()
			up := resp.Daemon.State ==
				recoveryrpc.DaemonState_DAEMON_UP

			return run.GetFinished() && up ||
				run.GetState() == string(states.Blocked)
		})
	require.Equal(s, string(states.Reconciled), resp.Run.State,
		"%s: %s", resp.Run.Reason, resp.Run.Detail)

	return resp.Run
}

// summary returns the result of a run.
func (s *story) summary(run *recoveryrpc.Run) actions.Summary {
	s.Helper()

	var summary actions.Summary
	decoder := json.NewDecoder(strings.NewReader(run.Summary))
	decoder.DisallowUnknownFields()
	require.NoError(s, decoder.Decode(&summary))

	return summary
}

// cli runs our command line. Its output is searched for secrets at the end.
func (s *story) cli(loopd *regtest.Loopd, args ...string) *regtest.CLIResult {
	s.Helper()

	result, err := loopd.CLI(s.Context(), args...)
	require.NoError(s, err)
	s.secrets.outputs = append(
		s.secrets.outputs, result.Stdout, result.Stderr,
	)

	return result
}

// warned reports whether a warning stands.
func warned(resp *recoveryrpc.GetRecoveryResponse, code string) bool {
	for _, warning := range resp.Warnings {
		if warning.Code == code {
			return true
		}
	}

	return false
}
