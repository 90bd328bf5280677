package durable_test

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/testkit/crash"
	"github.com/stretchr/testify/require"
)

// abilities are the kinds of file systems that a file is published on.
var abilities = map[string]crash.Capability{
	"rename":         crash.Renames,
	"link":           crash.Links,
	"rename or link": crash.Renames | crash.Links,
}

// TestPublishFaults checks that a disk that fails at any step leaves either
// nothing under the name or all of it, and that success is never claimed of a
// file that is not there.
func TestPublishFaults(t *testing.T) {
	for name, can := range abilities {
		for _, cause := range []error{
			syscall.ENOSPC, syscall.EIO, syscall.EROFS,
		} {
			t.Run(name+" "+cause.Error(), func(t *testing.T) {
				publishFaults(t, can, cause)
			})
		}
	}
}

// publishFaults makes the n-th change fail and all after it, for every n.
func publishFaults(t *testing.T, can crash.Capability, cause error) {
	failures := 0
	for first := 0; ; first++ {
		failed := false
		disk := crash.New(can, "/d")
		disk.Fail(func(step int) error {
			if step < first {
				return nil
			}
			failed = true

			return cause
		})
		_, err := durable.Publish(
			disk, "/d", "name", []byte("data"), 0o400,
		)
		if !failed {
			require.NoError(t, err)
			break
		}

		// Removing the temporary name is no part of the promise.
		data, there := disk.Files()["/d/name"]
		if err == nil {
			require.True(t, there)
		} else {
			failures++
			require.ErrorIs(t, err, cause)
		}
		if there {
			require.Equal(t, "data", string(data))
		}
	}

	// Create, write, chmod, sync, rename or link, sync of the directory.
	require.GreaterOrEqual(t, failures, 6)
}

// refusals are the ways in which real file systems say that they have neither
// hard links nor a rename that refuses to replace.
var refusals = []error{
	syscall.ENOSYS, syscall.ENOTSUP, syscall.EINVAL, syscall.EPERM,
}

// TestPublishTorn checks that a file system which has neither gets its file all
// the same, that nothing is replaced there, and that the weaker promise is
// said.
func TestPublishTorn(t *testing.T) {
	for _, refusal := range refusals {
		disk := crash.New(0, "/d")
		disk.Refuse(refusal)
		for _, want := range []error{nil, fs.ErrExist} {
			promise, err := durable.Publish(
				disk, "/d", "name", []byte("data"), 0o400,
			)
			require.ErrorIs(t, err, want)
			require.Equal(t, durable.MaybeTorn, promise)
		}
		require.Equal(t, map[string][]byte{
			"/d/name": []byte("data"),
		}, disk.Files())
		for cut := range disk.Cuts() {
			require.Equal(t, "data",
				string(cut.Files()["/d/name"]))
		}
	}
}

// TestPublishTornFaults checks that no failing disk makes such a file system
// claim a file that is not there, or lose one that was.
func TestPublishTornFaults(t *testing.T) {
	for first := 0; ; first++ {
		failed := false
		disk := crash.New(0, "/d")
		disk.Fail(func(step int) error {
			failed = failed || step == first
			if step == first {
				return syscall.EIO
			}

			return nil
		})
		promise, err := durable.Publish(
			disk, "/d", "name", []byte("data"), 0o400,
		)
		if err == nil {
			require.Equal(t, durable.MaybeTorn, promise)
			require.Equal(
				t, "data", string(disk.Files()["/d/name"]),
			)
		}
		if !failed {
			require.NoError(t, err)
			break
		}
	}
}

// TestMoveCopies checks that a file can be moved where it cannot be renamed,
// and that it is there at every step and after every power cut.
func TestMoveCopies(t *testing.T) {
	for _, refusal := range refusals {
		disk := crash.New(0, "/d", "/e")
		disk.Refuse(refusal)
		require.NoError(t, disk.Put("/d/a", []byte("x")))
		disk.Watch(func() {
			for cut := range disk.Cuts() {
				files := cut.Files()
				whole := string(files["/d/a"]) == "x" ||
					string(files["/e/b"]) == "x"
				require.True(t, whole, files)
			}
		})
		require.NoError(t, durable.Move(disk, "/d/a", "/e/b"))
		require.Equal(t, map[string][]byte{"/e/b": []byte("x")},
			disk.Files())
	}
}

// TestMoveFaults checks that a file keeps a name at every step, and after every
// power cut.
func TestMoveFaults(t *testing.T) {
	for first := 0; ; first++ {
		failed := false
		disk := crash.New(crash.Renames|crash.Links, "/d", "/e")
		require.NoError(t, disk.Put("/d/a", []byte("x")))
		disk.Fail(func(step int) error {
			if step < first {
				return nil
			}
			failed = true

			return syscall.EIO
		})
		err := durable.Move(disk, "/d/a", "/e/b")
		require.Equal(t, failed, err != nil)
		for cut := range disk.Cuts() {
			require.NotEmpty(t, cut.Files())
		}
		if !failed {
			require.NotContains(t, disk.Files(), "/d/a")
			break
		}
	}
}

// TestSweep checks which unfinished files go: a copy of what is in place, and
// what is of no use. The only file that holds something is never touched.
func TestSweep(t *testing.T) {
	const temp = "/d/.looprecovery-0123456789abcdef-"
	disk := crash.New(crash.Links, "/d")
	for name, data := range map[string]string{
		"/d/name":       "keep",
		temp + "name":   "keep",
		temp + "other":  "keep",
		temp + "broken": "bro",
		temp + "theirs": "bro",
		"/d/broken-not": "bro",
	} {
		require.NoError(t, disk.Put(name, []byte(data)))
	}

	require.NoError(t, durable.Sweep(disk, "/d", durable.Leftovers{
		Owns:  func(final string) bool { return final != "theirs" },
		Keep:  func(data []byte) bool { return string(data) == "keep" },
		Limit: 10,
	}))
	files := disk.Files()
	require.Len(t, files, 4)
	for _, name := range []string{
		"/d/name", temp + "other", temp + "theirs", "/d/broken-not",
	} {
		require.Contains(t, files, name)
	}
}
