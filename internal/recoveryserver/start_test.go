package recoveryserver_test

import (
	"io"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestWrongFileLeavesNothing checks that a file which is not in order is
// refused by name, and leaves neither a run nor a stored file; and that the
// right file is accepted right after.
func TestWrongFileLeavesNothing(t *testing.T) {
	s := newScene(t)
	content := s.lost("alice")
	right := s.file(content)

	damaged := &recoveryrpc.BackupFile{
		Name: "a stick/copy.lrb", Content: append(
			[]byte(nil), right.Content...,
		),
	}
	damaged.Content[len(damaged.Content)-1] ^= 1
	renamed := &recoveryrpc.BackupFile{
		Name: backup.FileName(
			[32]byte{1}, content.TokenCreated,
		),
		Content: right.Content,
	}
	s.World.Lnd.Replace("mallory")
	foreign := s.file(s.World.NewContent("mallory", 0))
	s.World.Lnd.Replace("client")

	for reason, file := range map[states.Reason]*recoveryrpc.BackupFile{
		states.NotABackup: {
			Name: "photo.jpg", Content: []byte("jpeg"),
		},
		states.BackupCorrupt: damaged,
		states.NameMismatch:  renamed,
		states.OtherSeed:     foreign,
	} {
		_, err := s.start(file)
		detail := s.refused(err, reason)
		require.Contains(t, detail, file.Name)
	}
	_, err := s.start(&recoveryrpc.BackupFile{Name: "empty"})
	s.refused(err, states.BadRequest)

	require.Zero(t, s.received())
	runs, err := s.client.ListRecoveries(
		s.ctx, &recoveryrpc.ListRecoveriesRequest{},
	)
	require.NoError(t, err)
	require.Empty(t, runs.Runs)

	run, err := s.start(right)
	require.NoError(t, err)
	require.True(t, s.follow(run.Id).Finished)
	require.Equal(t, 1, s.received())
}

// TestSecondRunStoresNothing checks that a file is not stored while a run is
// under way that does not give way.
func TestSecondRunStoresNothing(t *testing.T) {
	s := newScene(t)
	file := s.file(s.lost("alice"))
	s.World.Gate.SetBusy(true)
	run, err := s.start(file)
	require.NoError(t, err)
	blocked := s.follow(run.Id)
	require.Equal(t, string(states.SwapsInFlight), blocked.Reason)
	require.Equal(t, states.Explain(states.SwapsInFlight).Next,
		blocked.NextCommand)

	// It changed nothing, and gives way.
	again, err := s.start(file)
	require.NoError(t, err)
	require.Equal(t, string(states.Blocked), s.follow(again.Id).State)
	require.Equal(t, string(states.Cancelled), s.follow(run.Id).State)

	s.World.Gate.SetBusy(false)
	resumed, err := s.client.ResumeRecovery(
		s.ctx, &recoveryrpc.ResumeRecoveryRequest{},
	)
	require.NoError(t, err)
	require.True(t, s.follow(resumed.Run.Id).Finished)

	_, err = s.client.ResumeRecovery(
		s.ctx, &recoveryrpc.ResumeRecoveryRequest{},
	)
	s.refused(err, states.AlreadyFinished)
	_, err = s.client.CancelRecovery(
		s.ctx, &recoveryrpc.CancelRecoveryRequest{},
	)
	s.refused(err, states.AlreadyFinished)
}

// TestRequests checks that a request which makes no sense is refused before
// anything is done.
func TestRequests(t *testing.T) {
	s := newScene(t)
	token := &recoveryrpc.StartRecoveryRequest_TokenId{TokenId: "abc"}
	for _, req := range []*recoveryrpc.StartRecoveryRequest{
		{Kind: "parking"},
		{Kind: string(states.Rescan), Choice: token},
		{Choice: token},
	} {
		_, err := s.client.StartRecovery(s.ctx, req)
		s.refused(err, states.BadRequest)
	}
	_, err := s.client.ListRecoveries(
		s.ctx, &recoveryrpc.ListRecoveriesRequest{
			MaxRuns: recoveryrpc.MaxRuns + 1,
		},
	)
	s.refused(err, states.BadRequest)
	_, err = s.client.GetHistory(s.ctx, &recoveryrpc.GetHistoryRequest{})
	s.refused(err, states.NoSuchRun)
	_, err = s.client.CancelRecovery(
		s.ctx, &recoveryrpc.CancelRecoveryRequest{Id: "none"},
	)
	s.refused(err, states.NoSuchRun)
	_, err = s.client.GetRecovery(
		s.ctx, &recoveryrpc.GetRecoveryRequest{Id: "none"},
	)
	s.refused(err, states.NoSuchRun)
	stream, err := s.client.SubscribeRecovery(
		s.ctx, &recoveryrpc.SubscribeRecoveryRequest{},
	)
	require.NoError(t, err)
	_, err = stream.Recv()
	s.refused(err, states.NoSuchRun)
}

// TestFollowToTheDeposits checks that a stream ends with what the swap client
// lists of what was found, and that a status says the same without waiting.
func TestFollowToTheDeposits(t *testing.T) {
	s := newScene(t)
	content := s.lost("alice")
	run, err := s.start(s.file(content))
	require.NoError(t, err)
	require.True(t, s.follow(run.Id).Finished)

	stored, err := s.Engine.Get(s.ctx, run.Id)
	require.NoError(t, err)
	outpoint := outpointOf(t, stored.Facts)
	s.Daemon.List(outpoint)

	stream, err := s.client.SubscribeRecovery(
		s.ctx, &recoveryrpc.SubscribeRecoveryRequest{FromSeq: 1},
	)
	require.NoError(t, err)
	var last *recoveryrpc.RecoveryUpdate
	events := 0
	for {
		update, err := stream.Recv()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if update.Event != nil {
			events++
		}
		last = update
	}
	require.EqualValues(t, last.Run.LastSeq, events)
	require.Len(t, last.Run.Deposits, 1)
	require.Equal(t, outpoint, last.Run.Deposits[0].Outpoint)
	require.Equal(t, "yes", last.Run.Deposits[0].Listed)

	history, err := s.client.GetHistory(
		s.ctx, &recoveryrpc.GetHistoryRequest{Id: run.Id},
	)
	require.NoError(t, err)
	require.Len(t, history.Events, events)
	require.Len(t, history.Run.Deposits, 1)
}

// outpointOf returns the only output of a result.
func outpointOf(t *testing.T, facts actions.Facts) string {
	t.Helper()

	_, rest, found := strings.Cut(string(facts.Summary), `"outpoint":"`)
	require.True(t, found, string(facts.Summary))
	outpoint, _, _ := strings.Cut(rest, `"`)

	return outpoint
}

// TestCancel checks that a blocked run can be given up.
func TestCancel(t *testing.T) {
	s := newScene(t)
	resp, err := s.client.StartRecovery(
		s.ctx, &recoveryrpc.StartRecoveryRequest{},
	)
	require.NoError(t, err)
	run := s.follow(resp.Run.Id)
	require.Equal(t, string(states.NoBackupFound), run.Reason)

	cancelled, err := s.client.CancelRecovery(
		s.ctx, &recoveryrpc.CancelRecoveryRequest{},
	)
	require.NoError(t, err)
	require.Equal(t, string(states.Cancelled), cancelled.Run.State)
}

// TestTokenOfNoBackup checks that a token id is passed on.
func TestTokenOfNoBackup(t *testing.T) {
	s := newScene(t)
	s.World.Backups.Put(twin.SecondDir, s.lost("alice"))
	resp, err := s.client.StartRecovery(
		s.ctx, &recoveryrpc.StartRecoveryRequest{
			Choice: &recoveryrpc.StartRecoveryRequest_TokenId{
				TokenId: strings.Repeat("ab", 32),
			},
		},
	)
	require.NoError(t, err)
	run := s.follow(resp.Run.Id)
	require.Equal(t, string(states.NoBackupFound), run.Reason)
	require.Contains(t, run.Detail, "abab")
}
