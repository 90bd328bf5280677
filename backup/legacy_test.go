package backup

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/nacl/secretbox"
)

// sealOlder returns a file of the older format.
func sealOlder(t testing.TB, content *Content, keys Keys) []byte {
	t.Helper()

	data, err := SealLegacy(content, keys, rand.Reader)
	require.NoError(t, err)

	return data
}

// olderJSON returns what is in such a file.
func olderJSON(t testing.TB, content *Content, keys Keys) string {
	t.Helper()

	data := sealOlder(t, content, keys)
	nonce := [nonceSize]byte(data[len(legacyMagic):])
	plain, ok := secretbox.Open(
		nil, data[legacyHeaderSize:], &nonce, (*[32]byte)(&keys.Legacy),
	)
	require.True(t, ok)

	return string(plain)
}

// TestLegacyRoundTrip checks that users can move both ways: everything but the
// index survives, which the older format does not hold.
func TestLegacyRoundTrip(t *testing.T) {
	content, keys := testContent(t, 3), testKeys(t, 1)
	data := sealOlder(t, content, keys)
	require.Equal(t, Legacy, FormatOf(data))

	opened, err := Open(data, keys)
	require.NoError(t, err)
	require.True(t, opened.IndexUnknown)
	require.Zero(t, opened.Address.ClientLocator.Index)
	require.Equal(t, content.Address.FirstHeight,
		opened.Address.FirstHeight)

	opened.Address.ClientLocator.Index = content.Address.ClientLocator.Index
	opened.IndexUnknown = false
	require.True(t, content.SameGeneration(opened))

	// With the index found, it can be written in our own format.
	again, err := Open(seal(t, opened, keys), keys)
	require.NoError(t, err)
	require.True(t, content.SameGeneration(again))

	opened.IndexUnknown = true
	_, err = Seal(opened, keys, rand.Reader)
	require.Error(t, err)
	require.Equal(t, DoesNotOpen, verdictOf(t, data, testKeys(t, 2)))
}

// TestLegacyDamage checks every change of a single byte and every truncation of
// a file of the older format, which cannot tell damage from another seed.
func TestLegacyDamage(t *testing.T) {
	keys := testKeys(t, 1)
	data := sealOlder(t, testContent(t, 3), keys)

	for i := range data {
		want := DoesNotOpen
		if i < len(legacyMagic) {
			want = NotABackup
		}
		damaged := bytes.Clone(data)
		for delta := 1; delta < 256; delta++ {
			damaged[i] = data[i] ^ byte(delta)
			if got := verdictOf(t, damaged, keys); got != want {
				t.Fatalf("byte %d ^ %#x: %s", i, delta, got)
			}
		}

		if i >= len(legacyMagic) &&
			i < legacyHeaderSize+secretbox.Overhead {

			want = Corrupt
		}
		require.Equal(t, want, verdictOf(t, data[:i], keys))
	}
}

// TestLegacyStrict checks that contents which are not exactly what the format
// holds are refused: a restore from half-understood contents loses money.
func TestLegacyStrict(t *testing.T) {
	content, keys := testContent(t, 3), testKeys(t, 1)
	good := olderJSON(t, content, keys)

	replace := func(old, with string) string {
		require.Equal(t, 1, strings.Count(good, old), old)
		return strings.Replace(good, old, with, 1)
	}
	for _, test := range []struct {
		plain string
		want  Verdict
	}{
		{good, OK},
		{" " + strings.ReplaceAll(good, ",", " ,\n") + "\n", OK},
		{replace(`"version":1`, `"version":2`), NewerVersion},
		{replace(`"version":1`, `"version":0`), Incomplete},
		{replace(`"version":1`, `"version":1,"extra":1`), Incomplete},
		{replace(`"version":1`, `"version":1,"version":1`), Incomplete},
		{replace(`"version":1`, `"Version":1`), Incomplete},
		{replace(`"version":1`, `"version":1.0`), Incomplete},
		{replace(`"version":1,`, ``), Incomplete},
		{replace(`"expiry":14400`, `"expiry":0`), Incomplete},
		{replace(`"expiry":14400`, `"expiry":28801`), Incomplete},
		{replace(`"expiry":14400`, `"expiry":-1`), Incomplete},
		{replace(`"legacy_first_height":850000,`, ``), Incomplete},
		{replace(`"legacy_first_height":850000`,
			`"legacy_first_height":2147483648`), Incomplete},
		{replace(`"legacy_client_key_family":42060`,
			`"legacy_client_key_family":42061`), Incomplete},
		{replace(`"main_key_family":42061`,
			`"main_key_family":null`), Incomplete},
		{replace(`"regtest"`, `"othernet"`), Incomplete},
		{replace(`"name":"l402.token"`,
			`"name":"l402.token.pending"`), Incomplete},
		{replace(`"token_files":[`, `"token_files":[null,`),
			Incomplete},
		{replace(`"token_files":[`,
			`"token_files":[],"token_files":[`), Incomplete},
		{good + "{}", Incomplete},
		{good[:len(good)-1], Incomplete},
		{"", Incomplete},
		{"null", Incomplete},
		{"[]", Incomplete},
	} {
		data, err := sealLegacy([]byte(test.plain), keys, rand.Reader)
		require.NoError(t, err)
		require.Equal(t, test.want, verdictOf(t, data, keys),
			test.plain)
	}
}

// TestLegacyInStore checks that files of the older format are listed and judged
// like our own, and that one does not count as the backup of a generation: it
// lacks the index.
func TestLegacyInStore(t *testing.T) {
	store, places := newStore(t, 1)
	content, keys := testContent(t, 3), testKeys(t, 1)
	data := sealOlder(t, content, keys)
	name := LegacyFileName(content.TokenID, content.TokenCreated)
	path := filepath.Join(places[0], name)
	require.NoError(t, os.WriteFile(path, data, 0o600))

	entries, err := store.List(t.Context(), keys)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, OK, entries[0].Verdict)
	require.Equal(t, Legacy, entries[0].Format)
	require.Equal(t, content.TokenID, entries[0].TokenID)
	require.Equal(t, "regtest", entries[0].Network)

	report, err := store.Publish(t.Context(), content, keys)
	require.NoError(t, err)
	require.Equal(t, Written, report.Places[0].Status)
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, data, kept)

	elsewhere := NewStore(store.files, "mainnet", places)
	entry, err := elsewhere.Judge(path, keys)
	require.NoError(t, err)
	require.Equal(t, OtherNetwork, entry.Verdict)
	require.Nil(t, entry.Content)

	other := testContent(t, 4)
	lying := filepath.Join(
		places[0], LegacyFileName(other.TokenID, other.TokenCreated),
	)
	require.NoError(t, os.Rename(path, lying))
	entry, err = store.Judge(lying, keys)
	require.NoError(t, err)
	require.Equal(t, NameMismatch, entry.Verdict)
}
