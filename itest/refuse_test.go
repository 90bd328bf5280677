package itest

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// The exit codes of our command line that the stories look at. docs/cli.md
// lists them.
const (
	exitBlocked    = 3
	exitCancelled  = 4
	exitConnection = 6
)

// backupKeys returns the keys with which an lnd's seed seals backups.
func (s *story) backupKeys(lnd *regtest.Lnd) backup.Keys {
	s.Helper()

	services, err := lnd.Services(s.Context())
	require.NoError(s, err)
	defer services.Close()
	keys, err := backup.DeriveKeys(s.Context(), services.Signer)
	require.NoError(s, err)

	return keys
}

// open returns what a backup of an lnd's seed holds.
func (s *story) open(saved file, lnd *regtest.Lnd) *backup.Content {
	s.Helper()

	content, err := backup.Open(saved.content, s.backupKeys(lnd))
	require.NoError(s, err)

	return content
}

// seal makes a backup of its own contents with an lnd's seed.
func (s *story) seal(content *backup.Content, lnd *regtest.Lnd) file {
	s.Helper()

	sealed, err := backup.Seal(content, s.backupKeys(lnd), rand.Reader)
	require.NoError(s, err)

	return file{
		backup.FileName(content.TokenID, content.TokenCreated), sealed,
	}
}

// corrupt returns a damaged copy of a backup: one byte in the middle, as a bad
// disk leaves it.
func corrupt(saved file) file {
	damaged := bytes.Clone(saved.content)
	damaged[len(damaged)/2] ^= 0x01

	return file{saved.name, damaged}
}

// TestStoryGRefused: a user names the wrong file. If this breaks, the user is
// told the wrong thing, searches in the wrong place, or loses what was there.
func TestStoryGRefused(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	s.newAddress(loopd)
	saved := s.backup(loopd)
	s.lose(loopd)

	content := s.open(saved, s.Client)
	elsewhere := *content
	elsewhere.Network = "testnet"
	s.start(loopd)
	for verdict, wrong := range map[backup.Verdict]file{
		backup.Corrupt:      corrupt(saved),
		backup.OtherSeed:    s.seal(content, s.Server),
		backup.OtherNetwork: s.seal(&elsewhere, s.Client),
	} {
		s.refusesFile(loopd, wrong, verdict)
	}

	// Nor is what was refused taken for a backup at the next start.
	s.stop(loopd)
	require.Empty(t, s.addressRows(loopd))
	s.start(loopd)
	require.NoFileExists(t, loopd.TokenPath())
	require.Empty(t, s.runs(loopd))

	// The right file still does.
	result := s.cli(
		loopd, "recover", "--backup_file", s.keep(saved),
	)
	require.Zero(t, result.ExitCode, "%s%s", result.Stdout, result.Stderr)
	require.Equal(t, content.Token, s.token(loopd))
}

// refusesFile checks that a restore from the file is refused for the reason and
// that nothing is written.
func (s *story) refusesFile(loopd *regtest.Loopd, wrong file,
	verdict backup.Verdict) {

	s.Helper()

	challenges := s.Swap.Challenges()
	keys := s.keyCounters(s.Client)

	result := s.cli(loopd, "recover", "--backup_file", s.keep(wrong))
	require.Equal(s, verdict.ExitCode(), result.ExitCode, "%s%s",
		result.Stdout, result.Stderr)
	require.Contains(s, result.Stderr,
		states.Explain(verdict.Reason()).Sentence)
	require.Contains(s, result.Stderr, wrong.name)

	// No recovery was made of it, and the swap client is not held back.
	resp := s.recovery(loopd)
	require.Nil(s, resp.Run)
	require.Equal(s, recoveryrpc.DaemonState_DAEMON_UP, resp.Daemon.State)

	require.NoFileExists(s, loopd.TokenPath())
	require.Empty(s, s.backups(loopd))
	require.Equal(s, keys, s.keyCounters(s.Client))
	require.Equal(s, challenges, s.Swap.Challenges(), "bought a token")
}
