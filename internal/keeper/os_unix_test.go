//go:build unix

package keeper

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/testkit/crash"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// onDisk returns a scene whose places are directories of this machine, and the
// further one of them.
func onDisk(t *testing.T) (*scene, string) {
	s := newScene(t)
	share := t.TempDir()
	s.cfg.Files, s.cfg.Disk = durable.OS(), nil
	s.cfg.DataDir, s.cfg.Places = t.TempDir(), []string{share}
	s.restart()
	t.Cleanup(s.end)

	return s, share
}

// TestTraps checks that nothing which somebody can put into a share holds
// anything up: a named pipe, a link to itself, a directory, each with the name
// of a backup, that of the generation in place among them.
func TestTraps(t *testing.T) {
	s, share := onDisk(t)
	content := s.install("alice")
	name := backup.FileName(content.TokenID, content.TokenCreated)
	require.NoError(t, syscall.Mkfifo(filepath.Join(share, name), 0o600))
	for i, trap := range []func(path string) error{
		func(path string) error { return syscall.Mkfifo(path, 0o600) },
		func(path string) error { return os.Symlink(path, path) },
		func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		name := backup.FileName([32]byte{byte(i)}, content.TokenCreated)
		require.NoError(t, trap(filepath.Join(share, name)))
		temp := ".looprecovery-0123456789abcdef-" + name
		require.NoError(t, trap(filepath.Join(share, temp)))
	}

	require.NoError(t, s.keeper.Protect(t.Context(), 1))
	files, err := s.keeper.JudgeAll(t.Context())
	require.NoError(t, err)
	require.Len(t, files, 6, "four traps and two backups")
	all, _ := s.keeper.Answered()
	require.True(t, all)
	for _, status := range s.keeper.Places() {
		require.Equal(t, Answering, status.State)
	}
}

// TestSparseFiles checks that ten thousand large files with a backup's name
// are not read.
func TestSparseFiles(t *testing.T) {
	s, share := onDisk(t)
	s.install("alice")
	for i := range 10_000 {
		name := fmt.Sprintf("loop_recovery_%019d_%064x.lrb", i, i)
		path := filepath.Join(share, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Truncate(path, 1<<20))
	}

	require.NoError(t, s.keeper.Protect(t.Context(), 1))
	ctx, cancel := context.WithTimeout(t.Context(), operationLimit)
	defer cancel()
	_, err := s.keeper.JudgeAll(ctx)
	require.NoError(t, err)
	require.LessOrEqual(t, len(s.keeper.Notices()), 3)
}

// TestMissingDirectory checks that a place which is not there is unreadable,
// and never made: it may be where a disk is to be mounted.
func TestMissingDirectory(t *testing.T) {
	s, share := onDisk(t)
	require.NoError(t, os.Remove(share))
	s.install("alice")
	require.NoError(t, s.keeper.Protect(t.Context(), 0))
	require.Error(t, s.keeper.Protect(t.Context(), 1))
	require.NoDirExists(t, share)
	require.Equal(t, Unreadable, s.keeper.Places()[1].State)
}

// TestWeakPlace checks that a user is told of a place on a file system that
// can leave a torn file, also by a process that finds its backup there already,
// and no more once the place is on another one.
func TestWeakPlace(t *testing.T) {
	run(t, func(s *scene) {
		weak := crash.New(0, twin.DataDir, twin.SecondDir)
		s.cfg.Files = weak
		s.restart()
		s.install("alice")
		for range 2 {
			require.NoError(s, s.keeper.Protect(s.Context(), 1))
			require.Contains(s, s.warnings(), states.WarnPlaceWeak)
			require.Len(s, weak.Files(), 2, "a probe left files")
			s.restart()
		}

		disk := crash.New(
			crash.Links, twin.DataDir, twin.SecondDir,
		)
		for path, data := range weak.Files() {
			require.NoError(s, disk.Put(path, data))
		}
		s.cfg.Files = disk
		s.restart()
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
		require.NotContains(s, s.warnings(), states.WarnPlaceWeak)
		require.Len(s, disk.Files(), 2)
	})
}
