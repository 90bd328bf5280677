package durable

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadDirLimit checks that a directory is not listed without end, and that
// it is said.
func TestReadDirLimit(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		require.NoError(t, os.WriteFile(filepath.Join(
			dir, fmt.Sprint(i)), nil, 0o600))
	}

	entries, err := OS().ReadDir(dir, 3)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	require.Equal(t, "0", entries[0].Name())
	entries, err = OS().ReadDir(dir, 2)
	require.ErrorIs(t, err, ErrCrowded)
	require.Len(t, entries, 2)
	_, err = OS().ReadDir(filepath.Join(dir, "gone"), 2)
	require.ErrorIs(t, err, os.ErrNotExist)
}
