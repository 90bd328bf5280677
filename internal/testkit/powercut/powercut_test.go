package powercut

import (
	"errors"
	"testing"

	"github.com/looprecovery/looprecovery/backup/backuptest"
	"github.com/looprecovery/looprecovery/internal/testkit/crash"
	"github.com/stretchr/testify/require"
)

// TestRun checks that no power cut and no failing disk costs a user a token or
// a backup, and that the search would see it.
func TestRun(t *testing.T) {
	result, err := Run(func(line string) { t.Log(line) })
	require.NoError(t, err)
	require.Empty(t, result.Violations)
	require.Equal(t, 4, result.Controls)
	require.Equal(t, 4, result.Caught)
	require.Greater(t, result.Cuts, 1_000)
	require.Greater(t, result.Faults, 100)
}

// TestSafeSequence checks that the search is not content with calling
// everything unsafe: what the first two controls lack is enough.
func TestSafeSequence(t *testing.T) {
	token := backuptest.Token(1)
	safe := placing("safe", nil, token)
	safe.run = func(disk *crash.FS) error {
		return errors.Join(
			create(disk, token, true),
			disk.Rename(tempPath, tokenPath),
			disk.SyncDir(dataDir),
		)
	}
	found, err := Violations(&safe)
	require.NoError(t, err)
	require.Empty(t, found)
}

// TestReplacingRename checks that a rename that destroys a backup of another
// seed is found, however durable it is.
func TestReplacingRename(t *testing.T) {
	foreign, err := seal(otherSeed, 1)
	require.NoError(t, err)
	mine, err := seal(mySeed, 1)
	require.NoError(t, err)

	name := backupName(dataDir, 1)
	replace := publishing("replace", map[string][]byte{name: foreign})
	replace.run = func(disk *crash.FS) error {
		return errors.Join(
			create(disk, mine, true),
			disk.Rename(tempPath, name),
			disk.SyncDir(dataDir),
		)
	}
	found, err := Violations(&replace)
	require.NoError(t, err)
	require.NotEmpty(t, found)
	require.Contains(t, found[0], "I1")
}
