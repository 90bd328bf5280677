package states_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// shows are the rooms that carry reasons or show them, and make none happen.
var shows = []string{"states", "cmd", "recoveryrpc", "upstream", "tools"}

// TestEveryReasonIsProduced checks that each reason of the closed list is
// expected by a test of a room that produces reasons: one that nothing ever
// produced would be a promise to users that nobody has tried.
//
// To name a reason is not enough. It counts if it stands in an assertion, of
// which package require has them and what a helper of the tests hands to one;
// or in a table of a test whose rows an assertion looks at. What a test makes
// up, a literal of a type of ours, does not count. So a test is found that
// fails if the reason does not come.
func TestEveryReasonIsProduced(t *testing.T) {
	names := reasonNames(t)
	require.Len(t, names, len(states.Reasons()))

	asserted := make(map[string]bool)
	for _, files := range testPackages(t) {
		newAsserted(files).note(asserted)
	}
	for _, name := range names {
		require.True(t, asserted[name], "no test asserts states.%s",
			name)
	}
}

// testPackages returns the test files of the rooms, by directory.
func testPackages(t *testing.T) map[string][]*ast.File {
	t.Helper()

	packages := make(map[string][]*ast.File)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry,
		err error) error {

		room := filepath.Base(path)
		hidden := strings.HasPrefix(room, ".") && room != ".."
		top := filepath.Dir(path) == ".."
		switch {
		case err != nil:
			return err

		case entry.IsDir() && (hidden ||
			top && slices.Contains(shows, room)):

			return filepath.SkipDir

		case entry.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}

		file, err := parser.ParseFile(
			token.NewFileSet(), path, nil, 0,
		)
		dir := filepath.Dir(path)
		packages[dir] = append(packages[dir], file)

		return err
	})
	require.NoError(t, err)

	return packages
}

// asserted finds the reasons that the tests of one package assert.
type asserted struct {
	files []*ast.File

	// helpers are the functions of the tests that hand a reason which they
	// are given to an assertion.
	helpers map[string]bool
}

// newAsserted finds the helpers first: one can call another.
func newAsserted(files []*ast.File) *asserted {
	a := &asserted{files: files, helpers: make(map[string]bool)}
	for known := -1; known != len(a.helpers); {
		known = len(a.helpers)
		for _, function := range a.functions() {
			if a.handsOn(function) {
				a.helpers[function.Name.Name] = true
			}
		}
	}

	return a
}

// functions returns the functions of the tests.
func (a *asserted) functions() []*ast.FuncDecl {
	var functions []*ast.FuncDecl
	for _, file := range a.files {
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Body != nil {
				functions = append(functions, function)
			}
		}
	}

	return functions
}

// handsOn reports whether a function hands a reason which it is given to an
// assertion.
func (a *asserted) handsOn(function *ast.FuncDecl) bool {
	given := make(map[string]bool)
	for _, field := range function.Type.Params.List {
		if !carries(field.Type) {
			continue
		}
		for _, name := range field.Names {
			given[name.Name] = true
		}
	}

	for _, call := range find(function.Body, a.asserts) {
		if mentions(call, given) {
			return true
		}
	}

	return false
}

// asserts reports whether a call is an assertion.
func (a *asserted) asserts(call *ast.CallExpr) bool {
	switch called := call.Fun.(type) {
	case *ast.Ident:
		return a.helpers[called.Name]

	case *ast.SelectorExpr:
		room, ok := called.X.(*ast.Ident)

		return ok && room.Name == "require" ||
			a.helpers[called.Sel.Name]
	}

	return false
}

// note notes the reasons that the package's tests assert.
func (a *asserted) note(into map[string]bool) {
	for _, function := range a.functions() {
		for _, call := range find(function.Body, a.asserts) {
			noteReasons(call, into)
		}
		for _, table := range a.tables(function) {
			noteReasons(table, into)
		}
	}
}

// tables returns the tables over which a function loops, with an assertion on
// their rows.
func (a *asserted) tables(function *ast.FuncDecl) []ast.Node {
	var tables []ast.Node
	loops := find(function.Body, func(*ast.RangeStmt) bool { return true })
	for _, loop := range loops {
		rows := make(map[string]bool)
		for _, name := range []ast.Expr{loop.Key, loop.Value} {
			row, ok := name.(*ast.Ident)
			if ok && row.Name != "_" {
				rows[row.Name] = true
			}
		}
		for _, call := range find(loop.Body, a.asserts) {
			if mentions(call, rows) {
				tables = append(
					tables, a.literals(function, loop.X)...,
				)
				break
			}
		}
	}

	return tables
}

// literals returns the literals that a loop goes over: in its place, or in that
// of the variable it names.
func (a *asserted) literals(function *ast.FuncDecl, over ast.Expr) []ast.Node {
	name, ok := over.(*ast.Ident)
	if !ok {
		return []ast.Node{over}
	}

	var literals []ast.Node
	assigned := find(function.Body, func(*ast.AssignStmt) bool {
		return true
	})
	for _, assignment := range assigned {
		left, ok := assignment.Lhs[0].(*ast.Ident)
		if ok && left.Name == name.Name {
			literals = append(literals, assignment.Rhs[0])
		}
	}
	for _, file := range a.files {
		for _, spec := range find(file, func(spec *ast.ValueSpec) bool {
			return spec.Names[0].Name == name.Name
		}) {
			literals = append(literals, spec)
		}
	}

	return literals
}

// find returns the nodes of a type that a condition holds for.
func find[N ast.Node](under ast.Node, wanted func(N) bool) []N {
	var found []N
	ast.Inspect(under, func(node ast.Node) bool {
		if candidate, ok := node.(N); ok && wanted(candidate) {
			found = append(found, candidate)
		}

		return true
	})

	return found
}

// mentions reports whether one of the names stands in an argument of a call.
func mentions(call *ast.CallExpr, names map[string]bool) bool {
	return slices.ContainsFunc(call.Args, func(argument ast.Expr) bool {
		return len(find(argument, func(name *ast.Ident) bool {
			return names[name.Name]
		})) > 0
	})
}

// carries reports whether a parameter of a type can be a reason: itself, as it
// is printed, or several of either.
func carries(parameter ast.Expr) bool {
	if several, ok := parameter.(*ast.Ellipsis); ok {
		parameter = several.Elt
	}

	switch named := parameter.(type) {
	case *ast.Ident:
		return named.Name == "string"

	case *ast.SelectorExpr:
		return named.Sel.Name == "Reason"
	}

	return false
}

// noteReasons notes the names of this package under a node, but for those in
// what a test makes up. A table of another package's values is none of that.
func noteReasons(under ast.Node, into map[string]bool) {
	ast.Inspect(under, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncLit:
			return false

		case *ast.CompositeLit:
			_, made := node.Type.(*ast.SelectorExpr)
			return !made

		case *ast.SelectorExpr:
			room, ok := node.X.(*ast.Ident)
			if ok && room.Name == "states" {
				into[node.Sel.Name] = true
			}
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

// TestMentionIsNotEnough checks what counts as an assertion.
func TestMentionIsNotEnough(t *testing.T) {
	const source = `package x
func check(t *testing.T, err error, reason states.Reason) {
	require.Equal(t, reason, reasonOf(err))
}
func says(text ...string) { check(nil, nil, text) }
func ignores(reason states.Reason) {}
func TestX(t *testing.T) {
	require.Equal(t, states.Direct, reasonOf(err))
	check(t, err, states.Helper)
	says(string(states.Printed))
	rows := map[string]states.Reason{"a": states.Row}
	for name, reason := range rows {
		require.Equal(t, reason, call(name))
	}
	for _, test := range []row{{states.Inline}} {
		t.Run("x", func(t *testing.T) { check(t, nil, test.reason) })
	}
	_ = states.Mentioned
	ignores(states.Ignored)
	require.Equal(t, err, &actions.BlockError{Reason: states.MadeUp})
	for _, unused := range []states.Reason{states.Unused} {
		require.NotNil(t, other)
		use(unused)
	}
}`
	file, err := parser.ParseFile(
		token.NewFileSet(), "x_test.go", source, 0,
	)
	require.NoError(t, err)
	found := make(map[string]bool)
	newAsserted([]*ast.File{file}).note(found)
	delete(found, "Reason")
	require.Equal(t, map[string]bool{
		"Direct": true, "Helper": true, "Printed": true, "Row": true,
		"Inline": true,
	}, found)
}
