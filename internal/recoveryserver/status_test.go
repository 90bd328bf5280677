package recoveryserver_test

import (
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/recoveryserver"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestStatus checks what a status says of the swap client, the warnings and the
// look at the start, with no recovery at all.
func TestStatus(t *testing.T) {
	s := newScene(t)
	status := func() *recoveryrpc.GetRecoveryResponse {
		resp, err := s.client.GetRecovery(
			s.ctx, &recoveryrpc.GetRecoveryRequest{},
		)
		require.NoError(t, err)

		return resp
	}
	resp := status()
	require.Nil(t, resp.Run)
	require.Nil(t, resp.LastLook)
	require.Equal(t, recoveryrpc.DaemonState_DAEMON_UP, resp.Daemon.State)

	for cause, want := range map[error]recoveryrpc.DaemonState{
		&states.PermanentError{
			Reason: states.DatabaseNewer, Detail: "version 22",
		}: recoveryrpc.DaemonState_DAEMON_DOWN,
		&states.TransientError{
			Reason: states.LndDown, Detail: "version 22",
		}: recoveryrpc.DaemonState_DAEMON_DOWN,
		&states.TransientError{
			Reason: states.Starting, Detail: "version 22",
		}: recoveryrpc.DaemonState_DAEMON_STARTING,
	} {
		s.Daemon.Set(cause)
		got := status().Daemon
		require.Equal(t, want, got.State)
		require.Equal(t, "version 22", got.Detail)
		require.NotEmpty(t, got.NextCommand)
		permanent, _ := states.PermanentReason(cause)
		require.Equal(t, permanent != "", got.NeedsPerson)
	}
	s.Daemon.Set(nil)
	s.World.Gate.Set(true)
	held := status().Daemon
	require.Equal(t, recoveryrpc.DaemonState_DAEMON_HELD, held.State)
	require.False(t, held.NeedsPerson)

	s.Daemon.Warn(states.Notice{
		Warning: states.WarnOneDisk, Detail: "/a, /b",
	})
	s.Daemon.SetLook(&actions.Look{
		When: time.Unix(1_700_000_000, 0), More: 2,
		Files: []actions.SeenFile{{
			Path: "/data/a.lrb", Verdict: "other seed",
			Reason: states.OtherSeed,
		}},
		Places: []actions.SeenPlace{{Path: "/nfs", Error: "hangs"}},
		Reason: states.NoBackupFound,
	})
	resp = status()
	require.Equal(t, "ONE_DISK", resp.Warnings[0].Code)
	require.Equal(t, "/a, /b", resp.Warnings[0].Detail)
	require.Equal(t, "other seed", resp.LastLook.Files[0].Verdict)
	require.Equal(t, "/nfs", resp.LastLook.PlaceErrors[0].Place)
	require.EqualValues(t, 2, resp.LastLook.More)
}

// TestStopping checks that a stream ends when the process does, and says so.
func TestStopping(t *testing.T) {
	s := newScene(t)
	started, err := s.client.StartRecovery(
		s.ctx, &recoveryrpc.StartRecoveryRequest{},
	)
	require.NoError(t, err)
	s.follow(started.Run.Id)
	stream, err := s.client.SubscribeRecovery(
		s.ctx, &recoveryrpc.SubscribeRecoveryRequest{},
	)
	require.NoError(t, err)
	_, err = stream.Recv()
	require.NoError(t, err)
	s.Stop()
	for err == nil {
		_, err = stream.Recv()
	}
	s.refused(err, states.Starting)

	_, err = s.client.StartRecovery(
		s.ctx, &recoveryrpc.StartRecoveryRequest{},
	)
	s.refused(err, states.Starting)
}

// TestStandbyRule checks that each method has been thought of: a standby either
// answers it or refuses it.
func TestStandbyRule(t *testing.T) {
	reads := map[string]bool{
		recoveryrpc.Recovery_GetRecovery_FullMethodName:       true,
		recoveryrpc.Recovery_SubscribeRecovery_FullMethodName: true,
		recoveryrpc.Recovery_ListRecoveries_FullMethodName:    true,
		recoveryrpc.Recovery_GetHistory_FullMethodName:        true,
		recoveryrpc.Recovery_ListBackups_FullMethodName:       true,
		recoveryrpc.Recovery_VerifyBackup_FullMethodName:      true,
		recoveryrpc.Recovery_InspectBackup_FullMethodName:     true,
		recoveryrpc.Recovery_ExportBackup_FullMethodName:      true,
	}
	for method := range recoveryrpc.RequiredPermissions {
		require.Equal(t, !reads[method],
			recoveryserver.NeedsOwner(method), method)
	}
	require.False(t, recoveryserver.NeedsOwner("/looprpc.SwapClient/X"))
}
