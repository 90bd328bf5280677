package backup

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestImport checks that an imported file is kept as it is in every place, that
// one which is there is not written again, and that a file of the older format
// becomes one of ours.
func TestImport(t *testing.T) {
	store, places := newStore(t, 2)
	content, keys := testContent(t, 3), testKeys(t, 1)
	data, err := Seal(content, keys, rand.Reader)
	require.NoError(t, err)

	for _, status := range []Status{Written, AlreadyThere} {
		report, err := store.Import(t.Context(), data, content, keys)
		require.NoError(t, err)
		for i, place := range report.Places {
			require.Equal(t, status, place.Status)
			require.Len(t, listed(t, places[i]), 1)
			kept, err := os.ReadFile(place.Path)
			require.NoError(t, err)
			require.Equal(t, data, kept)
		}
	}

	store, _ = newStore(t, 1)
	older, err := SealLegacy(content, keys, rand.Reader)
	require.NoError(t, err)
	report, err := store.Import(t.Context(), older, content, keys)
	require.NoError(t, err)
	entry, err := store.Judge(report.Places[0].Path, keys)
	require.NoError(t, err)
	require.Equal(t, Native, entry.Format)
	require.Equal(t, content, entry.Content)
}

// TestImportConflict checks that a second truth about one token is not taken
// in, whichever place holds the first one.
func TestImportConflict(t *testing.T) {
	store, places := newStore(t, 2)
	content, keys := testContent(t, 3), testKeys(t, 1)
	report, err := store.Publish(t.Context(), content, keys)
	require.NoError(t, err)
	require.NoError(t, os.Remove(report.Places[0].Path))

	other := *content
	other.Address.Expiry++
	data, err := Seal(&other, keys, rand.Reader)
	require.NoError(t, err)
	_, err = store.Import(t.Context(), data, &other, keys)
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, report.Places[1].Path, conflict.Path)
	require.Empty(t, listed(t, places[0]))
	require.Len(t, listed(t, places[1]), 1)
}

// TestExport checks that a file is exported as it is in its own format, and
// that each format leads to the other and back.
func TestExport(t *testing.T) {
	store, _ := newStore(t, 1)
	content, keys := testContent(t, 3), testKeys(t, 1)
	report, err := store.Publish(t.Context(), content, keys)
	require.NoError(t, err)
	entry, err := store.Judge(report.Places[0].Path, keys)
	require.NoError(t, err)

	name, data, err := store.Export(entry, Native, keys)
	require.NoError(t, err)
	require.Equal(t, filepath.Base(entry.Path), name)
	kept, err := os.ReadFile(entry.Path)
	require.NoError(t, err)
	require.Equal(t, kept, data)

	name, data, err = store.Export(entry, Legacy, keys)
	require.NoError(t, err)
	older, err := store.JudgeBytes(name, data, keys)
	require.NoError(t, err)
	require.Equal(t, OK, older.Verdict, older.Detail)
	require.Equal(t, Legacy, older.Format)
	require.Equal(t, content.Token, older.Content.Token)

	// Without the index of the key there is no way back.
	_, _, err = store.Export(older, Native, keys)
	require.Error(t, err)
	older.Content.Address.ClientLocator = content.Address.ClientLocator
	older.Content.IndexUnknown = false
	name, data, err = store.Export(older, Native, keys)
	require.NoError(t, err)
	back, err := store.JudgeBytes(name, data, keys)
	require.NoError(t, err)
	require.Equal(t, OK, back.Verdict, back.Detail)
	require.Equal(t, content, back.Content)

	// A file that changes meanwhile is not passed on.
	require.NoError(t, os.Chmod(entry.Path, 0o600))
	require.NoError(t, os.WriteFile(entry.Path, []byte("x"), 0o600))
	_, _, err = store.Export(entry, Native, keys)
	require.Error(t, err)
}

// TestJudgeBytes checks that a name only counts if it claims to be a backup's,
// and that no file is too large to be judged.
func TestJudgeBytes(t *testing.T) {
	store, _ := newStore(t, 1)
	content, keys := testContent(t, 3), testKeys(t, 1)
	data, err := Seal(content, keys, rand.Reader)
	require.NoError(t, err)

	right := FileName(content.TokenID, content.TokenCreated)
	wrong := FileName([32]byte{1}, content.TokenCreated)
	for name, verdict := range map[string]Verdict{
		"": OK, "from the safe": OK, right: OK, wrong: NameMismatch,
		LegacyFileName(
			content.TokenID, content.TokenCreated,
		): NameMismatch,
	} {
		entry, err := store.JudgeBytes(name, data, keys)
		require.NoError(t, err)
		require.Equal(t, verdict, entry.Verdict, name)
	}

	entry, err := store.JudgeBytes(
		right, make([]byte, MaxFileSize+1), keys,
	)
	require.NoError(t, err)
	require.Equal(t, NotABackup, entry.Verdict)
}
