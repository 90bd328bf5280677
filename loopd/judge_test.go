package loopd

import (
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/stretchr/testify/require"
)

// entryOf returns a file in order with the contents of a generation.
func entryOf(content *backup.Content) *backup.Entry {
	copied := *content

	return &backup.Entry{Verdict: backup.OK, Content: &copied}
}

// TestJudgeKey checks that a file whose key this lnd does not derive is not in
// order, that an index which a file does not tell is found, and that an lnd
// which does not answer is no verdict.
func TestJudgeKey(t *testing.T) {
	const index = 30
	world := twin.NewWorld()
	content := world.NewContent("alice", index)
	j := &judge{node: world.Deps().Node, indexBound: index}

	entry := entryOf(content)
	require.NoError(t, j.checkKey(t.Context(), entry))
	require.Equal(t, backup.OK, entry.Verdict)

	older := *content
	older.IndexUnknown = true
	older.Address.ClientLocator.Index = 0
	entry = entryOf(&older)
	require.NoError(t, j.checkKey(t.Context(), entry))
	require.Equal(t, backup.OK, entry.Verdict)
	require.EqualValues(t, index, entry.Content.Address.ClientLocator.Index)

	j.indexBound = index - 1
	entry = entryOf(&older)
	require.NoError(t, j.checkKey(t.Context(), entry))
	require.Equal(t, backup.KeyNotDerivable, entry.Verdict)
	require.Nil(t, entry.Content)

	world.SetHook(twin.FailAt(
		twin.Point{Call: "node.DeriveKey"}, 1, errLndNotReady,
	))
	entry = entryOf(content)
	require.ErrorIs(t, j.checkKey(t.Context(), entry), errLndNotReady)
	require.Equal(t, backup.OK, entry.Verdict)
	world.SetHook(nil)

	world.Lnd.Replace("mallory")
	require.NoError(t, j.checkKey(t.Context(), entry))
	require.Equal(t, backup.KeyNotDerivable, entry.Verdict)

	// Another verdict stands, and lnd is not asked.
	corrupt := &backup.Entry{Verdict: backup.Corrupt}
	require.NoError(t, j.checkKey(t.Context(), corrupt))
	require.Equal(t, backup.Corrupt, corrupt.Verdict)
}

// TestJudgeRemembers checks that a file which went bad tells when it was last
// in order, and that one which is gone is forgotten.
func TestJudgeRemembers(t *testing.T) {
	j := &judge{}
	see := func(verdict backup.Verdict) time.Time {
		files := []judged{{Entry: backup.Entry{
			Path: "/usb/a", Verdict: verdict,
		}}}
		j.remember(files)

		return files[0].LastVerified
	}

	require.Zero(t, see(backup.Corrupt))
	good := see(backup.OK)
	require.NotZero(t, good)
	require.Equal(t, good, see(backup.Corrupt))
	require.Equal(t, good, see(backup.Corrupt))
	require.False(t, see(backup.OK).Before(good))

	j.remember(nil)
	require.Zero(t, see(backup.Corrupt))
}
