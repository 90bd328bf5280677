package actions_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// look makes a look that must not fail. It comes back as it is after it was
// saved and read again.
func (s *story) look(request actions.Request) actions.Look {
	s.Helper()

	look, err := actions.LookForBackup(
		s.Context(), s.world.Deps(), request,
	)
	require.NoError(s, err)
	raw, err := json.Marshal(look)
	require.NoError(s, err)
	var again actions.Look
	require.NoError(s, json.Unmarshal(raw, &again))
	require.Equal(s, look, again)
	s.untouched()

	return look
}

// TestLookFinds shows that a look tells what a restore would take, and in which
// verdict each file stands.
func TestLookFinds(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.putForeign()
	look := s.look(actions.Request{})
	require.True(t, look.Candidate())
	require.Equal(t, s.file, look.Located.Path)
	require.Empty(t, look.Reason)

	reasons := make(map[states.Reason]int)
	for _, file := range look.Files {
		reasons[file.Reason]++
		require.NotEmpty(t, file.Verdict)
	}
	require.Equal(t, map[states.Reason]int{
		"": 1, states.OtherSeed: 1, states.OtherNetwork: 1,
		states.BackupCorrupt: 1,
	}, reasons)
}

// TestLookShowsItsEvidence shows that an empty result names the files that were
// seen and why none of them will do: with the wrong lnd behind the daemon, the
// next thing that a user types must not be a purchase.
func TestLookShowsItsEvidence(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.Lnd.Replace("mallory")
	look := s.look(actions.Request{})
	require.False(t, look.Candidate())
	require.Equal(t, states.NoBackupFound, look.Reason)
	require.Equal(t, filepath.Base(s.file)+": other seed", look.Detail)
	require.Equal(t, []actions.SeenFile{{
		Path: s.file, Reason: states.OtherSeed,
		Verdict: string(backup.OtherSeed),
	}}, look.Files)

	// The run says the same.
	detail := s.blocked(states.LocateBackup, actions.Facts{},
		states.NoBackupFound)
	require.Equal(t, look.Detail, detail)
}

// TestLookSaysWhatDoesNotFit shows that a valid file which does not belong to
// what is in place is named with the reason.
func TestLookSaysWhatDoesNotFit(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.Tokens.Put(twin.NewToken("bob", s.content.TokenCreated, true))
	detail := s.blocked(states.LocateBackup, actions.Facts{},
		states.NoBackupFound)
	require.Contains(t, detail, filepath.Base(s.file))
	require.Contains(t, detail, "of another token than the one in place")

	s = newStory(t)
	row, err := s.world.NewContent("bob", 7).Address.Parameters()
	require.NoError(t, err)
	s.world.Rows.Put(row)
	detail = s.blocked(states.LocateBackup, actions.Facts{},
		states.NoBackupFound)
	require.Contains(t, detail, "of another address than the one in place")
}

// TestLookIsBounded shows that a place full of foreign files makes neither a
// long record nor a long sentence.
func TestLookIsBounded(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.Lnd.Replace("mallory")
	for i := range 29 {
		s.world.Backups.Put(place, s.world.NewContent(
			fmt.Sprintf("foreign %d", i), 0,
		))
	}
	s.world.Lnd.Replace("another")
	look := s.look(actions.Request{})
	require.Len(t, look.Files, 20)
	require.Equal(t, 10, look.More)
	require.Contains(t, look.Detail, "; and 25 more")
}

// TestLookPlaces shows that a place which cannot be read is named, that it
// stands in the way of no file elsewhere, and that without one nobody says that
// there is none.
func TestLookPlaces(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.Disk.Break(second, fs.ErrPermission)
	look := s.look(actions.Request{})
	require.True(t, look.Candidate())
	require.Equal(t, []string{second}, look.Located.Unread)
	require.Equal(t, second, look.Places[0].Path)
	require.NotEmpty(t, look.Places[0].Error)

	s.world.Backups.Remove(s.file)
	look = s.look(actions.Request{})
	require.False(t, look.Candidate())
	require.Nil(t, look.Located)
	require.Equal(t, states.PlaceUnreadable, look.Reason)
	require.Equal(t, second, look.Detail)
	require.Len(t, look.Places, 1)
}

// TestLookObstructed shows that a candidate about which a person has to decide
// something is one.
func TestLookObstructed(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.content.Address.Expiry++
	s.world.Backups.Put(second, s.content)
	look := s.look(actions.Request{})
	require.True(t, look.Candidate())
	require.Nil(t, look.Located)
	require.Equal(t, states.BackupConflict, look.Reason)
	require.Contains(t, look.Detail, s.file)
}

// TestLookPasses shows that lnd being down is no verdict of any file.
func TestLookPasses(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.SetLnd(twin.ErrLndDown)
	_, err := actions.LookForBackup(
		t.Context(), s.world.Deps(), actions.Request{},
	)
	require.ErrorIs(t, err, twin.ErrLndDown)
}

// TestStopsNameTheirFile shows that what VerifyNetwork finds names the file
// that it is about.
func TestStopsNameTheirFile(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.VerifyNetwork)
	facts.Generation.FirstHeight = 1_000
	detail := s.blocked(states.VerifyNetwork, facts,
		states.BirthdayAboveTip)
	require.Contains(t, detail, s.file)
}
