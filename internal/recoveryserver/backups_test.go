package recoveryserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestCreateAndList checks that a backup is made in every place and listed from
// every place, and exported in both formats.
func TestCreateAndList(t *testing.T) {
	s := newScene(t)
	_, err := s.client.CreateBackup(
		s.ctx, &recoveryrpc.CreateBackupRequest{},
	)
	s.refused(err, states.NothingToBackUp)
	_, err = s.client.CreateBackup(
		s.ctx, &recoveryrpc.CreateBackupRequest{AcceptPair: true},
	)
	s.refused(err, states.NothingToBackUp)
	_, err = s.client.ExportBackup(
		s.ctx, &recoveryrpc.ExportBackupRequest{},
	)
	s.refused(err, states.NoBackupFound)

	content := s.World.NewContent("alice", 3)
	s.install(content)
	s.World.Chain.Mine(2)
	created, err := s.client.CreateBackup(
		s.ctx, &recoveryrpc.CreateBackupRequest{},
	)
	require.NoError(t, err)
	require.Nil(t, created.Pair)
	require.Len(t, created.Places, 2)
	for _, place := range created.Places {
		require.Empty(t, place.Error)
		require.Equal(t, string(backup.Written), place.Status)
	}

	listed, err := s.client.ListBackups(
		s.ctx, &recoveryrpc.ListBackupsRequest{},
	)
	require.NoError(t, err)
	require.Len(t, listed.Backups, 2)
	for _, file := range listed.Backups {
		require.Equal(t, string(backup.OK), file.Verdict)
		require.NotNil(t, file.LastVerified)
	}
	require.Empty(t, listed.Behind)
	require.Empty(t, listed.PlaceErrors)

	for format, want := range map[string]backup.Format{
		"": backup.Native, "loopbak1": backup.Legacy,
	} {
		exported, err := s.client.ExportBackup(
			s.ctx, &recoveryrpc.ExportBackupRequest{
				Format:  format,
				TokenId: listed.Backups[0].TokenId,
			},
		)
		require.NoError(t, err)
		require.Equal(t, want, backup.FormatOf(
			exported.File.Content,
		))
	}
	_, err = s.client.ExportBackup(
		s.ctx, &recoveryrpc.ExportBackupRequest{Format: "zip"},
	)
	s.refused(err, states.BadRequest)
	_, err = s.client.ExportBackup(
		s.ctx, &recoveryrpc.ExportBackupRequest{TokenId: "zz"},
	)
	s.refused(err, states.BadRequest)
}

// TestAcceptPair checks that a pair which the clocks speak against is backed up
// on a person's word alone, and that the answer shows the times.
func TestAcceptPair(t *testing.T) {
	s := newScene(t)
	content := s.World.NewContent("alice", 0)
	s.World.Tokens.Put(twin.NewToken(
		"alice", s.World.Chain.Time().Add(1000*time.Hour), true,
	))
	row, err := content.Address.Parameters()
	require.NoError(t, err)
	s.World.Rows.Put(row)
	s.World.Chain.Mine(5)

	_, err = s.client.CreateBackup(
		s.ctx, &recoveryrpc.CreateBackupRequest{},
	)
	require.NotEmpty(t, s.refused(err, states.PairUnproven))

	created, err := s.client.CreateBackup(
		s.ctx, &recoveryrpc.CreateBackupRequest{AcceptPair: true},
	)
	require.NoError(t, err)
	require.Equal(t, "accepted", created.Pair.Proof)
	require.NotNil(t, created.Pair.TokenCreated)
	require.EqualValues(t, row.InitiationHeight,
		created.Pair.AddressHeight)
	require.Len(t, created.Places, 2)
}

// TestVerifyInspectImport checks that a file is judged as bytes, opened for who
// may see it, and put into every place.
func TestVerifyInspectImport(t *testing.T) {
	s := newScene(t)
	content := s.lost("alice")
	file := s.file(content)

	verified, err := s.client.VerifyBackup(
		s.ctx, &recoveryrpc.VerifyBackupRequest{File: file},
	)
	require.NoError(t, err)
	require.Equal(t, string(backup.OK), verified.Backup.Verdict)

	inspected, err := s.client.InspectBackup(
		s.ctx, &recoveryrpc.InspectBackupRequest{File: file},
	)
	require.NoError(t, err)
	require.EqualValues(t, len(content.Token), inspected.Body.TokenSize)
	revealed, err := s.client.RevealBackup(
		s.ctx, &recoveryrpc.RevealBackupRequest{File: file},
	)
	require.NoError(t, err)
	require.Equal(t, content.Token, revealed.Token)

	junk := &recoveryrpc.BackupFile{Content: []byte("junk")}
	revealed, err = s.client.RevealBackup(
		s.ctx, &recoveryrpc.RevealBackupRequest{File: junk},
	)
	require.NoError(t, err)
	require.Empty(t, revealed.Token)
	_, err = s.client.ImportBackup(
		s.ctx, &recoveryrpc.ImportBackupRequest{File: junk},
	)
	require.Contains(t, s.refused(err, states.NotABackup), "was sent")
	_, err = s.client.VerifyBackup(
		s.ctx, &recoveryrpc.VerifyBackupRequest{},
	)
	s.refused(err, states.BadRequest)

	imported, err := s.client.ImportBackup(
		s.ctx, &recoveryrpc.ImportBackupRequest{File: file},
	)
	require.NoError(t, err)
	require.Len(t, imported.Places, 2)
	_, err = s.client.InspectBackup(
		s.ctx, &recoveryrpc.InspectBackupRequest{},
	)
	s.refused(err, states.BadRequest)
}

// TestPlan checks that a dry run plans the file that was sent, with a name or
// without one, and not the newest file in place.
func TestPlan(t *testing.T) {
	s := newScene(t)
	older := s.lost("older")
	s.World.Chain.Mine(10)
	s.World.Backups.Put(twin.DataDir, s.lost("newer"))
	file := s.file(older)

	plan := func(file *recoveryrpc.BackupFile) *recoveryrpc.
		PlanRestoreResponse {

		planned, err := s.client.PlanRestore(
			s.ctx, &recoveryrpc.PlanRestoreRequest{
				Choice: &recoveryrpc.
					PlanRestoreRequest_BackupFile{
					BackupFile: file,
				},
			},
		)
		require.NoError(t, err)

		return planned
	}
	named := plan(file)
	require.Nil(t, named.Obstacle)
	file.Name = ""
	unnamed := plan(file)
	require.Nil(t, unnamed.Obstacle)
	require.Equal(t, named.Generation.TokenId,
		unnamed.Generation.TokenId)
	require.Equal(t, "the file that was sent", unnamed.Backup.Path)
	require.True(t, unnamed.StopsSwapClient)

	junk := plan(&recoveryrpc.BackupFile{Content: []byte("junk")})
	require.Equal(t, string(states.NotABackup), junk.Obstacle.Reason)

	s.World.Gate.SetBusy(true)
	busy := plan(file)
	require.Equal(t, string(states.SwapsInFlight), busy.Obstacle.Reason)

	planned, err := s.client.PlanRestore(
		s.ctx, &recoveryrpc.PlanRestoreRequest{
			Choice: &recoveryrpc.PlanRestoreRequest_TokenId{
				TokenId: strings.Repeat("cd", 32),
			},
		},
	)
	require.NoError(t, err)
	require.Equal(t, string(states.NoBackupFound),
		planned.Obstacle.Reason)
	_, err = s.client.PlanRestore(
		s.ctx, &recoveryrpc.PlanRestoreRequest{
			Choice: &recoveryrpc.PlanRestoreRequest_TokenId{
				TokenId: "1",
			},
		},
	)
	s.refused(err, states.BadRequest)
}

// TestLndAway checks that every call that needs lnd says so while it is away,
// and that a status does not need it.
func TestLndAway(t *testing.T) {
	s := newScene(t)
	file := s.file(s.lost("alice"))
	s.World.SetLnd(&states.TransientError{
		Reason: states.LndDown, Detail: "localhost:10009",
	})
	calls := map[string]func() error{
		"list": func() error {
			_, err := s.client.ListBackups(
				s.ctx, &recoveryrpc.ListBackupsRequest{},
			)

			return err
		},
		"start": func() error {
			_, err := s.start(file)

			return err
		},
		"verify": func() error {
			_, err := s.client.VerifyBackup(
				s.ctx, &recoveryrpc.VerifyBackupRequest{
					File: file,
				},
			)

			return err
		},
		"plan": func() error {
			_, err := s.client.PlanRestore(
				s.ctx, &recoveryrpc.PlanRestoreRequest{},
			)

			return err
		},
		"export": func() error {
			_, err := s.client.ExportBackup(
				s.ctx, &recoveryrpc.ExportBackupRequest{},
			)

			return err
		},
	}
	for name, call := range calls {
		detail := s.refused(call(), states.LndDown)
		require.Equal(t, "localhost:10009", detail, name)
	}
	_, err := s.client.GetRecovery(
		s.ctx, &recoveryrpc.GetRecoveryRequest{},
	)
	require.NoError(t, err)
}
