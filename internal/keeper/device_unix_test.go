//go:build unix

package keeper

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIdentify checks that a link to a directory is that directory, that
// another one is not, and that a mount root is above what is mounted there.
func TestIdentify(t *testing.T) {
	base := t.TempDir()
	first, second := filepath.Join(base, "a"), filepath.Join(base, "b")
	require.NoError(t, os.Mkdir(first, 0o700))
	require.NoError(t, os.Mkdir(second, 0o700))
	link := filepath.Join(base, "link")
	require.NoError(t, os.Symlink(first, link))

	known, err := osDisk{}.Identify(first)
	require.NoError(t, err)
	require.True(t, known.known())
	same, err := osDisk{}.Identify(link)
	require.NoError(t, err)
	require.Equal(t, known, same)
	other, err := osDisk{}.Identify(second)
	require.NoError(t, err)
	require.NotEqual(t, known, other)
	require.Equal(t, known.Device, other.Device)
	require.Equal(t, known.MountRoot, other.MountRoot)
	root, err := osDisk{}.Identify(known.MountRoot)
	require.NoError(t, err)
	require.Equal(t, known.MountRoot, root.MountRoot)

	file := filepath.Join(base, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	circle := filepath.Join(base, "circle")
	require.NoError(t, os.Symlink(circle, circle))
	for _, path := range []string{file, circle, filepath.Join(base, "c")} {
		_, err := osDisk{}.Identify(path)
		require.Error(t, err, path)
	}
}

// TestMounted checks that a file system that every Linux mounts is not that of
// the root.
func TestMounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no other system mounts a file system everywhere")
	}
	identity, err := osDisk{}.Identify("/proc")
	require.NoError(t, err)
	require.Equal(t, "/proc", identity.MountRoot)
}

// TestIsBelow checks which path is below which.
func TestIsBelow(t *testing.T) {
	for _, test := range []struct {
		path, above string
		below       bool
	}{
		{"/mnt/usb", "/", true},
		{"/mnt/usb/a", "/mnt/usb", true},
		{"/mnt/usb", "/mnt/usb", false},
		{"/", "/mnt", false},
		{"/mnt", "/mnt/usb", false},
		{"/mnt/..a", "/mnt", true},
		{"", "/", false},
		{"relative", "/", false},
	} {
		require.Equal(t, test.below, isBelow(test.path, test.above),
			"%v", test)
	}
}
