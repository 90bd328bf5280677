package actions_test

import (
	"encoding/hex"
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestLocateAccepted shows that a pair which a person accepted yields to a
// proven one of the same address or the same token, and to nothing else.
func TestLocateAccepted(t *testing.T) {
	t.Parallel()

	// A newer token, said to be that of the same address.
	s := newStory(t)
	wrong := s.world.NewContent("bob", keyIndex)
	wrong.TokenCreated = s.content.TokenCreated.Add(1)
	wrong.Token = twin.NewToken("bob", wrong.TokenCreated, true)
	wrong.PairAccepted = true
	path := s.world.Backups.Put(second, wrong)
	facts := s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, s.file, facts.Located.Path)
	require.Equal(t, []string{hex.EncodeToString(wrong.TokenID[:])},
		facts.Located.Others)

	// Asked for by its id it is what the user means.
	facts = s.done(states.LocateBackup, actions.Facts{
		Request: actions.Request{
			TokenID: hex.EncodeToString(wrong.TokenID[:]),
		},
	})
	require.Equal(t, path, facts.Located.Path)

	// Without the proof it is the newer one.
	s.world.Backups.Remove(s.file)
	facts = s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, path, facts.Located.Path)

	// Another address's proof says nothing about this one.
	s = newStory(t)
	newer := s.world.NewContent("bob", keyIndex+1)
	newer.TokenCreated = s.content.TokenCreated.Add(1)
	newer.Token = twin.NewToken("bob", newer.TokenCreated, true)
	newer.PairAccepted = true
	path = s.world.Backups.Put(second, newer)
	facts = s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, path, facts.Located.Path)

	// The same token with another address: the proof decides, and that is
	// no conflict. Two that were accepted are one.
	s = newStory(t)
	other := *s.content
	other.Address = s.world.NewContent("alice", keyIndex+1).Address
	other.PairAccepted = true
	s.world.Backups.Put(second, &other)
	facts = s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, s.file, facts.Located.Path)

	accepted := *s.content
	accepted.PairAccepted = true
	s.world.Backups.PutAs(s.file, &accepted)
	s.blocked(states.LocateBackup, actions.Facts{}, states.BackupConflict)
}
