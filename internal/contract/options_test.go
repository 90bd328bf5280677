package contract

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lightninglabs/loop/loopd"
	"github.com/stretchr/testify/require"
)

// upstreamPackage is the package that we embed.
const upstreamPackage = "github.com/lightninglabs/loop/loopd"

// TestOptionReaders holds which functions of upstream read which part of its
// configuration. What only a start as a subserver reads is passed on by us, in
// the same struct; what others read is ours to heed (docs/options.md).
func TestOptionReaders(t *testing.T) {
	readers := optionReaders(t)

	var lines []string
	config := reflect.TypeFor[loopd.Config]()
	for i := range config.NumField() {
		name := config.Field(i).Name
		functions := readers[name]
		slices.Sort(functions)
		lines = append(lines, fmt.Sprintf("%s: %s", name,
			strings.Join(slices.Compact(functions), " ")))
	}

	requireSnapshot(t, "options.txt", `
		The fields of upstream's configuration, and the functions of its
		package loopd that read them, but for Validate and DefaultConfig.
		loopd/options_test.go makes docs/options.md of it.
	`, lines)
}

// optionReaders returns the functions that read each field of a variable, or of
// a field, that is named like a configuration.
func optionReaders(t *testing.T) map[string][]string {
	t.Helper()

	dir, err := exec.CommandContext(
		t.Context(), "go", "list", "-f", "{{.Dir}}", upstreamPackage,
	).Output()
	require.NoError(t, err)
	paths, err := filepath.Glob(filepath.Join(
		strings.TrimSpace(string(dir)), "*.go",
	))
	require.NoError(t, err)
	require.NotEmpty(t, paths)

	readers := make(map[string][]string)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok || function.Name.Name == "Validate" {
				continue
			}
			noteReads(function, readers)
		}
	}

	return readers
}

// noteReads notes what one function reads.
func noteReads(function *ast.FuncDecl, readers map[string][]string) {
	ast.Inspect(function, func(node ast.Node) bool {
		read, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}

		owner := ""
		switch of := read.X.(type) {
		case *ast.Ident:
			owner = of.Name

		case *ast.SelectorExpr:
			owner = of.Sel.Name
		}
		if owner == "cfg" || owner == "config" {
			readers[read.Sel.Name] = append(
				readers[read.Sel.Name], function.Name.Name,
			)
		}

		return true
	})
}
