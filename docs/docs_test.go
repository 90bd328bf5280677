// Package docs holds no code: its test keeps the documents true.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// promises is the table of what the documents promise.
const promises = "promises.md"

// row matches one row of the table: a document, a promise in its words, and the
// tests that hold it.
var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.+) \\| (.+) \\|$")

// named matches the name of a test.
var named = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")

// link matches a link to a place in the repository.
var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

// read returns a document as one line: where it breaks its lines says nothing.
func read(t *testing.T, path string) string {
	t.Helper()

	data, err := os.ReadFile(filepath.Join("..", path))
	require.NoError(t, err)

	text := strings.ReplaceAll(string(data), "\n//", " ")

	return strings.Join(strings.Fields(text), " ")
}

// tests returns the names of all tests of the module.
func tests(t *testing.T) map[string]bool {
	t.Helper()

	names := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry,
		err error) error {

		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, declared := range file.Decls {
			function, ok := declared.(*ast.FuncDecl)
			if ok && function.Recv == nil {
				names[function.Name.Name] = true
			}
		}

		return nil
	})
	require.NoError(t, err)

	return names
}

// TestPromises checks that each promise of the table stands in its document, in
// these words, and that the tests which hold it exist.
func TestPromises(t *testing.T) {
	data, err := os.ReadFile(promises)
	require.NoError(t, err)
	known := tests(t)

	rows := row.FindAllStringSubmatch(string(data), -1)
	require.NotEmpty(t, rows)
	for _, cells := range rows {
		document, promise := cells[1], cells[2]
		require.True(t, strings.Contains(read(t, document), promise),
			"%s does not say: %s", document, promise)

		holding := named.FindAllStringSubmatch(cells[3], -1)
		require.NotEmpty(t, holding, promise)
		for _, test := range holding {
			require.True(t, known[test[1]], "%s: there is no %s",
				promise, test[1])
		}
	}
}

// TestInvariants checks that each invariant in the documents is held by tests
// that exist.
func TestInvariants(t *testing.T) {
	data, err := os.ReadFile("architecture.md")
	require.NoError(t, err)
	known := tests(t)

	lines := regexp.MustCompile(`(?m)^\| I\d+ \|.*$`).FindAllString(
		string(data), -1,
	)
	require.Len(t, lines, 10)
	for _, line := range lines {
		holding := named.FindAllStringSubmatch(line, -1)
		require.NotEmpty(t, holding, line)
		for _, test := range holding {
			require.True(t, known[test[1]], "there is no %s",
				test[1])
		}
	}
}

// TestLinks checks that each link leads to a file that is there.
func TestLinks(t *testing.T) {
	for _, pattern := range []string{"*.md", "../*.md"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, path := range paths {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, found := range link.FindAllStringSubmatch(
				string(data), -1,
			) {
				require.FileExists(t, filepath.Join(
					filepath.Dir(path), found[1],
				), path)
			}
		}
	}
}
