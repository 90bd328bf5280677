package failpoint

import (
	"slices"
	"testing"

	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestAll checks that names are unique and that every state of every table has
// its two points.
func TestAll(t *testing.T) {
	names := All()
	slices.Sort(names)
	require.Len(t, slices.Compact(names), len(All()))

	for _, table := range []states.Table{
		states.RestoreTable(), states.RescanTable(),
	} {
		for _, state := range table.Path {
			require.Contains(t, names, Intent(state))
			require.Contains(t, names, Outcome(state))
		}
	}
}
