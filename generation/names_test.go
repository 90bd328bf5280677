package generation

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/lightninglabs/aperture/l402"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/stretchr/testify/require"
)

// tokenNames are the names that upstream looks at when it starts.
var tokenNames = []string{
	tokenName, oldTokenName, pendingName, oldPendingName,
}

// TestProbeIsUpstreams holds Probe to aperture's store, for every arrangement
// of files under its names: what we see before a start is what upstream finds
// in it. Otherwise another generation would be restored over a paid token.
func TestProbeIsUpstreams(t *testing.T) {
	const kinds = 4

	contents := func(kind, seed int) []byte {
		return [][]byte{
			1: makeToken(t, byte(seed+1), true),
			2: makeToken(t, byte(seed+1), false),
			3: {},
		}[kind]
	}
	for arrangement := range kinds * kinds * kinds * kinds {
		dir := t.TempDir()
		rest := arrangement
		for i, name := range tokenNames {
			kind := rest % kinds
			rest /= kinds
			if kind == 0 {
				continue
			}
			require.NoError(t, os.WriteFile(
				filepath.Join(dir, name), contents(kind, i),
				0o600,
			))
		}

		probe, err := NewFiles(durable.OS(), dir).Probe()
		require.NoError(t, err)
		store, err := l402.NewFileStore(dir)
		require.NoError(t, err)
		found, err := store.CurrentToken()
		requireSame(t, probe, found, err)
	}
}

// requireSame compares what was probed with what upstream found.
func requireSame(t *testing.T, probe TokenProbe, found *l402.Token, err error) {
	t.Helper()

	switch {
	case errors.Is(err, l402.ErrNoToken):
		require.Equal(t, TokenAbsent, probe.Status)
		return

	// A pending token that does not parse is one all the same.
	case err != nil:
		require.Contains(t, []TokenStatus{
			TokenUnreadable, TokenPending,
		}, probe.Status)
		require.Zero(t, probe.Token)

		return

	// It takes a paid token for a paid one under the pending name, too.
	// We say pending there: its next payment decides.
	case found.Preimage != (lntypes.Preimage{}):
		require.Contains(t, []TokenStatus{TokenPaid, TokenPending},
			probe.Status)

	default:
		require.Equal(t, TokenPending, probe.Status)
	}

	id, err := l402.DecodeIdentifier(
		bytes.NewReader(found.BaseMacaroon().Id()),
	)
	require.NoError(t, err)
	require.EqualValues(t, id.TokenID, probe.Token.ID)
}

// TestOldNames checks that a paid token under upstream's old name is neither
// taken for none nor written beside, and that one which does not parse is set
// aside as any other.
func TestOldNames(t *testing.T) {
	dir := t.TempDir()
	files := NewFiles(durable.OS(), dir)
	old := filepath.Join(dir, oldTokenName)
	token := makeToken(t, 1, true)
	require.NoError(t, os.WriteFile(old, token, 0o600))

	probe, err := files.Probe()
	require.NoError(t, err)
	require.Equal(t, TokenPaid, probe.Status)
	require.Equal(t, old, probe.Path)
	read, err := files.Read()
	require.NoError(t, err)
	require.Equal(t, token, read)
	require.ErrorIs(t, files.Place(makeToken(t, 2, true)), fs.ErrExist)
	require.NoFileExists(t, filepath.Join(dir, tokenName))
	_, err = files.SetAside()
	require.ErrorIs(t, err, ErrParses)

	require.NoError(t, os.WriteFile(old, nil, 0o600))
	_, err = files.SetAside()
	require.NoError(t, err)
	require.NoFileExists(t, old)
	require.NoError(t, files.Place(token))
}

// TestLinkedToken checks that a token which its owner keeps elsewhere is
// followed, as upstream follows it, and one that leads nowhere is no reason to
// buy another.
func TestLinkedToken(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "token")
	require.NoError(
		t, os.WriteFile(elsewhere, makeToken(t, 1, true), 0o600),
	)
	link := filepath.Join(dir, tokenName)
	require.NoError(t, os.Symlink(elsewhere, link))
	files := NewFiles(durable.OS(), dir)

	probe, err := files.Probe()
	require.NoError(t, err)
	require.Equal(t, TokenPaid, probe.Status)

	require.NoError(t, os.Remove(elsewhere))
	probe, err = files.Probe()
	require.NoError(t, err)
	require.Equal(t, TokenUnreadable, probe.Status)
	_, err = files.SetAside()
	require.NoError(t, err)
	require.NoError(t, files.Place(makeToken(t, 1, true)))
	require.NoFileExists(t, elsewhere)
}
