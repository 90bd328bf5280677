//go:build unix

package main

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPipe checks that a named pipe is refused like any other file that cannot
// be a backup, and does not make the command wait for a writer.
func TestPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	requireUnsent(t, startDaemon(t, &testServer{}), pipe, exitFailure)
}
