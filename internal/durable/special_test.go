//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long something that must not wait may take.
const patience = 10 * time.Second

// specials makes everything that can have a file's name and is none.
func specials(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()

	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, syscall.Mkfifo(at("pipe"), 0o666))
	require.NoError(t, os.Mkdir(at("directory"), 0o700))
	require.NoError(t, os.Symlink(at("loop"), at("loop")))
	require.NoError(t, os.WriteFile(at("file"), []byte("x"), 0o600))
	require.NoError(t, os.Symlink(at("file"), at("link")))
	require.NoError(t, os.Symlink("/dev/zero", at("endless")))
	socket, err := net.Listen("unix", at("socket"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = socket.Close() })

	return map[string]fs.FileMode{
		"pipe": fs.ModeNamedPipe, "directory": fs.ModeDir,
		"loop": fs.ModeSymlink, "link": fs.ModeSymlink,
		"endless": fs.ModeSymlink, "socket": fs.ModeSocket,
	}
}

// inTime fails the test if something waits.
func inTime(t *testing.T, do func()) {
	t.Helper()

	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(t, "it waits")
	}
}

// TestReadSpecial checks that whoever may write to a shared place cannot make
// us wait, or read something else, with what is no file.
func TestReadSpecial(t *testing.T) {
	dir := t.TempDir()
	for name, kind := range specials(t, dir) {
		inTime(t, func() {
			_, err := ReadFile(OS(), filepath.Join(dir, name), 10)
			var other *KindError
			if !errors.As(err, &other) ||
				other.Mode.Type() != kind {

				t.Errorf("%s: %v", name, err)
			}
		})
	}

	// A character device that is opened, and judged by its handle.
	inTime(t, func() {
		_, err := ReadFile(OS(), "/dev/zero", 10)
		var other *KindError
		if !errors.As(err, &other) {
			t.Errorf("/dev/zero: %v", err)
		}
	})
}

// TestSweepSpecial checks that nothing with a temporary file's name, or with
// that of the file it is for, makes Sweep wait or is removed.
func TestSweepSpecial(t *testing.T) {
	dir := t.TempDir()
	kinds := specials(t, dir)
	for name := range kinds {
		require.NoError(t, os.Rename(
			filepath.Join(dir, name),
			filepath.Join(dir, tempName("0123456789abcdef", name)),
		))
	}
	final := filepath.Join(dir, "final")
	require.NoError(t, syscall.Mkfifo(final, 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(
		dir, tempName("0123456789abcdef", "final"),
	), []byte("keep"), 0o600))

	inTime(t, func() {
		err := Sweep(OS(), dir, Leftovers{
			Owns:  func(string) bool { return true },
			Keep:  func([]byte) bool { return true },
			Limit: 10,
		})
		if err != nil {
			t.Error(err)
		}
	})
	require.Len(t, names(t, dir), len(kinds)+3)
}

// TestSyncSpecial checks that a named pipe does not make us wait either where a
// file is synced.
func TestSyncSpecial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o666))
	inTime(t, func() {
		if OS().SyncDir(path) == nil {
			t.Error("a named pipe was made durable")
		}
		if _, err := OS().ReadDir(path, 10); err == nil {
			t.Error("a named pipe was listed")
		}
	})
}
