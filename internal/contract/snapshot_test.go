package contract

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// update writes the lists in testdata anew.
var update = flag.Bool("update", false, "write testdata anew")

// requireSnapshot compares lines with a list in testdata. Its first lines, that
// begin with "#", say what it is for.
func requireSnapshot(t *testing.T, name string, about string,
	lines []string) {

	t.Helper()

	var text strings.Builder
	for line := range strings.Lines(strings.TrimSpace(about) + "\n") {
		text.WriteString("# " + strings.TrimSpace(line) + "\n")
	}
	for _, line := range lines {
		text.WriteString(line + "\n")
	}

	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(
			path, []byte(text.String()), 0o644,
		))
	}

	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String(), "upstream changed: read "+
		"the difference, then -update")
}
