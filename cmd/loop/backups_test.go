package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/backup/backuptest"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// judgeServer answers the calls about backup files as loopd does, with the key
// of one seed.
type judgeServer struct {
	testServer

	store *backup.Store
	keys  backup.Keys

	// places is what importing and creating report.
	places []*recoveryrpc.PlaceOutcome

	// exported is the file that is exported.
	exported *recoveryrpc.BackupFile

	// plan and planned are the answer and the last request of a dry run.
	plan    *recoveryrpc.PlanRestoreResponse
	planned *recoveryrpc.PlanRestoreRequest
}

// newJudge starts a server with the keys of seed 1.
func newJudge(t *testing.T) (*daemon, *judgeServer) {
	t.Helper()

	server := &judgeServer{
		store: backup.NewStore(
			durable.OS(), "regtest", []string{t.TempDir()},
		),
		keys: backuptest.Keys(1),
	}
	server.verbs = server

	return startDaemon(t, &server.testServer), server
}

// judge returns the verdict on a file and its contents.
func (s *judgeServer) judge(file *recoveryrpc.BackupFile) (*recoveryrpc.Backup,
	*backup.Content, error) {

	entry, err := s.store.JudgeBytes(file.Name, file.Content, s.keys)

	return &recoveryrpc.Backup{
		Path: entry.Path, Verdict: string(entry.Verdict),
		Detail:  entry.Detail,
		TokenId: hex.EncodeToString(entry.TokenID[:]),
	}, entry.Content, err
}

func (s *judgeServer) VerifyBackup(_ context.Context,
	req *recoveryrpc.VerifyBackupRequest) (
	*recoveryrpc.VerifyBackupResponse, error) {

	judged, _, err := s.judge(req.File)

	return &recoveryrpc.VerifyBackupResponse{Backup: judged}, err
}

// bodyOf returns the part of a body that needs no network.
func bodyOf(content *backup.Content) *recoveryrpc.BackupBody {
	if content == nil {
		return nil
	}

	return &recoveryrpc.BackupBody{
		Generation: &recoveryrpc.Generation{
			KeyIndex: content.Address.ClientLocator.Index,
		},
		TokenSize: uint32(len(content.Token)),
	}
}

func (s *judgeServer) InspectBackup(_ context.Context,
	req *recoveryrpc.InspectBackupRequest) (
	*recoveryrpc.InspectBackupResponse, error) {

	judged, content, err := s.judge(req.File)

	return &recoveryrpc.InspectBackupResponse{
		Backup: judged, Body: bodyOf(content),
	}, err
}

func (s *judgeServer) RevealBackup(_ context.Context,
	req *recoveryrpc.RevealBackupRequest) (
	*recoveryrpc.RevealBackupResponse, error) {

	judged, content, err := s.judge(req.File)

	return &recoveryrpc.RevealBackupResponse{
		Backup: judged, Body: bodyOf(content), Token: content.Token,
	}, err
}

func (s *judgeServer) CreateBackup(context.Context,
	*recoveryrpc.CreateBackupRequest) (*recoveryrpc.CreateBackupResponse,
	error) {

	return &recoveryrpc.CreateBackupResponse{Places: s.places}, nil
}

func (s *judgeServer) ExportBackup(_ context.Context,
	req *recoveryrpc.ExportBackupRequest) (
	*recoveryrpc.ExportBackupResponse, error) {

	if req.TokenId != "" {
		return nil, recoveryrpc.StatusError(
			states.NoBackupFound, req.TokenId,
		)
	}

	return &recoveryrpc.ExportBackupResponse{File: s.exported}, nil
}

func (s *judgeServer) ImportBackup(_ context.Context,
	req *recoveryrpc.ImportBackupRequest) (
	*recoveryrpc.ImportBackupResponse, error) {

	judged, _, err := s.judge(req.File)
	if err != nil {
		return nil, err
	}
	reason := backup.Verdict(judged.Verdict).Reason()
	if reason != "" {
		return nil, recoveryrpc.StatusError(reason, judged.Detail)
	}

	return &recoveryrpc.ImportBackupResponse{
		Backup: judged, Places: s.places,
	}, nil
}

func (s *judgeServer) PlanRestore(_ context.Context,
	req *recoveryrpc.PlanRestoreRequest) (
	*recoveryrpc.PlanRestoreResponse, error) {

	s.planned = req

	return s.plan, nil
}

// sealed writes a backup of generation 0 to a file of this machine and returns
// its path and bytes.
func sealed(t *testing.T, network string, seed byte) (string, []byte) {
	t.Helper()

	content := backuptest.Content(network, 0)
	data, err := backup.Seal(content, backuptest.Keys(seed), rand.Reader)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "from-the-safe")
	require.NoError(t, os.WriteFile(path, data, 0o600))

	return path, data
}

// TestVerifyFile checks that a file gets the exit code of its verdict.
func TestVerifyFile(t *testing.T) {
	d, _ := newJudge(t)

	good, data := sealed(t, "regtest", 1)
	require.Zero(t, d.loop(t, "backup", "verify", good).code)

	otherSeed, _ := sealed(t, "regtest", 2)
	otherNetwork, _ := sealed(t, "testnet", 1)
	damaged := filepath.Join(t.TempDir(), "damaged")
	broken := bytes.Clone(data)
	broken[len(broken)/2]++
	require.NoError(t, os.WriteFile(damaged, broken, 0o600))
	renamed := filepath.Join(t.TempDir(), backup.FileName(
		[32]byte{1}, backuptest.Content("regtest", 0).TokenCreated,
	))
	require.NoError(t, os.WriteFile(renamed, data, 0o600))

	for path, verdict := range map[string]backup.Verdict{
		otherSeed:    backup.OtherSeed,
		otherNetwork: backup.OtherNetwork,
		damaged:      backup.Corrupt,
		renamed:      backup.NameMismatch,
	} {
		got := d.loop(t, "backup", "verify", path)
		require.Equal(t, verdict.ExitCode(), got.code, got.out+got.err)
		require.Contains(t, got.out, string(verdict))

		// What cannot be restored is not taken in either.
		got = d.loop(t, "backup", "import", path)
		require.Equal(t, verdict.ExitCode(), got.code)
		require.Contains(t, got.err,
			states.Explain(verdict.Reason()).Sentence)
	}
	missing := d.loop(t, "backup", "verify", good+"x")
	require.Equal(t, exitNotFound, missing.code)
}

// TestVerifyAll checks that files of others are not complained of, and that a
// missing copy is.
func TestVerifyAll(t *testing.T) {
	d, server := newJudge(t)

	response := &recoveryrpc.ListBackupsResponse{}
	server.backups = func() *recoveryrpc.ListBackupsResponse {
		return response
	}
	add := func(verdict backup.Verdict) {
		response.Backups = append(
			response.Backups,
			&recoveryrpc.Backup{Verdict: string(verdict)},
		)
	}

	add(backup.OtherSeed)
	add(backup.OK)
	add(backup.OtherNetwork)
	require.Zero(t, d.loop(t, "backup", "verify").code)

	response.Behind = []*recoveryrpc.PlaceLag{{
		Place: "/mnt/usb", Error: "no space left", Since: at(20, 0, 0),
	}}
	got := d.loop(t, "backup", "verify")
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.out, "/mnt/usb")
	require.Contains(t, got.out, "2h40m ago")

	add(backup.Corrupt)
	require.Equal(t, backup.Corrupt.ExitCode(),
		d.loop(t, "backup", "verify").code)
}

// TestInspect checks that the header is shown without a daemon, and the token
// only if it is asked for.
func TestInspect(t *testing.T) {
	d, _ := newJudge(t)
	path, data := sealed(t, "regtest", 1)
	content := backuptest.Content("regtest", 0)
	token := hex.EncodeToString(content.Token)
	header, err := backup.ReadHeader(data)
	require.NoError(t, err)

	got := d.loop(t, "backup", "inspect", path)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, hex.EncodeToString(header.TokenID[:]))
	require.Contains(t, got.out, "Verdict      ok")
	require.NotContains(t, got.out, token)

	got = d.loop(t, "backup", "inspect", "--json", path)
	require.Zero(t, got.code, got.err)
	require.NotContains(t, got.out, token)

	got = d.loop(t, "backup", "inspect", "--secrets", path)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, token)

	d.server.Stop()
	got = d.loop(t, "backup", "inspect", path)
	require.Equal(t, exitConnection, got.code)
	require.Contains(t, got.out, hex.EncodeToString(header.TokenID[:]))

	// Of a damaged file the header says what is wrong.
	data[60]++
	require.NoError(t, os.WriteFile(path, data, 0o600))
	got = d.loop(t, "backup", "inspect", path)
	require.Contains(t, got.out, string(backup.Corrupt))
	require.Equal(t, exitUsage, d.loop(t, "backup", "inspect").code)
}

// TestExport checks that an export is complete and private, stays where it was
// asked for whatever name the daemon gives it, and replaces nothing.
func TestExport(t *testing.T) {
	d, server := newJudge(t)
	server.exported = &recoveryrpc.BackupFile{
		Name: "../../escaped", Content: []byte("a backup"),
	}
	dir := t.TempDir()

	got := d.loop(t, "backup", "export", "-o", dir)
	require.Zero(t, got.code, got.err)
	path := filepath.Join(dir, "escaped")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, server.exported.Content, data)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	server.exported.Content = []byte("another one")
	got = d.loop(t, "backup", "export", "--output", path)
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.err, "exists already")
	data, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, []byte("a backup"), data)

	require.Equal(t, exitUsage, d.loop(t, "backup", "export").code)
	got = d.loop(t, "backup", "export", "-o", filepath.Join(dir, "x"),
		"--token_id", testToken)
	require.Equal(t, exitNotFound, got.code)
	require.NoFileExists(t, filepath.Join(dir, "x"))
}

// TestImportAndCreate checks that every place is reported, and that one without
// a copy shows in the exit code.
func TestImportAndCreate(t *testing.T) {
	d, server := newJudge(t)
	path, _ := sealed(t, "regtest", 1)
	server.places = []*recoveryrpc.PlaceOutcome{{
		Place: "/data", Path: "/data/f.1.lrb", Status: "written",
		InTheWay: []string{"/data/f.lrb"},
	}}

	for _, args := range [][]string{
		{"backup", "import", path}, {"backup", "create"},
	} {
		got := d.loop(t, args...)
		require.Zero(t, got.code, got.err)
		require.Contains(t, got.out, "/data/f.1.lrb")
		require.Contains(t, got.out, "/data/f.lrb has the backup's")
	}

	server.places = append(server.places, &recoveryrpc.PlaceOutcome{
		Place: "/mnt/usb", Status: "failed", Error: "no space left",
	})
	for _, args := range [][]string{
		{"backup", "import", path}, {"backup", "create"},
	} {
		got := d.loop(t, args...)
		require.Equal(t, exitFailure, got.code)
		require.Contains(t, got.out, "failed: no space left")
	}
}

// TestDryRun checks that a dry run begins nothing, sends the file, and tells by
// its exit code whether something stands in the way.
func TestDryRun(t *testing.T) {
	d, server := newJudge(t)
	path, data := sealed(t, "regtest", 1)
	server.plan = &recoveryrpc.PlanRestoreResponse{
		Steps: []*recoveryrpc.PlannedStep{{
			State:    string(states.ImportToken),
			Sentence: "l402.token would be written", Changes: true,
		}},
		StopsSwapClient: true,
	}

	got := d.loop(t, "recover", "--dry_run", "--backup_file", path)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "Would do     ImportToken: l402.token")
	require.Equal(t, data, server.planned.GetBackupFile().GetContent())

	server.plan.Obstacle = &recoveryrpc.Obstacle{
		State:  string(states.ImportToken),
		Reason: string(states.TokenConflict),
	}
	got = d.loop(t, "recover", "--dry_run", "--token_id", testToken)
	require.Equal(t, exitBlocked, got.code)
	require.Contains(t, got.out, "TOKEN_CONFLICT in ImportToken")
	require.Equal(t, testToken, server.planned.GetTokenId())

	require.Equal(t, exitUsage,
		d.loop(t, "recover", "--dry_run", "--status").code)
	require.NotContains(t, d.called(), "StartRecovery")
}

// TestHistory checks that every event is shown with its time.
func TestHistory(t *testing.T) {
	run := runIn(t, states.Blocked)
	server := &testServer{
		history: func(string) *recoveryrpc.GetHistoryResponse {
			return &recoveryrpc.GetHistoryResponse{
				Run: run,
				Events: []*recoveryrpc.Event{{
					Seq: 1, Time: at(22, 31, 5),
					From:  string(states.Start),
					Event: string(states.Begin),
					To:    string(states.LocateBackup),
				}, {
					Seq: 2, Time: at(22, 31, 6),
					From:   string(states.LocateBackup),
					Event:  string(states.Block),
					To:     string(states.Blocked),
					Reason: string(states.NoBackupFound),
				}},
			}
		},
	}
	d := startDaemon(t, server)

	got := d.loop(t, "recover", "history")
	require.Zero(t, got.code, got.err)
	golden(t, "history.txt", got.out)
}
