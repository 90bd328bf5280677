//go:build unix

package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/testkit/crash"
	"github.com/stretchr/testify/require"
)

// nameOf returns the name of a backup that is only a name.
func nameOf(i int) string {
	return FileName([32]byte{9}, time.Unix(0, int64(i)))
}

// TestListSpecial checks that whoever may write to a shared place cannot keep
// us from finding the backup in it, with whatever has a backup's name: each is
// a verdict of its own.
func TestListSpecial(t *testing.T) {
	store, places := newStore(t, 1)
	content, keys := testContent(t, 3), testKeys(t, 1)
	report, err := store.Publish(t.Context(), content, keys)
	require.NoError(t, err)

	at := func(i int) string { return filepath.Join(places[0], nameOf(i)) }
	require.NoError(t, syscall.Mkfifo(at(1), 0o666))
	require.NoError(t, os.Mkdir(at(2), 0o700))
	require.NoError(t, os.Symlink(at(3), at(3)))
	require.NoError(t, os.Symlink(report.Places[0].Path, at(4)))
	require.NoError(t, os.WriteFile(at(5), make([]byte, MaxFileSize+1),
		0o600))

	entries, err := store.List(t.Context(), keys)
	require.NoError(t, err)
	details := map[string]string{}
	for _, entry := range entries {
		if entry.Verdict == OK {
			require.Equal(t, report.Places[0].Path, entry.Path)
			continue
		}
		require.Equal(t, NotABackup, entry.Verdict)
		details[entry.Path] = entry.Detail
	}
	require.Equal(t, map[string]string{
		at(1): "named pipe", at(2): "directory",
		at(3): "symbolic link", at(4): "symbolic link",
		at(5): fmt.Sprintf("%d bytes", MaxFileSize+1),
	}, details)
}

// TestPublishPastSpecial checks that a named pipe with the backup's own name
// makes nobody wait, and stays.
func TestPublishPastSpecial(t *testing.T) {
	store, places := newStore(t, 1)
	content, keys := testContent(t, 3), testKeys(t, 1)
	path := filepath.Join(places[0], FileName(
		content.TokenID, content.TokenCreated,
	))
	require.NoError(t, syscall.Mkfifo(path, 0o666))

	report, err := store.Publish(t.Context(), content, keys)
	require.NoError(t, err)
	require.Equal(t, []string{path}, report.Places[0].InTheWay)
	require.Len(t, listed(t, places[0]), 2)
}

// TestListCrowded checks that a place which others fill does not keep us busy,
// that this is said once, and that a backup is found all the same.
func TestListCrowded(t *testing.T) {
	content, keys := testContent(t, 3), testKeys(t, 1)
	name := FileName(content.TokenID, content.TokenCreated)
	good := seal(t, content, keys)

	for what, test := range map[string]struct {
		count, size int
		name        func(int) string
		crowded     bool
	}{
		"foreign names": {10_000, MaxFileSize, func(i int) string {
			return fmt.Sprint(i)
		}, false},
		"large files": {
			maxListed/MaxFileSize + 1, MaxFileSize, nameOf, true,
		},
		"many files": {maxEntries + 1, len(good) + 1, nameOf, true},
		"too large to be read": {
			100, MaxFileSize + 1, nameOf, false,
		},
	} {
		t.Run(what, func(t *testing.T) {
			disk := crash.New(crash.Links, "/place")
			data := make([]byte, test.size)
			for i := range test.count {
				require.NoError(t, disk.PutShared(
					"/place/"+test.name(i), data,
				))
			}
			require.NoError(t, disk.Put("/place/"+name, good))
			reads := &readCounter{FS: disk}
			store := NewStore(reads, "regtest", []string{"/place"})

			entries, err := store.List(t.Context(), keys)
			if test.crowded {
				var place *PlaceError
				require.ErrorAs(t, err, &place)
				require.ErrorIs(t, err, ErrCrowded)
			} else {
				require.NoError(t, err)
			}
			require.LessOrEqual(t, reads.opened, maxEntries)
			require.LessOrEqual(t, reads.read, int64(maxListed))

			valid := 0
			for _, entry := range entries {
				if entry.Verdict == OK {
					valid++
				}
			}
			require.Equal(t, 1, valid)
		})
	}
}

// readCounter counts what is read of a file system.
type readCounter struct {
	durable.FS

	opened int
	read   int64
}

// Open implements durable.FS.
func (r *readCounter) Open(path string) (durable.Handle, error) {
	r.opened++
	file, err := r.FS.Open(path)
	if err != nil {
		return nil, err
	}

	return &countedHandle{Handle: file, counter: r}, nil
}

// countedHandle is a file of a readCounter.
type countedHandle struct {
	durable.Handle

	counter *readCounter
}

// Read implements durable.Handle.
func (h *countedHandle) Read(into []byte) (int, error) {
	count, err := h.Handle.Read(into)
	h.counter.read += int64(count)

	return count, err
}
