//go:build unix

package generation

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/stretchr/testify/require"
)

// TestProbeSpecial checks that a named pipe under any of the token's names
// makes nobody wait, and is moved out of the way like anything else that is no
// token.
func TestProbeSpecial(t *testing.T) {
	for _, name := range tokenNames {
		dir := t.TempDir()
		files := NewFiles(durable.OS(), dir)
		path := filepath.Join(dir, name)
		require.NoError(t, syscall.Mkfifo(path, 0o600))

		probe, err := files.Probe()
		require.NoError(t, err)
		if name == pendingName || name == oldPendingName {
			require.Equal(t, TokenPending, probe.Status)
			continue
		}
		require.Equal(t, TokenUnreadable, probe.Status)
		_, err = files.SetAside()
		require.NoError(t, err)
		require.NoError(t, files.Place(makeToken(t, 1, true)))
	}
}
