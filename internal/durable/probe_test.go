package durable_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/testkit/crash"
	"github.com/stretchr/testify/require"
)

// TestProbe checks that a probe promises what Publish does, on every kind of
// file system, and leaves nothing.
func TestProbe(t *testing.T) {
	for _, can := range []crash.Capability{
		0, crash.Links, crash.Renames, crash.Links | crash.Renames,
	} {
		for _, refusal := range refusals {
			disk := crash.New(can, "/d")
			disk.Refuse(refusal)
			found, err := durable.Probe(disk, "/d", "name")
			require.NoError(t, err)
			require.Empty(t, disk.Files())

			promise, err := durable.Publish(
				disk, "/d", "name", []byte("data"), 0o400,
			)
			require.NoError(t, err)
			require.Equal(t, promise, found)
		}
	}
}

// TestProbeFaults checks that a failing disk is not taken for a weak one, and
// that what a probe leaves on it, if anything, is left to Sweep.
func TestProbeFaults(t *testing.T) {
	const steps = 5
	for failing := range steps {
		disk := crash.New(crash.Links, "/d")
		disk.Fail(func(step int) error {
			if step == failing {
				return syscall.EIO
			}

			return nil
		})
		promise, _ := durable.Probe(disk, "/d", "name")
		require.Equal(t, durable.AllOrNothing, promise)
		for path := range disk.Files() {
			require.True(t, strings.HasPrefix(
				path, "/d/.looprecovery-"), path)
		}
	}
}
