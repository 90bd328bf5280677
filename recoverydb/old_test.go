package recoverydb

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// oldDir holds journals that an older version wrote; see its README.md.
const oldDir = "testdata/schema3"

// unpack writes a packed file, if there is one.
func unpack(t *testing.T, from, to string) {
	t.Helper()

	packed, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	require.NoError(t, err)
	defer packed.Close()
	reader, err := gzip.NewReader(packed)
	require.NoError(t, err)
	data, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, data, fileMode))
}

// TestOldJournals checks that who brings this version up to date finds
// everything as it was: nothing set aside, each run where it stood, and lnd's
// wallet as blind as it was and no blinder.
func TestOldJournals(t *testing.T) {
	wanted, err := filepath.Glob(filepath.Join(oldDir, "*.txt"))
	require.NoError(t, err)
	require.Greater(t, len(wanted), 15)

	for _, file := range wanted {
		name := strings.TrimSuffix(file, ".txt")
		if strings.HasSuffix(name, ".go") {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "recovery.db")
			for _, suffix := range []string{"", logSuffix} {
				unpack(t, name+".db"+suffix+".gz", path+suffix)
			}

			for range 2 {
				db, err := Open(path)
				require.NoError(t, err)
				require.Equal(t, Report{}, db.Report())
				require.Equal(t, string(text), describe(t, db))
				snapshot, err := db.Ledger().Load(t.Context())
				require.NoError(t, err)
				require.False(t, snapshot.Unproven)
				require.NoError(t, db.Close())
			}
		})
	}
}
