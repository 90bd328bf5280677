package regtest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFindPostgres checks that the server in PATH comes first, and that one of
// its two programs is not enough.
func TestFindPostgres(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	program := func(name string) {
		require.NoError(t, os.WriteFile(
			filepath.Join(dir, name), nil, 0o700,
		))
	}

	program(postgresServer)
	found, err := findPostgres()
	if err != nil {
		require.ErrorIs(t, err, ErrNoPostgres)
	}
	require.NotEqual(t, dir, found)

	program(postgresInit)
	found, err = findPostgres()
	require.NoError(t, err)
	require.Equal(t, dir, found)
}

// TestNewerFirst checks that of several installed servers the newest is taken.
func TestNewerFirst(t *testing.T) {
	dirs := []string{"/pg/9.6/bin", "/pg/15/bin", "/pg/9/bin", "/pg/16/bin"}
	slices.SortFunc(dirs, newerFirst)
	require.Equal(t, "/pg/16/bin", dirs[0])
	require.Equal(t, "/pg/15/bin", dirs[1])
}
