package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// update rewrites the files that outputs are compared with.
var update = flag.Bool("update", false, "rewrite testdata")

// golden compares an output with what is stored under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()

	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// upDaemon is an embedded daemon that is up, heldDaemon and
// downDaemon are not.
var (
	upDaemon = &recoveryrpc.DaemonStatus{
		State:   recoveryrpc.DaemonState_DAEMON_UP,
		Network: "regtest", Version: "0.1.0",
	}
	heldDaemon = &recoveryrpc.DaemonStatus{
		State:       recoveryrpc.DaemonState_DAEMON_HELD,
		Reason:      string(states.RecoveryActive),
		Sentence:    states.Explain(states.RecoveryActive).Sentence,
		NextCommand: states.Explain(states.RecoveryActive).Next,
		Network:     "regtest", Version: "0.1.0",
	}
	downDaemon = &recoveryrpc.DaemonStatus{
		State:       recoveryrpc.DaemonState_DAEMON_DOWN,
		Reason:      string(states.LndDown),
		Sentence:    states.Explain(states.LndDown).Sentence,
		NextCommand: states.Explain(states.LndDown).Next,
	}
)

// statusCase is a state of the daemon and what `loop recover status` makes of
// it.
type statusCase struct {
	response *recoveryrpc.GetRecoveryResponse
	code     int
}

// statusCases returns a case for every state that a person can meet.
func statusCases(t *testing.T) map[string]statusCase {
	cases := map[string]statusCase{
		"none": {response: &recoveryrpc.GetRecoveryResponse{
			Daemon: upDaemon,
			Warnings: []*recoveryrpc.Warning{{
				Code: "ROW_WITHOUT_TOKEN",
				Sentence: "There is a static address " +
					"without its L402 token.",
				Detail:      testAddress,
				NextCommand: "loop recover",
			}},
		}},
		"lnd-down": {response: &recoveryrpc.GetRecoveryResponse{
			Run:    finishedRun(t),
			Daemon: downDaemon,
		}},
		"starting": {response: &recoveryrpc.GetRecoveryResponse{
			Daemon: &recoveryrpc.DaemonStatus{
				State: recoveryrpc.DaemonState_DAEMON_STARTING,
			},
		}},
		"finished": {response: &recoveryrpc.GetRecoveryResponse{
			Run: finishedRun(t), Daemon: upDaemon,
		}},
		"blocked": {
			response: &recoveryrpc.GetRecoveryResponse{
				Run:    blockedRun(t, states.OtherSeed),
				Daemon: heldDaemon,
			},
			code: exitBlocked,
		},
	}

	halted := runIn(t, states.ScanDeposits)
	halted.Halted = true
	halted.Reason = string(states.UnknownDefinition)
	cases["halted"] = statusCase{
		response: &recoveryrpc.GetRecoveryResponse{
			Run: halted, Daemon: upDaemon,
		},
		code: exitBlocked,
	}

	for _, state := range append(
		states.RestoreTable().Path, states.Start,
	) {
		cases[string(state)] = statusCase{
			response: &recoveryrpc.GetRecoveryResponse{
				Run: runIn(t, state), Daemon: heldDaemon,
			},
		}
	}

	retried := runIn(t, states.ImportToken)
	retried.Automatic = true
	retried.Attempt = 3
	retried.LastError = "write /data/.loop: no space left on device"
	retried.NextRetry = at(22, 41, 12)
	cases["retry"] = statusCase{response: &recoveryrpc.GetRecoveryResponse{
		Run: retried, Daemon: heldDaemon,
	}}

	cancelled := runIn(t, states.RecreateAddress)
	cancelled.State = string(states.Cancelled)
	cancelled.Finished = true
	cases["cancelled"] = statusCase{
		response: &recoveryrpc.GetRecoveryResponse{
			Run: cancelled, Daemon: upDaemon,
		},
		code: exitCancelled,
	}

	return cases
}

// TestStatus checks what a person is shown in each state, and that the exit
// code tells a script.
func TestStatus(t *testing.T) {
	for name, test := range statusCases(t) {
		t.Run(name, func(t *testing.T) {
			d := startDaemon(t, &testServer{
				get: func(string) (
					*recoveryrpc.GetRecoveryResponse,
					error) {

					return test.response, nil
				},
			})

			got := d.loop(t, "recover", "status")
			require.Equal(t, test.code, got.code)
			require.Empty(t, got.err)
			golden(t, "status-"+name+".txt", got.out)

			// The synonym says the same.
			require.Equal(t, got, d.loop(t, "recover", "--status"))
		})
	}
}

// TestStatusJSON checks that JSON loses nothing, has stable names, and holds
// the summary byte for byte.
func TestStatusJSON(t *testing.T) {
	for name, test := range statusCases(t) {
		t.Run(name, func(t *testing.T) {
			d := startDaemon(t, &testServer{
				get: func(string) (
					*recoveryrpc.GetRecoveryResponse,
					error) {

					return test.response, nil
				},
			})

			got := d.loop(t, "recover", "status", "--json")
			require.Equal(t, test.code, got.code)
			require.Empty(t, got.err)

			read := &recoveryrpc.GetRecoveryResponse{}
			err := protojson.Unmarshal([]byte(got.out), read)
			require.NoError(t, err)
			require.True(t, proto.Equal(test.response, read))
			if name == "finished" || name == "none" {
				golden(t, "status-"+name+".json", got.out)
			}
		})
	}
}

// TestStatusOfOne checks that an id reaches the daemon, and what is said if
// there is no such run.
func TestStatusOfOne(t *testing.T) {
	d := startDaemon(t, &testServer{
		get: func(id string) (*recoveryrpc.GetRecoveryResponse,
			error) {

			if id != testID {
				return nil, noSuchRun(id)
			}

			return &recoveryrpc.GetRecoveryResponse{
				Run: finishedRun(t), Daemon: upDaemon,
			}, nil
		},
	})

	got := d.loop(t, "recover", "status", testID)
	require.Equal(t, exitOK, got.code)
	require.Contains(t, got.out, testID)

	got = d.loop(t, "recover", "status", "other")
	require.Equal(t, exitNotFound, got.code)
	require.Empty(t, got.out)
	golden(t, "no-such-run.txt", got.err)
}

// TestList checks the table of all runs and the limit on their number.
func TestList(t *testing.T) {
	runs := []*recoveryrpc.Run{
		blockedRun(t, states.OtherSeed), finishedRun(t),
	}
	d := startDaemon(t, &testServer{
		list: func(most uint32) []*recoveryrpc.Run {
			return runs[:min(len(runs), int(most))]
		},
	})

	got := d.loop(t, "recover", "list")
	require.Equal(t, exitOK, got.code)
	golden(t, "list.txt", got.out)

	got = d.loop(t, "recover", "list", "--json", "--max_runs", "1")
	require.Equal(t, exitOK, got.code)
	read := &recoveryrpc.ListRecoveriesResponse{}
	require.NoError(t, protojson.Unmarshal([]byte(got.out), read))
	require.Len(t, read.Runs, 1)
	require.True(t, proto.Equal(runs[0], read.Runs[0]))

	runs = nil
	got = d.loop(t, "recover", "list")
	require.Equal(t, exitOK, got.code)
	require.Equal(t, "No recovery was ever begun here.\n", got.out)
}

// TestCancel checks that a run is cancelled by its id and what is said.
func TestCancel(t *testing.T) {
	d := startDaemon(t, &testServer{
		cancel: func(id string) (*recoveryrpc.Run, error) {
			if id != testID {
				return nil, noSuchRun(id)
			}
			run := runIn(t, states.ScanDeposits)
			run.State = string(states.Cancelled)
			run.Finished = true

			return run, nil
		},
	})

	got := d.loop(t, "recover", "cancel", testID)
	require.Equal(t, exitOK, got.code)
	golden(t, "cancel.txt", got.out)

	got = d.loop(t, "recover", "cancel")
	require.Equal(t, exitNotFound, got.code)
}

// TestBackupList checks what is shown of backup files and unreadable places.
func TestBackupList(t *testing.T) {
	response := &recoveryrpc.ListBackupsResponse{
		Backups: []*recoveryrpc.Backup{{
			Path: testPath, Place: "/data/.loop/regtest",
			Verdict: "ok", Network: "regtest", TokenId: testToken,
			TokenCreated: at(10, 0, 0), Sha256: testHash,
			Size: 1_034, Modified: at(10, 0, 1),
		}, {
			Path:  "/mnt/usb/loop_recovery_1_x.lrb",
			Place: "/mnt/usb", Verdict: "corrupt",
			Detail: "checksum differs", Sha256: testOther, Size: 7,
		}},
		PlaceErrors: []*recoveryrpc.PlaceError{{
			Place: "/mnt/nas", Error: "input/output error",
		}},
	}
	d := startDaemon(t, &testServer{
		backups: func() *recoveryrpc.ListBackupsResponse {
			return response
		},
	})

	got := d.loop(t, "backup", "list")
	require.Equal(t, exitOK, got.code)
	golden(t, "backups.txt", got.out)

	got = d.loop(t, "backup", "list", "--json")
	require.Equal(t, exitOK, got.code)
	read := &recoveryrpc.ListBackupsResponse{}
	require.NoError(t, protojson.Unmarshal([]byte(got.out), read))
	require.True(t, proto.Equal(response, read))

	response = &recoveryrpc.ListBackupsResponse{}
	got = d.loop(t, "backup", "list")
	require.Equal(t, exitOK, got.code)
	require.Equal(t, "No backup was found.\n", got.out)
}
