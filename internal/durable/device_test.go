package durable

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSameDevice checks that a second copy on the same disk is seen to be one,
// and a place on another is not taken for it.
func TestSameDevice(t *testing.T) {
	dir := t.TempDir()
	same, ok := SameDevice(dir, filepath.Dir(dir))
	if !ok {
		t.Skip("this system does not tell")
	}
	require.True(t, same)

	_, ok = SameDevice(dir, filepath.Join(dir, "gone"))
	require.False(t, ok)

	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("no second file system to compare with")
	}
	same, ok = SameDevice(dir, "/proc")
	require.True(t, ok)
	require.False(t, same)
}
