package backup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/stretchr/testify/require"
)

// accept returns contents whose pair a person accepted.
func accept(content *Content) *Content {
	accepted := *content
	accepted.PairAccepted = true

	return &accepted
}

// elsewhere returns contents of the same token with another address.
func elsewhere(content *Content) *Content {
	other := *content
	_, other.Address.ClientKey = btcec.PrivKeyFromBytes([]byte{7})

	return &other
}

// TestAcceptedFile checks that a file says that a person accepted its pair, in
// a version that no older program takes for a proven one, and that only such a
// file has that version.
func TestAcceptedFile(t *testing.T) {
	proven, keys := testContent(t, 3), testKeys(t, 1)
	for version, content := range map[uint16]*Content{
		1: proven, 2: accept(proven),
	} {
		data := seal(t, content, keys)
		header, err := ReadHeader(data)
		require.NoError(t, err)
		require.Equal(t, version, header.Version)

		opened, err := Open(data, keys)
		require.NoError(t, err)
		require.Equal(t, content, opened)
	}

	// The older format would make a proven pair of it.
	_, err := SealLegacy(accept(proven), keys, nonces("x"))
	require.ErrorIs(t, err, ErrNotSayable)
}

// TestContradiction checks which of two backups of one token stands against the
// other: a person's word never against a proof.
func TestContradiction(t *testing.T) {
	proven := testContent(t, 3)
	other := elsewhere(proven)
	older := *proven
	older.IndexUnknown, older.Address.ClientLocator.Index = true, 0
	higher := *proven
	higher.Address.FirstHeight++

	for _, test := range []struct {
		what           string
		a, b           *Content
		aLoses, bLoses bool
	}{
		{"the same", proven, proven, false, false},
		{"one accepted", accept(proven), proven, false, false},
		{"another token", proven, testContent(t, 4), false, false},
		{"index not told", proven, &older, false, false},
		{"another height", proven, &higher, false, false},
		{"both proven", proven, other, true, true},
		{"both accepted", accept(proven), accept(other), true, true},
		{"proven and accepted", proven, accept(other), false, true},
		{"older format, another address", elsewhere(&older), proven,
			true, true},
	} {
		require.Equal(t, test.aLoses, test.a.ContradictedBy(test.b),
			test.what)
		require.Equal(t, test.bLoses, test.b.ContradictedBy(test.a),
			test.what)
	}
}

// TestPublishProof checks that a proof is published beside what a person
// accepted, in every place once it is known in one, and never the other way
// round.
func TestPublishProof(t *testing.T) {
	store, places := newStore(t, 2)
	proven, keys := testContent(t, 3), testKeys(t, 1)

	// Nothing is proven yet.
	first, err := store.Publish(t.Context(), accept(proven), keys)
	require.NoError(t, err)
	again, err := store.Publish(t.Context(), accept(proven), keys)
	require.NoError(t, err)
	require.Equal(t, AlreadyThere, again.Places[1].Status)

	// One place learns of a proof, then the other.
	one := NewStore(store.files, "regtest", places[:1])
	_, err = one.Publish(t.Context(), proven, keys)
	require.NoError(t, err)
	report, err := store.Publish(t.Context(), accept(proven), keys)
	require.NoError(t, err)
	for i, place := range report.Places {
		require.FileExists(t, first.Places[i].Path)
		entry, err := store.Judge(place.Path, keys)
		require.NoError(t, err)
		require.Equal(t, proven, entry.Content)
		require.Len(t, listed(t, places[i]), 2)
	}
}

// TestAcceptConflict checks that a person cannot accept a pair that a valid
// backup of the token contradicts, and that a proof can be published against
// it.
func TestAcceptConflict(t *testing.T) {
	content, keys := testContent(t, 3), testKeys(t, 1)
	other := elsewhere(content)
	for what, there := range map[string][]byte{
		"proven":   seal(t, other, keys),
		"accepted": seal(t, accept(other), keys),
		"older":    sealOlder(t, other, keys),
	} {
		store, places := newStore(t, 2)
		name := FileName(content.TokenID, content.TokenCreated)
		if what == "older" {
			name = LegacyFileName(
				content.TokenID, content.TokenCreated,
			)
		}
		path := filepath.Join(places[1], name)
		require.NoError(t, os.WriteFile(path, there, 0o600))

		_, err := store.Publish(t.Context(), accept(content), keys)
		var conflict *ConflictError
		require.ErrorAs(t, err, &conflict, what)
		require.Equal(t, path, conflict.Path)
		require.Empty(t, listed(t, places[0]))

		_, err = store.Publish(t.Context(), content, keys)
		require.NoError(t, err)
	}
}

// TestImportConflictOlder checks that a file of the older format is a truth
// that an import must not contradict, and that a copy of it does not.
func TestImportConflictOlder(t *testing.T) {
	store, places := newStore(t, 1)
	content, keys := testContent(t, 3), testKeys(t, 1)
	require.NoError(t, os.WriteFile(
		filepath.Join(places[0], LegacyFileName(
			content.TokenID, content.TokenCreated,
		)), sealOlder(t, content, keys), 0o600,
	))

	other := elsewhere(content)
	_, err := store.Import(
		t.Context(), seal(t, other, keys), other, keys,
	)
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)

	_, err = store.Import(
		t.Context(), seal(t, content, keys), content, keys,
	)
	require.NoError(t, err)
}
