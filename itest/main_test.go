package itest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
)

const (
	// binDir holds the programs; LOOP_ITEST_BIN overrides it.
	binDir = "../bin"

	// logRoot takes one directory of logs for each failed story.
	logRoot = "../.cache/itest"

	// keepLogsVariable keeps the logs of all stories.
	keepLogsVariable = "KEEP_LOGS"
)

// The places of a whole run, as absolute paths.
var (
	// programs is where the programs are.
	programs string

	// worldRoot holds the directories of the worlds.
	worldRoot string

	// scratchRoot holds what the stories themselves keep for a while.
	scratchRoot string

	// tempRoot is the directory of temporary files of every program: none
	// of them may leave a secret there.
	tempRoot string

	// openRoot is the system's directory of temporary files. Servers that
	// run as another user are there: all of the above is closed to them.
	openRoot = os.TempDir()
)

// TestMain checks that the programs are there, and ends every process at the
// end.
func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "itest:", err)
		code = 1
	}
	os.Exit(code)
}

// run prepares the places, runs the stories and cleans up.
func run(m *testing.M) (int, error) {
	if err := findPrograms(); err != nil {
		return 1, err
	}
	root, err := os.MkdirTemp("", "loop-itest-*")
	if err != nil {
		return 1, err
	}
	worldRoot = filepath.Join(root, "worlds")
	scratchRoot = filepath.Join(root, "scratch")
	tempRoot = filepath.Join(root, "tmp")
	for _, dir := range []string{worldRoot, scratchRoot, tempRoot} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return 1, err
		}
	}
	if err := os.Setenv("TMPDIR", tempRoot); err != nil {
		return 1, err
	}

	code := m.Run()
	for _, line := range []string{crashed, troubled, moved} {
		if code == 0 && line != "" {
			defer fmt.Println(line)
		}
	}

	return code, errors.Join(stopWorlds(), os.RemoveAll(root))
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
