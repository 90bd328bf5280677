package contract

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lightninglabs/aperture/l402"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/stretchr/testify/require"
)

// TestTokenNames holds under which names upstream finds a token: the two of
// today, which it renames from the two of before when they are free.
func TestTokenNames(t *testing.T) {
	for before, today := range map[string]string{
		"lsat.token":         "l402.token",
		"lsat.token.pending": "l402.token.pending",
	} {
		dir := t.TempDir()
		write(t, dir, before, "old")
		_, err := l402.NewFileStore(dir)
		require.NoError(t, err)
		require.Equal(t, []string{today}, list(t, dir))

		// What is there already is not replaced.
		write(t, dir, before, "older")
		_, err = l402.NewFileStore(dir)
		require.NoError(t, err)
		require.Equal(t, []string{today, before}, list(t, dir))
		kept, err := os.ReadFile(filepath.Join(dir, today))
		require.NoError(t, err)
		require.Equal(t, "old", string(kept))
	}
}

// TestTokenPrefix holds that upstream parses every file whose name begins with
// the token's: none of our temporary or set-aside files may.
func TestTokenPrefix(t *testing.T) {
	dir := t.TempDir()
	store, err := l402.NewFileStore(dir)
	require.NoError(t, err)

	write(t, dir, "l402.token.stray", "no token")
	_, err = store.AllTokens()
	require.Error(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "l402.token.stray")))

	write(t, dir, "other.l402.token", "no token")
	tokens, err := store.AllTokens()
	require.NoError(t, err)
	require.Empty(t, tokens)
}

// TestPaidTokenFirst holds that the paid token is the current one, whatever
// else is there, as our probe has it.
func TestPaidTokenFirst(t *testing.T) {
	dir := t.TempDir()
	store, err := l402.NewFileStore(dir)
	require.NoError(t, err)
	_, err = store.CurrentToken()
	require.ErrorIs(t, err, l402.ErrNoToken)

	write(t, dir, "l402.token.pending", "")
	probe, err := generation.NewFiles(durable.OS(), dir).Probe()
	require.NoError(t, err)
	require.Equal(t, generation.TokenPending, probe.Status)
	_, err = store.CurrentToken()
	require.Error(t, err)
	require.NotErrorIs(t, err, l402.ErrNoToken)
}

// write makes a file.
func write(t *testing.T, dir, name, content string) {
	t.Helper()

	require.NoError(t, os.WriteFile(
		filepath.Join(dir, name), []byte(content), 0o600,
	))
}

// list returns the names in a directory, sorted.
func list(t *testing.T, dir string) []string {
	t.Helper()

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	slices.Sort(names)

	return names
}
