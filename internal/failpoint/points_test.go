package failpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
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

// TestAllDeclared checks that every constant of this package that names a point
// is in a group, so that some package has to show that it passes it.
func TestAllDeclared(t *testing.T) {
	parsed, err := parser.ParseFile(
		token.NewFileSet(), "points.go", nil, 0,
	)
	require.NoError(t, err)

	found := 0
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, value := range spec.Values {
			literal, ok := value.(*ast.BasicLit)
			require.True(t, ok, spec.Names[0].Name)
			name, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			require.Contains(t, All(), name)
			found++
		}

		return true
	})
	require.Equal(t, len(OfActions())+len(OfDaemon()), found)
}
