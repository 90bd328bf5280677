//go:build failpoint

package actions_test

import (
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestFailpoints shows that a restore passes every point that lies within the
// work of a state. The engine passes those around it, and the scan's
// checkpoint the one after a commit.
func TestFailpoints(t *testing.T) {
	passed := make(map[string]bool)
	restore := failpoint.SetForTest(func(name string) {
		passed[name] = true
	})
	defer restore()

	newStory(t).drive(states.RestoreTable(), false)
	for _, name := range failpoint.All() {
		if strings.HasSuffix(name, ".intent") ||
			strings.HasSuffix(name, ".outcome") ||
			name == failpoint.ScanDepositsAfterCommit {

			continue
		}
		require.True(t, passed[name], name)
	}
}
