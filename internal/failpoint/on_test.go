//go:build failpoint

package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// childVariable makes the test binary act as the process that is to die.
const childVariable = "FAILPOINT_TEST_CHILD"

// TestMain runs the child's part if this is the child.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		Hit(RecreateAddressAfterRow)
		HitIntent(states.Decrypt)
		os.Exit(7)
	}

	os.Exit(m.Run())
}

// runChild runs the child with the given point armed and returns how it ended.
func runChild(t *testing.T, point string) syscall.WaitStatus {
	t.Helper()

	child := exec.Command(os.Args[0])
	child.Env = append(
		os.Environ(), childVariable+"=1", Variable+"="+point,
	)
	err := child.Run()
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "%v", err)

	return exit.Sys().(syscall.WaitStatus)
}

// TestDies checks that the process dies by SIGKILL at the point that is named,
// and only there.
func TestDies(t *testing.T) {
	for _, point := range []string{
		RecreateAddressAfterRow, Intent(states.Decrypt),
	} {
		require.Equal(t, syscall.SIGKILL, runChild(t, point).Signal())
	}

	require.Equal(t, 7, runChild(t, Outcome(states.Decrypt)).ExitStatus())
	require.Equal(t, 7, runChild(t, "").ExitStatus())
}

// TestMisspeltPoint checks that a name that is not declared ends the process at
// its start.
func TestMisspeltPoint(t *testing.T) {
	require.Equal(t, 2, runChild(t, "decrypt.itent").ExitStatus())
}

// TestSetForTest checks that a hook sees the names and can be taken back.
func TestSetForTest(t *testing.T) {
	var seen []string
	restore := SetForTest(func(name string) { seen = append(seen, name) })
	HitOutcome(states.ScanDeposits)
	restore()
	Hit(ImportTokenAfterLink)

	require.True(t, slices.Equal(seen, []string{"scandeposits.outcome"}))
}
