package itest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// behindCode is the code of the warning that a backup place lacks a
	// copy, and damagedCode that of one that a file is not in order.
	behindCode  = "BACKUP_PLACE_BEHIND"
	damagedCode = "BACKUP_DAMAGED"

	// oftenChecked makes loopd look after its backups every second.
	oftenChecked = "--recovery.checkinterval=1s"
)

// remote runs our command line as a user on another machine does: with nothing
// of the daemon but its address and copies of its certificate and macaroon.
func (s *story) remote(loopd *regtest.Loopd,
	args ...string) *regtest.CLIResult {

	s.Helper()

	elsewhere := filepath.Join(s.scratch, "elsewhere")
	require.NoError(s, os.MkdirAll(elsewhere, 0o700))
	flags := []string{
		"--network=regtest", "--rpcserver=" + loopd.RPCAddress(),
		"--loopdir=" + elsewhere,
	}
	for flag, path := range map[string]string{
		"--tlscertpath=":  loopd.TLSPath(),
		"--macaroonpath=": loopd.MacaroonPath(),
	} {
		content, err := os.ReadFile(path)
		require.NoError(s, err)
		copied := filepath.Join(elsewhere, filepath.Base(path))
		require.NoError(s, os.WriteFile(copied, content, 0o600))
		flags = append(flags, flag+copied)
	}

	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(
		s.Context(), filepath.Join(programs, "loop"),
		append(flags, args...)...,
	)
	command.Stdout, command.Stderr = &stdout, &stderr
	_ = command.Run()
	require.NotNil(s, command.ProcessState)
	s.secrets.outputs = append(
		s.secrets.outputs, stdout.String(), stderr.String(),
	)

	return &regtest.CLIResult{
		Stdout: stdout.String(), Stderr: stderr.String(),
		ExitCode: command.ProcessState.ExitCode(),
	}
}

// succeeds makes sure that a command ended well and returns its output.
func (s *story) succeeds(result *regtest.CLIResult) string {
	s.Helper()
	require.Zero(s, result.ExitCode, "%s%s", result.Stdout, result.Stderr)

	return result.Stdout
}

// TestBackupOfAnotherLnd: two nodes keep their backups on one disk. If this
// breaks, the backup of one stops the daemon of the other, or is taken for its
// own.
func TestBackupOfAnotherLnd(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	s.newAddress(loopd)
	ours := s.backup(loopd)
	content := *s.open(ours, s.Client)
	s.lose(loopd)

	// The other lnd's file is the newer one, so that it would be chosen.
	foreign := s.seal(&content, s.Server)
	foreign.name = backup.FileName(
		content.TokenID, content.TokenCreated.Add(1),
	)
	s.plant(loopd, foreign)
	s.start(loopd)
	require.Empty(t, s.runs(loopd))
	require.NoFileExists(t, loopd.TokenPath())
	nothing := s.cli(loopd, "backup", "create")
	require.NotZero(t, nothing.ExitCode)
	require.Contains(t, nothing.Stderr,
		states.Explain(states.NothingToBackUp).Sentence)
	s.stop(loopd)

	// Beside it ours is found, and the next backup written.
	s.plant(loopd, ours)
	s.startListening(loopd)
	run := s.waitReconciled(loopd)
	require.Equal(t, ours.name, filepath.Base(run.Backup.Path))
	listed := s.cli(loopd, "backup", "list")
	require.Contains(t, s.succeeds(listed), string(backup.OtherSeed))
	s.succeeds(s.cli(loopd, "backup", "verify"))
	require.ElementsMatch(t, []file{ours, foreign}, s.backups(loopd))
}

// smallDisk mounts a file system of a few kilobytes and fills it.
func (s *story) smallDisk() (dir, ballast string) {
	s.Helper()

	dir = filepath.Join(s.scratch, "usb")
	require.NoError(s, os.Mkdir(dir, 0o700))
	// Only root can mount one; where CI is set that is asked for.
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700")
	if err != nil && os.Getenv("CI") == "" {
		s.Skipf("mounting a small file system needs root: %v", err)
	}
	require.NoError(s, err)
	s.Cleanup(func() {
		require.NoError(s, syscall.Unmount(dir, syscall.MNT_DETACH))
	})

	ballast = filepath.Join(dir, "ballast")
	err = os.WriteFile(ballast, make([]byte, 1<<20), 0o600)
	require.ErrorIs(s, err, syscall.ENOSPC)

	return dir, ballast
}

// TestBackupPlaceFull: the second disk is full. If this breaks, the user loses
// the daemon to a full stick, or believes in a copy that is not there.
func TestBackupPlaceFull(t *testing.T) {
	s := newStory(t)
	usb, ballast := s.smallDisk()
	loopd := s.newLoopd(regtest.LoopdConfig{
		ExtraArgs: []string{
			"--recovery.backupdir=" + usb, oftenChecked,
		},
	})
	s.start(loopd)
	s.newAddress(loopd)
	saved := s.backup(loopd)

	s.waitWarned(loopd, behindCode, true)
	result := s.cli(loopd, "backup", "create")
	require.Equal(t, 1, result.ExitCode)
	require.Contains(t, result.Stdout, "already there")
	require.Contains(t, result.Stdout, "no space left")
	require.Equal(t, 1, s.cli(loopd, "backup", "verify").ExitCode)
	listed := s.cli(loopd, "backup", "list")
	require.Contains(t, s.succeeds(listed), "Missing")

	// As soon as there is space the copy is there, complete, without
	// anybody asking for it.
	require.NoError(t, os.Remove(ballast))
	s.waitWarned(loopd, behindCode, false)
	copied, err := os.ReadFile(filepath.Join(usb, saved.name))
	require.NoError(t, err)
	require.Equal(t, saved.content, copied)
	s.succeeds(s.cli(loopd, "backup", "verify"))

	// A copy that goes bad is noticed, named and left alone.
	bad := filepath.Join(usb, saved.name)
	require.NoError(t, os.Chmod(bad, 0o600))
	damaged := corrupt(saved)
	require.NoError(t, os.WriteFile(bad, damaged.content, 0o600))
	s.waitWarned(loopd, damagedCode, true)
	require.Equal(t, backup.Corrupt.ExitCode(),
		s.cli(loopd, "backup", "verify").ExitCode)
	left, err := os.ReadFile(bad)
	require.NoError(t, err)
	require.Equal(t, damaged.content, left)
	beside, err := os.ReadDir(usb)
	require.NoError(t, err)
	require.Len(t, beside, 2, "a good copy beside the bad one")
}

// TestBackupBeforeAddress: a user who asked for two copies gets no address
// before both are there. If this breaks, coins go to an address whose only
// backup is on the disk that dies.
func TestBackupBeforeAddress(t *testing.T) {
	s := newStory(t)
	usb, ballast := s.smallDisk()
	loopd := s.newLoopd(regtest.LoopdConfig{ExtraArgs: []string{
		"--recovery.backupdir=" + usb, "--recovery.mincopies=1",
	}})
	s.start(loopd)

	ask := func() (string, error) {
		var address string
		err := loopd.Swap(func(client looprpc.SwapClientClient) error {
			resp, err := client.NewStaticAddress(
				t.Context(), &looprpc.NewStaticAddressRequest{},
			)
			address = resp.GetAddress()

			return err
		})

		return address, err
	}
	address, err := ask()
	require.Empty(t, address)
	reason, _ := recoveryrpc.ReasonOf(err)
	require.Equal(t, states.NotProtected, reason, "%v", err)

	require.NoError(t, os.Remove(ballast))
	address, err = ask()
	require.NoError(t, err)
	require.NotEmpty(t, address)
	copied, err := os.ReadFile(filepath.Join(usb, s.backup(loopd).name))
	require.NoError(t, err)
	require.Equal(t, s.backup(loopd).content, copied)
}

// TestBackupRemote: loopd runs on a server, its user and the backup are at
// home. If this breaks, the user has to get a shell on the machine that died.
func TestBackupRemote(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	address := s.newAddress(loopd)
	content := s.open(s.backup(loopd), s.Client)

	home := filepath.Join(s.scratch, "home.lrb")
	s.succeeds(s.remote(loopd, "backup", "export", "-o", home))
	again := s.remote(loopd, "backup", "export", "-o", home)
	require.Equal(t, 1, again.ExitCode)
	s.succeeds(s.remote(loopd, "backup", "verify", home))
	require.Contains(t, s.succeeds(s.remote(
		loopd, "backup", "inspect", home,
	)), address)

	s.lose(loopd)
	s.start(loopd)
	challenges, keys := s.Swap.Challenges(), s.keyCounters(s.Client)

	// A damaged copy is told from a good one without writing anything.
	saved, err := os.ReadFile(home)
	require.NoError(t, err)
	damaged := s.keep(corrupt(file{"damaged", saved}))
	require.Equal(t, backup.Corrupt.ExitCode(),
		s.remote(loopd, "backup", "verify", damaged).ExitCode)
	require.Equal(t, exitBlocked, s.remote(
		loopd, "recover", "--dry_run", "--backup_file", damaged,
	).ExitCode)

	plan := s.succeeds(s.remote(
		loopd, "recover", "--dry_run", "--backup_file", home,
	))
	require.Contains(t, plan, address)
	require.Contains(t, plan, "l402.token would be written")
	require.Empty(t, s.runs(loopd))
	require.Empty(t, s.backups(loopd))
	require.NoFileExists(t, loopd.TokenPath())
	require.NoDirExists(t, filepath.Join(loopd.DataDir(), "received"))
	require.Equal(t, keys, s.keyCounters(s.Client))

	s.succeeds(s.remote(loopd, "recover", "--backup_file", home))
	require.Equal(t, content.Token, s.token(loopd))
	require.Equal(t, challenges, s.Swap.Challenges(), "bought a token")
	history := s.succeeds(s.remote(loopd, "recover", "history"))
	for _, state := range states.RestoreTable().Path {
		require.Contains(t, history, string(state))
	}

	// Afterwards nothing is left to do.
	plan = s.succeeds(s.remote(
		loopd, "recover", "--dry_run", "--backup_file", home,
	))
	require.Contains(t, plan, "the L402 token is in place already")
}

// TestBackupOlderFormat: a user moves between this software and other software
// that knows the older format only. If this breaks, the way out or the way in
// is closed.
func TestBackupOlderFormat(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	address := s.newAddress(loopd)
	deposits := s.pay(address, 150_000)
	s.waitDeposits(loopd, deposits...)
	native := s.backup(loopd)
	content := s.open(native, s.Client)

	dir := filepath.Join(s.scratch, "older")
	require.NoError(t, os.Mkdir(dir, 0o700))
	s.succeeds(s.cli(loopd, "backup", "export", "--format",
		string(backup.Legacy), "-o", dir))
	older := filepath.Join(dir, backup.LegacyFileName(
		content.TokenID, content.TokenCreated,
	))
	require.FileExists(t, older)
	s.succeeds(s.cli(loopd, "backup", "verify", older))
	opened, err := os.ReadFile(older)
	require.NoError(t, err)
	legacy := s.open(file{filepath.Base(older), opened}, s.Client)
	require.True(t, legacy.IndexUnknown)
	require.Equal(t, content.Token, legacy.Token)

	// It is imported into a fresh directory, as a file of our format with
	// the index that it did not tell, and restores everything.
	s.lose(loopd)
	s.start(loopd)
	s.succeeds(s.cli(loopd, "backup", "import", older))
	require.Equal(t, content, s.open(s.backup(loopd), s.Client))
	s.succeeds(s.cli(loopd, "recover"))
	s.waitRestored(loopd, deposits...)
	require.Equal(t, content.Token, s.token(loopd))

	// Found by itself in a fresh directory it does the same.
	s.lose(loopd)
	s.plant(loopd, file{filepath.Base(older), opened})
	s.startListening(loopd)
	run := s.waitReconciled(loopd)
	require.Equal(t, filepath.Base(older), filepath.Base(run.Backup.Path))
	s.waitRestored(loopd, deposits...)
	require.Equal(t, address, s.newAddress(loopd))
	require.Equal(t, content, s.open(s.backup(loopd), s.Client))
}
