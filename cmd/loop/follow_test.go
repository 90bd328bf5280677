package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// updates is what loopd sends to somebody who follows an undisturbed restore.
func updates(t *testing.T) []*recoveryrpc.RecoveryUpdate {
	var sent []*recoveryrpc.RecoveryUpdate
	path := states.RestoreTable().Path
	for i, event := range history(states.Reconciled) {
		sent = append(sent, &recoveryrpc.RecoveryUpdate{
			Event: event, Run: runIn(t, path[i]),
		})

		if path[i] == states.ScanDeposits {
			run := runIn(t, path[i])
			run.Progress.Height = 824_000
			run.Progress.Pass = 1
			sent = append(sent, &recoveryrpc.RecoveryUpdate{
				Run: run,
			})
		}
	}

	return append(sent, &recoveryrpc.RecoveryUpdate{Run: finishedRun(t)})
}

// subscription is what a follower asks for, stream the server's end of it.
type (
	subscription = recoveryrpc.SubscribeRecoveryRequest
	stream       = grpc.ServerStreamingServer[recoveryrpc.RecoveryUpdate]
)

// sending returns a handler that sends the updates that are due.
func sending(all []*recoveryrpc.RecoveryUpdate) func(*subscription,
	stream) error {

	return func(request *subscription, to stream) error {

		for _, update := range all {
			event := update.Event
			if event != nil && event.Seq < request.FromSeq {
				continue
			}
			if err := to.Send(update); err != nil {
				return err
			}
		}

		return nil
	}
}

// accepting returns a handler that accepts every new run.
func accepting(t *testing.T) func(*recoveryrpc.StartRecoveryRequest) (
	*recoveryrpc.Run, error) {

	return func(*recoveryrpc.StartRecoveryRequest) (*recoveryrpc.Run,
		error) {

		return runIn(t, states.Start), nil
	}
}

// TestRecover checks what a person sees of an undisturbed restore: on a
// terminal, elsewhere, and as JSON.
func TestRecover(t *testing.T) {
	all := updates(t)
	d := startDaemon(t, &testServer{
		start: accepting(t), subscribe: sending(all),
	})

	got := d.loop(t, "recover")
	require.Equal(t, exitOK, got.code, got.err)
	require.Empty(t, got.err)
	golden(t, "recover.txt", got.out)

	got = d.loopWith(t, func(a *app) {
		a.width = func() int { return 80 }
	}, "recover")
	require.Equal(t, exitOK, got.code)
	golden(t, "recover-terminal.txt", got.out)
	for line := range strings.SplitSeq(got.out, "\n") {
		drawn := strings.Split(line, eraseLine)
		for _, text := range drawn[:len(drawn)-1] {
			require.Less(t, len(text), 80)
		}
	}

	got = d.loop(t, "recover", "--json")
	require.Equal(t, exitOK, got.code)
	lines := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
	require.Len(t, lines, len(all))
	for i, line := range lines {
		read := &recoveryrpc.RecoveryUpdate{}
		require.NoError(t, protojson.Unmarshal([]byte(line), read))
		require.True(t, proto.Equal(all[i], read))
	}
}

// TestPlainProgress checks that output which is not a terminal is told of the
// progress now and then, not with every message.
func TestPlainProgress(t *testing.T) {
	var out bytes.Buffer
	a := testApp(&out, &out)
	now := a.now()
	a.now = func() time.Time { return now }

	scan := func(height int32) *recoveryrpc.RecoveryUpdate {
		run := runIn(t, states.ScanDeposits)
		run.Progress.Height = height

		return &recoveryrpc.RecoveryUpdate{Run: run}
	}

	shown := newTextView(a, runIn(t, states.Start))
	for height := range int32(100) {
		require.NoError(t, shown.update(scan(812_345+height)))
	}
	require.Equal(t, 1, strings.Count(out.String(), "ScanDeposits"))

	// The manual says ten seconds.
	now = now.Add(10 * time.Second)
	require.NoError(t, shown.update(scan(812_500)))
	require.NoError(t, shown.update(scan(812_501)))
	require.Equal(t, 2, strings.Count(out.String(), "ScanDeposits"))
	require.Contains(t, out.String(), "812,500")
	require.NotContains(t, out.String(), "812,501")
}

// TestRequests checks what is asked of loopd by each way to begin a run.
func TestRequests(t *testing.T) {
	var got *recoveryrpc.StartRecoveryRequest
	d := startDaemon(t, &testServer{
		start: func(request *recoveryrpc.StartRecoveryRequest) (
			*recoveryrpc.Run, error) {

			got = request

			return runIn(t, states.Start), nil
		},
	})

	content := bytes.Repeat([]byte{0, 255, 1}, recoveryrpc.MaxBackupFile/3)
	file := filepath.Join(t.TempDir(), "my backup.lrb")
	require.NoError(t, os.WriteFile(file, content, 0600))

	restore, rescan := string(states.Restore), string(states.Rescan)
	tests := []struct {
		args []string
		want *recoveryrpc.StartRecoveryRequest
	}{{
		args: []string{"recover"},
		want: &recoveryrpc.StartRecoveryRequest{Kind: restore},
	}, {
		args: []string{"recover", "rescan"},
		want: &recoveryrpc.StartRecoveryRequest{Kind: rescan},
	}, {
		args: []string{
			"recover", "--token_id", strings.ToUpper(testToken),
		},
		want: &recoveryrpc.StartRecoveryRequest{
			Kind: restore,
			Choice: &recoveryrpc.StartRecoveryRequest_TokenId{
				TokenId: testToken,
			},
		},
	}, {
		args: []string{"recover", "--backup_file", file},
		want: &recoveryrpc.StartRecoveryRequest{
			Kind: restore,
			Choice: &recoveryrpc.StartRecoveryRequest_BackupFile{
				BackupFile: &recoveryrpc.BackupFile{
					Name:    "my backup.lrb",
					Content: content,
				},
			},
		},
	}}
	for _, test := range tests {
		got = nil
		result := d.loop(t, append(test.args, "--detach")...)
		require.Equal(t, exitOK, result.code, result.err)
		require.True(t, proto.Equal(test.want, got), "%v", test.args)
		require.Contains(t, result.out, testID)
		require.Contains(t, result.out, "loop recover status --watch")
	}

	result := d.loop(t, "recover", "--detach", "--json")
	require.Equal(t, exitOK, result.code)
	read := &recoveryrpc.StartRecoveryResponse{}
	require.NoError(t, protojson.Unmarshal([]byte(result.out), read))
	require.Equal(t, testID, read.Run.Id)
}

// TestUnreadableFiles checks that a file that cannot be a backup is refused
// here, before anything is sent, and without hanging.
func TestUnreadableFiles(t *testing.T) {
	d := startDaemon(t, &testServer{})
	dir := t.TempDir()

	large := filepath.Join(dir, "large")
	require.NoError(t, os.WriteFile(
		large, make([]byte, recoveryrpc.MaxBackupFile+1), 0600,
	))

	for path, code := range map[string]int{
		filepath.Join(dir, "missing"): exitNotFound,
		dir:                           exitFailure,
		large:                         exitFailure,
	} {
		requireUnsent(t, d, path, code)
	}
}

// requireUnsent checks that a file is refused before anything is sent.
func requireUnsent(t *testing.T, d *daemon, path string, code int) {
	t.Helper()

	got := d.loop(t, "recover", "--backup_file", path)
	require.Equal(t, code, got.code, path)
	require.Contains(t, got.err, path)
	require.Contains(t, got.err, "next: ")
	require.Empty(t, d.called())
}

// TestBlocked checks that following ends when a person is needed, with the
// three parts of the error and a code of its own, and that resume goes on from
// there.
func TestBlocked(t *testing.T) {
	blocked := blockedRun(t, states.OtherSeed)
	events := append(history(states.Decrypt), &recoveryrpc.Event{
		Seq: 3, From: string(states.Decrypt),
		Event: string(states.Block), To: string(states.Blocked),
		Reason: string(states.OtherSeed), Detail: testPath,
	})
	var stopped []*recoveryrpc.RecoveryUpdate
	for _, event := range events {
		stopped = append(stopped, &recoveryrpc.RecoveryUpdate{
			Event: event, Run: blocked,
		})
	}

	resumed := runIn(t, states.Decrypt)
	resumed.LastSeq = 4
	var from uint64
	service := &testServer{
		start: accepting(t),
		resume: func(string) (*recoveryrpc.Run, error) {
			return resumed, nil
		},
		subscribe: sending(stopped),
	}
	d := startDaemon(t, service)

	got := d.loop(t, "recover")
	require.Equal(t, exitBlocked, got.code)
	golden(t, "blocked-out.txt", got.out)
	golden(t, "blocked-err.txt", got.err)

	got = d.loop(t, "recover", "--json")
	require.Equal(t, exitBlocked, got.code)
	require.Empty(t, got.err)

	finished := finishedRun(t)
	finished.LastSeq = 4
	service.subscribe = func(request *subscription, to stream) error {

		from = request.FromSeq

		return to.Send(&recoveryrpc.RecoveryUpdate{Run: finished})
	}
	got = d.loop(t, "recover", "resume")
	require.Equal(t, exitOK, got.code, got.err)
	require.EqualValues(t, 5, from)
	require.Contains(t, got.out, "Reconciled")
}

// TestHalted checks that following ends also where a run does not go on for a
// reason that is not its own.
func TestHalted(t *testing.T) {
	run := runIn(t, states.ScanDeposits)
	run.Halted = true
	run.Reason = string(states.UnknownDefinition)
	run.LastSeq = 0
	d := startDaemon(t, &testServer{
		start: accepting(t),
		subscribe: sending([]*recoveryrpc.RecoveryUpdate{{
			Run: run,
		}}),
	})

	got := d.loop(t, "recover")
	require.Equal(t, exitBlocked, got.code)
	text := states.Explain(states.UnknownDefinition)
	require.Contains(t, got.err, text.Sentence)
	require.Contains(t, got.err, text.Next)
}

// TestCancelledMeanwhile checks the code of a run that somebody else cancels
// while it is followed.
func TestCancelledMeanwhile(t *testing.T) {
	run := runIn(t, states.ScanDeposits)
	run.State = string(states.Cancelled)
	run.Finished = true
	run.LastSeq = 1
	d := startDaemon(t, &testServer{
		start: accepting(t),
		subscribe: sending([]*recoveryrpc.RecoveryUpdate{{
			Run: run,
			Event: &recoveryrpc.Event{
				Seq: 1, Event: string(states.Cancel),
				From: string(states.ScanDeposits),
				To:   string(states.Cancelled),
			},
		}}),
	})

	got := d.loop(t, "recover")
	require.Equal(t, exitCancelled, got.code)
	require.Contains(t, got.out, "cancelled")
}

// TestWatch checks that a run can be followed by somebody who did not begin
// it, and that a run that is over is shown at once.
func TestWatch(t *testing.T) {
	d := startDaemon(t, &testServer{
		get: func(string) (*recoveryrpc.GetRecoveryResponse, error) {
			return &recoveryrpc.GetRecoveryResponse{
				Run: finishedRun(t), Daemon: upDaemon,
			}, nil
		},
		subscribe: sending(updates(t)),
	})

	want := d.loop(t, "recover", "status", "--watch")
	require.Equal(t, exitOK, want.code)
	golden(t, "recover.txt", want.out)
	require.Equal(t, want, d.loop(t, "recover", "--watch"))
	require.Equal(t, want, d.loop(t, "recover", "--status", "--watch"))
}

// TestDetach checks that an interrupt ends the command and not the recovery,
// and that the person is told so.
func TestDetach(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()

	d := startDaemon(t, &testServer{
		start: accepting(t),
		subscribe: func(_ *subscription, to stream) error {

			err := to.Send(&recoveryrpc.RecoveryUpdate{
				Run: runIn(t, states.ScanDeposits),
			})
			interrupt()
			<-to.Context().Done()

			return err
		},
	})

	got := d.loopWith(t, func(a *app) {
		a.intercept = func(context.Context) (context.Context, func()) {
			return ctx, func() {}
		}
	}, "recover")
	require.Equal(t, exitDetached, got.code)
	require.Contains(t, got.err, "The recovery goes on")
	require.Contains(t, got.err, "loop recover status --watch")
	require.NotContains(t, d.called(), "CancelRecovery")
}

// TestInterruptedStart checks that somebody who interrupts before loopd has
// answered is told that the outcome is not known.
func TestInterruptedStart(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()

	d := startDaemon(t, &testServer{
		start: func(*recoveryrpc.StartRecoveryRequest) (
			*recoveryrpc.Run, error) {

			interrupt()
			<-t.Context().Done()

			return nil, t.Context().Err()
		},
	})

	got := d.loopWith(t, func(a *app) {
		a.intercept = func(context.Context) (context.Context, func()) {
			return ctx, func() {}
		}
	}, "recover")
	require.Equal(t, exitDetached, got.code)
	require.Contains(t, got.err, "not known")
	require.Contains(t, got.err, "loop recover status")
}

// TestReconnect checks that a stream that breaks in the middle is taken up
// where it broke: every event is shown once, whatever is sent again.
func TestReconnect(t *testing.T) {
	all := updates(t)
	undisturbed := startDaemon(t, &testServer{
		start: accepting(t), subscribe: sending(all),
	}).loop(t, "recover")

	breaks := map[string]error{
		"unavailable": status.Error(codes.Unavailable, "restarting"),
		"starting":    recoveryrpc.StatusError(states.LndLocked, ""),
		"ended":       nil,
		"stopping":    context.Canceled,
	}
	for name, broken := range breaks {
		t.Run(name, func(t *testing.T) {
			var asked []uint64
			d := startDaemon(t, &testServer{
				start: accepting(t),
				subscribe: func(request *subscription,
					to stream) error {

					asked = append(asked, request.FromSeq)
					if len(asked) > 1 {
						// What was seen is sent again.
						request.FromSeq = 2

						return sending(all)(request, to)
					}
					err := sending(all[:4])(request, to)
					if err != nil {
						return err
					}

					return broken
				},
			})

			got := d.loop(t, "recover")
			require.Equal(t, exitOK, got.code, got.err)
			require.Equal(t, []uint64{1, 5}, asked)
			require.Contains(t, got.out, "lost, trying again")

			for _, state := range states.RestoreTable().Path {
				line := stepLine(string(state), "done")
				require.Equal(t,
					strings.Count(undisturbed.out, line),
					strings.Count(got.out, line), state)
			}
		})
	}
}

// TestRestartedDaemon checks that a command that follows a recovery outlives a
// loopd that is killed and started again.
func TestRestartedDaemon(t *testing.T) {
	all := updates(t)
	served := make(chan struct{})
	var killed sync.Once
	service := &testServer{start: accepting(t)}
	service.subscribe = func(request *subscription, to stream) error {

		// What the first subscription sends may be lost in the kill.
		hang := false
		killed.Do(func() {
			hang = true
		})
		if !hang {
			return sending(all)(request, to)
		}
		err := sending(all[:3])(request, to)
		close(served)
		<-to.Context().Done()

		return err
	}
	d := startDaemon(t, service)

	done := make(chan result, 1)
	go func() {
		done <- d.loopWith(t, func(a *app) {
			a.pause = pause
		}, "recover")
	}()

	<-served
	d.server.Stop()
	d.serve(t, d.address)

	got := <-done
	require.Equal(t, exitOK, got.code, got.err)
	require.Contains(t, got.out, "Reconciled")
}

// TestGoneForGood checks that following ends some time after loopd has gone,
// and that the person learns what becomes of the recovery.
func TestGoneForGood(t *testing.T) {
	subscribed := 0
	d := startDaemon(t, &testServer{
		start: accepting(t),
		subscribe: func(*subscription, stream) error {

			subscribed++

			return status.Error(codes.Unavailable, "down")
		},
	})

	var waited time.Duration
	got := d.loopWith(t, func(a *app) {
		a.pause = func(_ context.Context, wait time.Duration) error {
			waited += wait

			return nil
		}
	}, "recover")
	require.Equal(t, exitConnection, got.code)
	require.Equal(t, maxReconnects+1, subscribed)

	// The manual says about five minutes.
	require.InDelta(t, 5, waited.Minutes(), 0.5)
	require.Contains(t, got.err, "goes on as soon as loopd runs")
	require.Contains(t, got.err, "loop recover status --watch")
}

// TestVanishedRun checks that an error that no second attempt can mend ends
// following at once.
func TestVanishedRun(t *testing.T) {
	subscribed := 0
	d := startDaemon(t, &testServer{
		start: accepting(t),
		subscribe: func(*subscription, stream) error {

			subscribed++

			return noSuchRun(testID)
		},
	})

	got := d.loop(t, "recover")
	require.Equal(t, exitNotFound, got.code)
	require.Equal(t, 1, subscribed)
}
