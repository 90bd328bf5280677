package backup

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/stretchr/testify/require"
)

// listed returns the names in a directory.
func listed(t *testing.T, dir string) []string {
	t.Helper()

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}

	return names
}

// TestPublishCopies checks that all places hold the same bytes, so that a user
// can compare them, and that a place which lost its copy gets it back.
func TestPublishCopies(t *testing.T) {
	store, places := newStore(t, 3)
	content, keys := testContent(t, 3), testKeys(t, 1)

	report, err := store.Publish(t.Context(), content, keys)
	require.NoError(t, err)
	first, err := os.ReadFile(report.Places[0].Path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(report.Places[0].Path))
	require.NoError(t, os.Remove(report.Places[2].Path))

	report, err = store.Publish(t.Context(), content, keys)
	require.NoError(t, err)
	require.Equal(t, Written, report.Places[0].Status)
	require.Equal(t, AlreadyThere, report.Places[1].Status)
	require.Equal(t, Written, report.Places[2].Status)
	for i, place := range report.Places {
		data, err := os.ReadFile(place.Path)
		require.NoError(t, err)
		require.Equal(t, first, data)
		require.Len(t, listed(t, places[i]), 1)

		info, err := os.Stat(place.Path)
		require.NoError(t, err)
		require.EqualValues(t, filePerm, info.Mode().Perm())
	}
}

// TestPublishConcurrently checks that writers at the same time make one file.
func TestPublishConcurrently(t *testing.T) {
	store, places := newStore(t, 2)
	content, keys := testContent(t, 3), testKeys(t, 1)

	var writers sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		writers.Go(func() {
			_, errs[i] = store.Publish(t.Context(), content, keys)
		})
	}
	writers.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	for _, place := range places {
		require.Len(t, listed(t, place), 1)
	}
}

// TestPublishInTheWay checks that whatever has the backup's name is left, that
// the user is told of it, and that the backup is found beside it again.
func TestPublishInTheWay(t *testing.T) {
	content, keys := testContent(t, 3), testKeys(t, 1)
	good := seal(t, content, keys)

	// Another address of the same token is another generation.
	other := testContent(t, 3)
	_, other.Address.ClientKey = btcec.PrivKeyFromBytes([]byte{7})

	for name, obstacle := range map[string][]byte{
		"empty":           nil,
		"damaged":         good[:len(good)-1],
		"another seed":    seal(t, content, testKeys(t, 2)),
		"another address": seal(t, other, keys),
		"another token":   seal(t, testContent(t, 4), keys),
		"older format":    sealOlder(t, content, keys),
		"too large":       make([]byte, MaxFileSize+1),
	} {
		t.Run(name, func(t *testing.T) {
			store, places := newStore(t, 1)
			path := filepath.Join(places[0], FileName(
				content.TokenID, content.TokenCreated,
			))
			require.NoError(t, os.WriteFile(path, obstacle, 0o600))

			report, err := store.Publish(
				t.Context(), content, keys,
			)
			require.NoError(t, err)
			require.Equal(t, []string{path},
				report.Places[0].InTheWay)
			kept, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, len(obstacle), len(kept))

			again, err := store.Publish(t.Context(), content, keys)
			require.NoError(t, err)
			require.Equal(t, AlreadyThere, again.Places[0].Status)
			require.Equal(t, report.Places[0].Path,
				again.Places[0].Path)
		})
	}
}

// TestPublishCrowded checks that there is an end to looking for a free name,
// and that it is said.
func TestPublishCrowded(t *testing.T) {
	store, places := newStore(t, 1)
	content, keys := testContent(t, 3), testKeys(t, 1)
	for number := range maxCopies + 1 {
		name := fileName(content.TokenID, content.TokenCreated, number)
		require.NoError(t, os.WriteFile(
			filepath.Join(places[0], name), nil, 0o600,
		))
	}

	report, err := store.Publish(t.Context(), content, keys)
	require.ErrorContains(t, err, places[0])
	require.Equal(t, Failed, report.Places[0].Status)
	require.Len(t, listed(t, places[0]), maxCopies+1)
}

// brokenFile is a file system on which one file cannot be read.
type brokenFile struct {
	durable.FS

	path string
}

// Open implements durable.FS.
func (b *brokenFile) Open(path string) (durable.Handle, error) {
	if path == b.path {
		return nil, syscall.EIO
	}

	return b.FS.Open(path)
}

// TestUnreadableFile checks that one file on a bad sector hides neither the
// others nor keeps a backup from being written.
func TestUnreadableFile(t *testing.T) {
	content, keys := testContent(t, 3), testKeys(t, 1)
	dir := t.TempDir()
	path := filepath.Join(dir, FileName(
		content.TokenID, content.TokenCreated,
	))
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	store := NewStore(
		&brokenFile{FS: durable.OS(), path: path}, "regtest",
		[]string{dir},
	)

	report, err := store.Publish(t.Context(), content, keys)
	require.NoError(t, err)
	require.Equal(t, Written, report.Places[0].Status)
	require.Equal(t, []string{path}, report.Places[0].InTheWay)

	entries, err := store.List(t.Context(), keys)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	verdicts := map[string]Verdict{}
	for _, entry := range entries {
		verdicts[entry.Path] = entry.Verdict
	}
	require.Equal(t, map[string]Verdict{
		path: Unreadable, report.Places[0].Path: OK,
	}, verdicts)
}
