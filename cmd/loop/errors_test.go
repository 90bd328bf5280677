package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// noSuchRun is what loopd answers about an unknown id.
func noSuchRun(id string) error {
	return recoveryrpc.StatusError(states.NoSuchRun, id)
}

// answering returns a daemon whose status calls fail with the error.
func answering(t *testing.T, err error) *daemon {
	t.Helper()

	return startDaemon(t, &testServer{
		get: func(string) (*recoveryrpc.GetRecoveryResponse, error) {
			return nil, err
		},
	})
}

// TestReasons checks that for every reason of the closed list a person is told
// what happened, what was left untouched and what to type next.
func TestReasons(t *testing.T) {
	for _, reason := range states.Reasons() {
		sent := recoveryrpc.StatusError(reason, "the thing")
		explained := explain(sent)

		text := states.ExplainWithoutRun(reason)
		require.Equal(t, text.Sentence+" (the thing)", explained.what)
		require.Equal(t, text.Untouched, explained.untouched)
		require.Equal(t, text.Next, explained.next)
	}
}

// TestFailures checks the exit code and the text for each way in which loopd
// can fail to answer.
func TestFailures(t *testing.T) {
	tests := map[string]struct {
		err  error
		code int
		says string
	}{
		"locked": {
			err:  recoveryrpc.StatusError(states.LndLocked, ""),
			code: exitConnection,
			says: "next: lncli unlock",
		},
		"busy": {
			err: recoveryrpc.StatusError(
				states.AlreadyRunning, testID,
			),
			code: exitFailure,
			says: testID,
		},
		"newer": {
			err:  recoveryrpc.StatusError("NEW_REASON", ""),
			code: exitFailure,
			says: "NEW_REASON",
		},
		"bad": {
			err:  recoveryrpc.StatusError(states.BadRequest, ""),
			code: exitUsage,
			says: "contradicts itself",
		},
		"upstream": {
			err:  status.Error(codes.Unimplemented, "unknown"),
			code: exitFailure,
			says: "does not know recoveries",
		},
		"denied": {
			err:  status.Error(codes.PermissionDenied, "denied"),
			code: exitFailure,
			says: "--macaroonpath",
		},
		"slow": {
			err:  status.Error(codes.DeadlineExceeded, "late"),
			code: exitConnection,
			says: "in time",
		},
		"plain": {
			err:  errors.New("something else"),
			code: exitFailure,
			says: "something else",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := answering(t, test.err).loop(
				t, "recover", "status",
			)
			require.Equal(t, test.code, got.code)
			require.Empty(t, got.out)
			require.Contains(t, got.err, test.says)
			require.Contains(t, got.err, "untouched: ")
			require.Contains(t, got.err, "next: ")
		})
	}
}

// TestUnreachable checks that a loopd that is down is told apart from one that
// answers with an error.
func TestUnreachable(t *testing.T) {
	d := startDaemon(t, &testServer{})
	d.server.Stop()

	got := d.loop(t, "recover")
	require.Equal(t, exitConnection, got.code)
	require.Empty(t, got.out)
	require.Contains(t, got.err, "loopd cannot be reached")
	require.Contains(t, got.err, "--rpcserver")
}

// TestCredentials checks that a missing or wrong certificate or macaroon is
// reported with the flag that mends it, and that each flag does.
func TestCredentials(t *testing.T) {
	response := &recoveryrpc.GetRecoveryResponse{Daemon: upDaemon}
	d := startDaemon(t, &testServer{
		get: func(string) (*recoveryrpc.GetRecoveryResponse, error) {
			return response, nil
		},
	})

	for name, flag := range map[string]string{
		tlsCertName: "--tlscertpath", macaroonName: "--macaroonpath",
	} {
		path := filepath.Join(d.dir, "regtest", name)
		moved := filepath.Join(t.TempDir(), "moved")
		require.NoError(t, os.Rename(path, moved))

		got := d.loop(t, "recover", "status")
		require.Equal(t, exitConnection, got.code)
		require.Contains(t, got.err, path)
		require.Contains(t, got.err, flag)

		got = d.loop(t, flag, moved, "recover", "status")
		require.Equal(t, exitOK, got.code, got.err)

		require.NoError(t, os.WriteFile(path, []byte("x"), 0600))
		got = d.loop(t, "recover", "status")
		require.Equal(t, exitConnection, got.code)
		require.Contains(t, got.err, flag)

		require.NoError(t, os.Rename(moved, path))
	}

	foreign := filepath.Join(t.TempDir(), "foreign.macaroon")
	err := os.WriteFile(foreign, newMacaroon(t, []byte("other")), 0600)
	require.NoError(t, err)
	got := d.loop(t, "--macaroonpath", foreign, "recover", "status")
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.err, "refused the macaroon")
}

// TestUsage checks that a mistyped command reaches nobody: above all, it must
// not begin a recovery.
func TestUsage(t *testing.T) {
	d := startDaemon(t, &testServer{})
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0600))

	for _, line := range []string{
		"recover statsu",
		"recover --bogus",
		"recover --backup_file " + file + " --token_id " + testToken,
		"recover --token_id abc",
		"recover --token_id " + testToken + "00",
		"recover --token_id " + strings.Repeat("zz", 32),
		"recover --status --backup_file " + file,
		"recover --watch --token_id " + testToken,
		"recover --watch --detach",
		"recover --json status",
		"recover --backup_file " + file + " resume",
		"recover status one two",
		"recover status --bogus",
		"recover cancel one two",
		"recover resume one two",
		"recover list one",
		"recover list --max_runs 0",
		"recover list --max_runs 101",
		"recover list --max_runs x",
		"recover rescan one",
		"recover rescan --backup_file " + file,
		"recover --network nonet",
		"backup bogus",
		"backup list one",
		"backup list --bogus",
	} {
		got := d.loop(t, strings.Fields(line)...)
		require.Equal(t, exitUsage, got.code, line)
		require.Contains(t, got.err, "next: ", line)
	}
	require.Empty(t, d.called())
}
