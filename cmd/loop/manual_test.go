package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"
)

// manual is the user's manual of our commands.
const manual = "../../docs/cli.md"

// The marks between which the manual's table of reasons stands.
const (
	reasonsBegin = "<!-- reasons: written by " +
		"go test ./cmd/loop -update -->\n"
	reasonsEnd = "<!-- end of reasons -->\n"
)

// reasonTable returns the manual's table of reasons.
func reasonTable() string {
	reasons := states.Reasons()
	slices.SortFunc(reasons, func(a, b states.Reason) int {
		return cmp.Compare(a, b)
	})

	var out strings.Builder
	out.WriteString("\n| Reason | What happened | Left untouched | " +
		"Next |\n|---|---|---|---|\n")
	for _, reason := range reasons {
		text := states.Explain(reason)
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", reason,
			text.Sentence, text.Untouched, text.Next)
	}
	out.WriteString("\n")

	return out.String()
}

// TestManualReasons checks that a person who looks up a reason finds what the
// program says about it.
func TestManualReasons(t *testing.T) {
	text, err := os.ReadFile(manual)
	require.NoError(t, err)
	before, rest, found := bytes.Cut(text, []byte(reasonsBegin))
	require.True(t, found)
	table, after, found := bytes.Cut(rest, []byte(reasonsEnd))
	require.True(t, found)

	if *update {
		table = []byte(reasonTable())
		text = slices.Concat(
			before, []byte(reasonsBegin), table,
			[]byte(reasonsEnd), after,
		)
		require.NoError(t, os.WriteFile(manual, text, 0644))
	}
	require.Equal(t, reasonTable(), string(table))
}

// TestManualIsComplete checks that every command, flag and exit code is in the
// manual.
func TestManualIsComplete(t *testing.T) {
	text, err := os.ReadFile(manual)
	require.NoError(t, err)

	var visit func(command *cli.Command, path string)
	visit = func(command *cli.Command, path string) {
		require.Contains(t, string(text), "`"+path, path)
		for _, flag := range command.Flags {
			name := flag.Names()[0]
			require.Contains(t, string(text), "--"+name, path)
		}
		for _, child := range command.Commands {
			visit(child, path+" "+child.Name)
		}
	}
	root := testApp(nil, nil).command()
	visit(root, root.Name)

	for _, code := range []int{
		exitOK, exitFailure, exitUsage, exitBlocked, exitCancelled,
		exitNotFound, exitConnection, exitDetached,
	} {
		require.Contains(t, string(text),
			"\n| "+strconv.Itoa(code)+" |")
	}
}
