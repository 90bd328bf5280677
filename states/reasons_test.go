package states

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// declared returns the values of all constants of type Reason in the source:
// the list cannot be had from the running program.
func declared(t *testing.T) []Reason {
	t.Helper()

	file, err := parser.ParseFile(
		token.NewFileSet(), "reasons.go", nil, 0,
	)
	require.NoError(t, err)

	var reasons []Reason
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name, ok := spec.Type.(*ast.Ident)
		if !ok || name.Name != "Reason" {
			return true
		}
		literal := spec.Values[0].(*ast.BasicLit)
		value, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		reasons = append(reasons, Reason(value))

		return true
	})
	require.NotEmpty(t, reasons)

	return reasons
}

// TestEveryReasonIsExplained checks that a person is told three things about
// every reason, and that no explanation is left of a reason that went.
func TestEveryReasonIsExplained(t *testing.T) {
	reasons := declared(t)
	code := regexp.MustCompile(`^[A-Z]+(_[A-Z]+)*$`)
	for _, reason := range reasons {
		explanation, ok := explanations[reason]
		require.True(t, ok, "%s is not explained", reason)
		require.Regexp(t, `^\S.*\.$`, explanation.Sentence)
		require.Regexp(t, `^\S.*\.$`, explanation.Untouched)
		require.Regexp(t, `^\S.*[^. ]$`, explanation.Next)
		require.Regexp(t, code, string(reason))
		require.Equal(t, explanation, Explain(reason))
	}

	slices.Sort(reasons)
	require.Len(t, slices.Compact(reasons), len(explanations))
	known := Reasons()
	slices.Sort(known)
	require.Equal(t, reasons, known)
}

// TestWithoutRun checks that only known reasons have a next step of their own
// where no recovery waits, that it differs, and that the rest is the same.
func TestWithoutRun(t *testing.T) {
	for reason, next := range nextWithoutRun {
		explained := Explain(reason)
		require.Contains(t, explanations, reason)
		require.NotEqual(t, explained.Next, next, reason)
		require.Regexp(t, `^\S.*[^. ]$`, next)

		explained.Next = next
		require.Equal(t, explained, ExplainWithoutRun(reason))
	}
}

// TestUnknownReason checks what an older command line says of a reason that it
// does not know.
func TestUnknownReason(t *testing.T) {
	explanation := Explain("MADE_LATER")
	require.Contains(t, explanation.Sentence, "MADE_LATER")
	require.NotEmpty(t, explanation.Untouched)
	require.NotEmpty(t, explanation.Next)
}

// TestCommands checks how the commands are told from the rest of a next step.
func TestCommands(t *testing.T) {
	for next, commands := range map[string][]string{
		"loop recover status": {"loop recover status"},
		"wait, then: loop recover resume": {
			"loop recover resume",
		},
		"start anew: loop recover cancel && loop recover": {
			"loop recover cancel", "loop recover",
		},
		"lncli unlock":                       {"lncli unlock"},
		"start lnd; loopd goes on by itself": nil,
		"point loopd at the right lnd":       nil,
		"first: loop a && wait":              nil,
	} {
		explanation := Explanation{Next: next}
		require.Equal(t, commands, explanation.Commands(), next)
	}
}

// TestEveryCommandIsFound checks that no next step hides a command in a
// sentence, where no test would type it.
func TestEveryCommandIsFound(t *testing.T) {
	hidden := regexp.MustCompile(`\b(loop|lncli) `)
	check := func(code string, explanation Explanation) {
		prose, _, _ := strings.Cut(
			explanation.Next,
			strings.Join(explanation.Commands(), " && "),
		)
		if len(explanation.Commands()) == 0 {
			prose = explanation.Next
		}
		require.False(t, hidden.MatchString(prose), "%s: %s", code,
			explanation.Next)
	}
	for reason, explanation := range explanations {
		check(string(reason), explanation)
		check(string(reason), ExplainWithoutRun(reason))
	}
	for warning, explanation := range warnings {
		check(string(warning), explanation)
	}
}
