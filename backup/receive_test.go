package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReceiveDamaged checks that a file which was received before and is
// damaged now is not taken for the one that is sent again, and does not stand
// in its way.
func TestReceiveDamaged(t *testing.T) {
	store, _ := newStore(t, 1)
	data := seal(t, testContent(t, 3), testKeys(t, 1))
	path, err := store.Receive(data)
	require.NoError(t, err)

	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, data[1:], 0o600))
	for range 2 {
		again, err := store.Receive(data)
		require.NoError(t, err)
		require.NotEqual(t, path, again)
		stored, err := os.ReadFile(again)
		require.NoError(t, err)
		require.Equal(t, data, stored)
	}
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, data[1:], kept)
	require.Len(t, listed(t, filepath.Dir(path)), 2)
}

// TestReceiveBound checks that clients cannot fill the disk with files, by
// their number or by their size, that what is there already is no new file, and
// that nothing is deleted to make room.
func TestReceiveBound(t *testing.T) {
	for name, test := range map[string]struct{ count, size int }{
		"count": {maxReceived, 1},
		"bytes": {maxReceivedBytes / MaxFileSize, MaxFileSize},
	} {
		t.Run(name, func(t *testing.T) {
			store, places := newStore(t, 1)
			dir := filepath.Join(places[0], receivedName)
			first, err := store.Receive([]byte("first"))
			require.NoError(t, err)
			for i := range test.count - 1 {
				require.NoError(t, os.WriteFile(
					filepath.Join(dir, fmt.Sprint(i)),
					make([]byte, test.size), 0o600,
				))
			}

			large := make([]byte, test.size)
			_, err = store.Receive(large)
			require.ErrorIs(t, err, ErrReceivedFull)
			require.ErrorContains(t, err, dir)
			require.Len(t, listed(t, dir), test.count)

			again, err := store.Receive([]byte("first"))
			require.NoError(t, err)
			require.Equal(t, first, again)
		})
	}
}
