package durable

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPublish checks that a file is there with its permissions, and nothing
// else.
func TestPublish(t *testing.T) {
	dir := t.TempDir()
	promise, err := Publish(OS(), dir, "name", []byte("data"), 0o400)
	require.NoError(t, err)
	require.Equal(t, AllOrNothing, promise)

	data, err := ReadFile(OS(), filepath.Join(dir, "name"), 4)
	require.NoError(t, err)
	require.Equal(t, "data", string(data))
	info, err := os.Stat(filepath.Join(dir, "name"))
	require.NoError(t, err)
	require.EqualValues(t, 0o400, info.Mode().Perm())
	require.Equal(t, []string{"name"}, names(t, dir))
}

// TestPublishReplacesNothing checks that a good file cannot be destroyed by
// writing another one.
func TestPublishReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "name")
	require.NoError(t, os.WriteFile(path, []byte("first"), 0o600))

	_, err := Publish(OS(), dir, "name", []byte("second"), 0o600)
	require.ErrorIs(t, err, fs.ErrExist)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "first", string(data))
	require.Equal(t, []string{"name"}, names(t, dir))
}

// TestMoveReplacesNothing checks that a file that is moved aside does not
// destroy another.
func TestMoveReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	require.NoError(t, os.WriteFile(from, []byte("a"), 0o600))
	require.NoError(t, os.WriteFile(to, []byte("b"), 0o600))
	require.ErrorIs(t, Move(OS(), from, to), fs.ErrExist)
	require.Equal(t, []string{"a", "b"}, names(t, dir))

	require.NoError(t, os.Remove(to))
	require.NoError(t, Move(OS(), from, to))
	data, err := os.ReadFile(to)
	require.NoError(t, err)
	require.Equal(t, "a", string(data))
	require.Equal(t, []string{"b"}, names(t, dir))
}

// TestRenameNoReplace checks what is asked of the system: that a rename
// refuses to replace, whatever else it can.
func TestRenameNoReplace(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	require.NoError(t, os.WriteFile(from, []byte("a"), 0o600))
	require.NoError(t, os.WriteFile(to, []byte("b"), 0o600))

	err := OS().(Renamer).RenameNoReplace(from, to)
	switch runtime.GOOS {
	case "linux", "windows":
		require.ErrorIs(t, err, fs.ErrExist)

	// A link and a removal do it there.
	default:
		require.True(t, unable(err), err)
	}
	data, err := os.ReadFile(to)
	require.NoError(t, err)
	require.Equal(t, "b", string(data))
}

// TestReadFileLimit checks that a large file is not read.
func TestReadFileLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "name")
	require.NoError(t, os.WriteFile(path, make([]byte, 11), 0o600))

	_, err := ReadFile(OS(), path, 10)
	require.ErrorIs(t, err, ErrTooLarge)
	data, err := ReadFile(OS(), path, 11)
	require.NoError(t, err)
	require.Len(t, data, 11)
}

// TestTempName checks that upstream does not take a file that is being written
// for a token, and that we know ours again.
func TestTempName(t *testing.T) {
	name := tempName("0123456789abcdef", "l402.token")
	require.False(t, strings.HasPrefix(name, "l402.token"))

	final, ok := parseTempName(name)
	require.True(t, ok)
	require.Equal(t, "l402.token", final)
	for _, other := range []string{
		"l402.token", tempPrefix, tempPrefix + "0123456789abcdef",
		tempName("0123456789abcdef", ""), tempName("01", "name"),
		tempName("0123456789abcdeg", "name"),
	} {
		_, ok := parseTempName(other)
		require.False(t, ok, other)
	}
}

// names lists a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var result []string
	for _, entry := range entries {
		result = append(result, entry.Name())
	}

	return result
}
