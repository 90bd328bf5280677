package actions_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestDecrypt shows that the run learns all about the generation that is not
// secret, and nothing that is.
func TestDecrypt(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.done(states.Decrypt, s.upTo(states.Decrypt))

	generation := facts.Generation
	require.Equal(t, twin.Network, generation.Network)
	require.Equal(t, s.tokenID(), generation.TokenID)
	require.True(t, s.content.TokenCreated.Equal(generation.Created()))
	require.Contains(t, generation.Address, "bcrt1p")

	descriptor, err := generation.Descriptor()
	require.NoError(t, err)
	require.Equal(t, s.content.Address, descriptor)

	raw, err := json.Marshal(facts)
	require.NoError(t, err)
	token := hex.EncodeToString(s.content.Token)
	for from := 0; from+32 <= len(token); from += 16 {
		secret := token[from : from+32]
		if strings.Contains(s.tokenID(), secret) {
			continue
		}
		require.NotContains(t, string(raw), secret)
	}
	s.untouched()
}

// TestDecryptChanged shows that a file that is not the chosen one any more is
// not restored from, whatever it is now.
func TestDecryptChanged(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.Decrypt)

	s.world.Backups.PutAs(s.file, s.world.NewContent("bob", 0))
	s.blocked(states.Decrypt, facts, states.BackupChanged)

	s.world.Backups.Force(s.file, backup.Corrupt, nil)
	s.blocked(states.Decrypt, facts, states.BackupChanged)

	s.world.Backups.Remove(s.file)
	s.blocked(states.Decrypt, facts, states.BackupChanged)
	s.untouched()
}

// TestDecryptVerdict shows that the file's verdict counts when it is opened,
// and that lnd being away is none.
func TestDecryptVerdict(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.Decrypt)

	s.world.SetLnd(twin.ErrLndDown)
	s.passing(states.Decrypt, facts, twin.ErrLndDown)
	s.world.SetLnd(nil)

	s.world.Backups.Force(s.file, backup.OtherSeed, nil)
	entry, err := s.world.Backups.Judge(t.Context(), s.file)
	require.NoError(t, err)
	facts.Located.SHA256 = hex.EncodeToString(entry.SHA256[:])
	s.blocked(states.Decrypt, facts, states.OtherSeed)
	s.untouched()
}
