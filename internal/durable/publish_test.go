package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// faultyFS fails the n-th call that changes something, and all after it.
type faultyFS struct {
	FS

	left int
	err  error
}

// step counts one change.
func (f *faultyFS) step() error {
	if f.left--; f.left < 0 {
		return f.err
	}

	return nil
}

// CreateNew implements FS.
func (f *faultyFS) CreateNew(path string, perm fs.FileMode) (File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	file, err := f.FS.CreateNew(path, perm)

	return &faultyFile{File: file, fs: f}, err
}

// Link implements FS.
func (f *faultyFS) Link(existing, path string) error {
	if err := f.step(); err != nil {
		return err
	}

	return f.FS.Link(existing, path)
}

// SyncDir implements FS.
func (f *faultyFS) SyncDir(path string) error {
	if err := f.step(); err != nil {
		return err
	}

	return f.FS.SyncDir(path)
}

// Chmod implements FS.
func (f *faultyFS) Chmod(path string, perm fs.FileMode) error {
	if err := f.step(); err != nil {
		return err
	}

	return f.FS.Chmod(path, perm)
}

// faultyFile is a file of a faultyFS.
type faultyFile struct {
	File

	fs *faultyFS
}

// Write implements File. A failing write leaves half of the data behind.
func (f *faultyFile) Write(data []byte) (int, error) {
	if err := f.fs.step(); err != nil {
		n, _ := f.File.Write(data[:len(data)/2])
		return n, err
	}

	return f.File.Write(data)
}

// Sync implements File.
func (f *faultyFile) Sync() error {
	if err := f.fs.step(); err != nil {
		return err
	}

	return f.File.Sync()
}

// TestPublish checks that a file is there with its permissions, and nothing
// else.
func TestPublish(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Publish(OS(), dir, "name", []byte("data"), 0o400))

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

	err := Publish(OS(), dir, "name", []byte("second"), 0o600)
	require.ErrorIs(t, err, fs.ErrExist)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "first", string(data))
	require.Equal(t, []string{"name"}, names(t, dir))
}

// TestPublishFaults checks that a disk that fails at any step leaves either
// nothing under the name or all of it, and never claims success.
func TestPublishFaults(t *testing.T) {
	for _, cause := range []error{
		syscall.ENOSPC, syscall.EIO, syscall.EROFS,
	} {
		steps := 0
		for ; ; steps++ {
			dir := t.TempDir()
			faulty := &faultyFS{FS: OS(), left: steps, err: cause}
			err := Publish(
				faulty, dir, "name", []byte("data"), 0o600,
			)
			if err == nil {
				break
			}
			require.ErrorIs(t, err, cause)

			found := names(t, dir)
			if len(found) == 0 {
				continue
			}
			require.Equal(t, []string{"name"}, found)
			data, err := os.ReadFile(filepath.Join(dir, "name"))
			require.NoError(t, err)
			require.Equal(t, "data", string(data))
		}

		// Create, write, sync, chmod, link, sync of the directory.
		require.Equal(t, 6, steps)
	}
}

// TestMove checks that a file keeps a name at every step.
func TestMove(t *testing.T) {
	for steps := 0; ; steps++ {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		require.NoError(t, os.WriteFile(from, []byte("x"), 0o600))

		faulty := &faultyFS{
			FS: OS(), left: steps, err: errors.New("fault"),
		}
		err := Move(faulty, from, to)
		require.NotEmpty(t, names(t, dir))
		if err == nil {
			require.Equal(t, []string{"b"}, names(t, dir))
			break
		}
	}

	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	require.NoError(t, os.WriteFile(from, nil, 0o600))
	require.NoError(t, os.WriteFile(to, nil, 0o600))
	require.ErrorIs(t, Move(OS(), from, to), fs.ErrExist)
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
// for a token.
func TestTempName(t *testing.T) {
	require.False(t, strings.HasPrefix(tempPrefix, "l402.token"))
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
