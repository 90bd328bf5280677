package states_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// producers are the rooms whose tests make a reason happen. The others only
// carry reasons or show them.
var producers = []string{
	"actions", "recoveryfsm", "recoverydb", "internal/keeper",
	"internal/lndnode", "internal/owner", "internal/swapdb", "loopd",
	"itest",
}

// TestEveryReasonIsProduced checks that each reason of the closed list is
// expected by a test of a room that produces reasons: one that nothing ever
// produced would be a promise to users that nobody has tried. A test that
// expects a reason fails if it does not come.
func TestEveryReasonIsProduced(t *testing.T) {
	names := reasonNames(t)
	require.Len(t, names, len(states.Reasons()))

	expected := make(map[string]bool)
	for _, producer := range producers {
		root := filepath.Join("..", producer)
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry,
			err error) error {

			if err == nil && strings.HasSuffix(path, "_test.go") {
				noteReasons(t, path, expected)
			}

			return err
		})
		require.NoError(t, err)
	}

	for _, name := range names {
		require.True(t, expected[name], "no test produces states.%s",
			name)
	}
}

// noteReasons notes the exported names of this package that a test mentions.
func noteReasons(t *testing.T, path string, into map[string]bool) {
	t.Helper()

	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		room, ok := selector.X.(*ast.Ident)
		if ok && room.Name == "states" {
			into[selector.Sel.Name] = true
		}

		return true
	})
}

// reasonNames returns the names of the constants of type Reason.
func reasonNames(t *testing.T) []string {
	t.Helper()

	file, err := parser.ParseFile(
		token.NewFileSet(), "reasons.go", nil, 0,
	)
	require.NoError(t, err)

	var names []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		kind, ok := spec.Type.(*ast.Ident)
		if ok && kind.Name == "Reason" {
			for _, name := range spec.Names {
				names = append(names, name.Name)
			}
		}

		return true
	})

	return names
}
