package itest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/internal/regtest"
	"github.com/stretchr/testify/require"
)

const (
	// binDir holds the programs; LOOP_ITEST_BIN overrides it.
	binDir = "../bin"

	// logRoot takes one directory of logs for each failed story.
	logRoot = "../.cache/itest"
)

// programs is where the programs are, as an absolute path.
var programs string

// TestMain checks that the programs are there.
func TestMain(m *testing.M) {
	if err := findPrograms(); err != nil {
		fmt.Fprintln(os.Stderr, "itest:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// findPrograms sets programs and checks that all are there.
func findPrograms() error {
	dir := os.Getenv("LOOP_ITEST_BIN")
	if dir == "" {
		dir = binDir
	}
	var err error
	if programs, err = filepath.Abs(dir); err != nil {
		return err
	}

	return regtest.CheckBinaries(programs, regtest.Binaries...)
}

// story is what a test of this package works with.
type story struct {
	*testing.T
	*regtest.Network
}

// newStory starts a network that is stopped when the test ends. Its logs are
// kept if the test fails or if KEEP_LOGS is set.
func newStory(t *testing.T, config regtest.Config) *story {
	t.Helper()

	logDir, err := filepath.Abs(filepath.Join(logRoot, t.Name()))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(logDir))
	t.Cleanup(func() {
		if t.Failed() || os.Getenv("KEEP_LOGS") != "" {
			t.Logf("the logs are in %s", logDir)

			return
		}
		_ = os.RemoveAll(logDir)
	})

	config.BinDir = programs
	config.BaseDir, config.LogDir = t.TempDir(), logDir
	network, err := regtest.NewNetwork(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, network.Stop())
	})

	return &story{T: t, Network: network}
}
