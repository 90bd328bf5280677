package itest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

// copyFile keeps a copy of a file of the data directory, for putBack.
func copyFile(p *patient, name string) {
	p.Helper()

	data, err := os.ReadFile(p.path(name))
	require.NoError(p, err)
	require.NoError(p, os.WriteFile(
		filepath.Join(p.aside, name), data, 0o600,
	))
}

// eventually waits until a check passes.
func eventually(p *patient, what string, check func() error) error {
	return regtest.Eventually(p.Context(), what, mendTime,
		func(context.Context) error { return check() })
}

// join and split make one line of words, and words of one line.
func join(words []string) string { return strings.Join(words, " ") }

// split undoes join.
func split(line string) []string { return strings.Fields(line) }

// zeros returns so many of them.
func zeros(n int) string {
	return strings.Repeat("0", n)
}

// number names a file of somebody else's.
func number(i int) string {
	return fmt.Sprintf("photo-%05d.jpg", i)
}

// sparse makes a file of a size that takes no room.
func sparse(p *patient, path string, size int64) {
	p.Helper()

	file, err := os.Create(path)
	require.NoError(p, err)
	require.NoError(p, file.Truncate(size))
	require.NoError(p, file.Close())
}
