//go:build failpoint

package actions_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestFailpoints shows that a restore passes every point that is declared for
// this package, and no other.
func TestFailpoints(t *testing.T) {
	passed := make(map[string]bool)
	restore := failpoint.SetForTest(func(name string) {
		passed[name] = true
	})
	defer restore()

	newStory(t).drive(states.RestoreTable(), false)
	require.ElementsMatch(t, failpoint.OfActions(),
		slices.Collect(maps.Keys(passed)))
}
