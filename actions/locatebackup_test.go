package actions_test

import (
	"encoding/hex"
	"io/fs"
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestLocateNewest shows which of several generations a wiped machine gets
// back, and that the others are named.
func TestLocateNewest(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	newer := s.world.NewContent("bob", 0)
	s.world.Backups.Put(place+"/bob.lrb", newer)
	s.world.Backups.Put("/second/bob.lrb", newer)
	s.world.Backups.PutVerdict(place+"/foreign", backup.OtherSeed)
	s.world.Backups.PutVerdict(place+"/testnet", backup.OtherNetwork)
	s.world.Backups.PutVerdict(place+"/broken", backup.Corrupt)

	facts := s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, place+"/bob.lrb", facts.Located.Path)
	require.Equal(t, hex.EncodeToString(newer.TokenID[:]),
		facts.Located.TokenID)
	require.Equal(t, []string{s.tokenID()}, facts.Located.Others)
	require.NotEmpty(t, facts.Node)

	facts = s.done(states.LocateBackup, actions.Facts{
		Request: actions.Request{TokenID: s.tokenID()},
	})
	require.Equal(t, file, facts.Located.Path)
	s.untouched()
}

// TestLocateTie shows that the choice between two tokens of one time does not
// depend on the order in which files are listed.
func TestLocateTie(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	twinContent := *s.content
	twinContent.TokenID[0] ^= 0xff
	s.world.Backups.Put(place+"/a", &twinContent)
	s.world.Backups.Put(place+"/z", &twinContent)

	highest := max(
		s.tokenID(), hex.EncodeToString(twinContent.TokenID[:]),
	)
	facts := s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, highest, facts.Located.TokenID)
}

// TestLocateNothing shows that files of other seeds and networks and damaged
// ones are no candidates, and that an unreadable place matters only then.
func TestLocateNothing(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.Backups.SetUnreadable("/mnt", fs.ErrPermission)
	s.done(states.LocateBackup, actions.Facts{})

	s.world.Backups.Remove(file)
	s.world.Backups.PutVerdict(place+"/foreign", backup.OtherSeed)
	s.world.Backups.PutVerdict(place+"/testnet", backup.OtherNetwork)
	s.world.Backups.PutVerdict(place+"/broken", backup.Corrupt)
	s.blocked(states.LocateBackup, actions.Facts{}, states.PlaceUnreadable)

	s.world.Backups.SetUnreadable("/mnt", nil)
	s.blocked(states.LocateBackup, actions.Facts{}, states.NoBackupFound)

	other := s.world.NewContent("other network", 0)
	other.Network = "testnet"
	s.world.Backups.Put(place+"/other", other)
	s.blocked(states.LocateBackup, actions.Facts{}, states.NoBackupFound)
	s.untouched()
}

// TestLocateConflict shows that nobody guesses between two valid files that
// contradict each other, while copies of one file are fine.
func TestLocateConflict(t *testing.T) {
	t.Parallel()

	for name, change := range map[string]func(*backup.Content){
		"expiry": func(c *backup.Content) { c.Address.Expiry++ },
		"height": func(c *backup.Content) { c.Address.FirstHeight-- },
		"index": func(c *backup.Content) {
			c.Address.ClientLocator.Index++
		},
		"token": func(c *backup.Content) {
			c.Token = twin.NewToken("x", c.TokenCreated, true)
		},
		"server": func(c *backup.Content) {
			c.Address.ServerKey = c.Address.ClientKey
		},
	} {
		s := newStory(t)
		s.world.Backups.Put("/second/copy", s.content)
		s.done(states.LocateBackup, actions.Facts{})

		changed := *s.content
		change(&changed)
		s.world.Backups.Put("/second/changed", &changed)
		detail := s.blocked(states.LocateBackup, actions.Facts{},
			states.BackupConflict)
		require.Contains(t, detail, file, name)
		require.Contains(t, detail, "/second/changed", name)

		facts := s.done(states.LocateBackup, actions.Facts{
			Request: actions.Request{BackupFile: file},
		})
		require.Equal(t, file, facts.Located.Path, name)
	}
}

// TestLocateOlderFormat shows that a file of the older format, which tells less,
// does not contradict ours of the same token, and that ours is taken.
func TestLocateOlderFormat(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	older := *s.content
	older.IndexUnknown = true
	older.Address.ClientLocator.Index = 0
	older.Address.FirstHeight += 2
	s.world.Backups.Put(place+"/L402_backup.enc", &older)
	facts := s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, file, facts.Located.Path)

	// Alone it does, and the index is found.
	s.world.Backups.Remove(file)
	facts = s.done(states.VerifyNetwork, s.upTo(states.VerifyNetwork))
	require.EqualValues(t, keyIndex, facts.Generation.KeyIndex)

	older.Address.Expiry++
	s.world.Backups.Put(file, s.content)
	s.world.Backups.Put(place+"/L402_backup.enc", &older)
	s.blocked(states.LocateBackup, actions.Facts{}, states.BackupConflict)
}

// TestLocateFile shows that a file named by the user is judged as it is: each
// thing that can be wrong with it has a reason of its own.
func TestLocateFile(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	request := actions.Facts{
		Request: actions.Request{BackupFile: place + "/named"},
	}
	s.blocked(states.LocateBackup, request, states.NoBackupFound)

	seen := make(map[states.Reason]bool)
	for verdict, reason := range map[backup.Verdict]states.Reason{
		backup.NotABackup:      states.NotABackup,
		backup.Corrupt:         states.BackupCorrupt,
		backup.OtherSeed:       states.OtherSeed,
		backup.OtherNetwork:    states.OtherNetwork,
		backup.NewerVersion:    states.NewerVersion,
		backup.Incomplete:      states.BackupIncomplete,
		backup.NameMismatch:    states.NameMismatch,
		backup.KeyNotDerivable: states.KeyNotDerivable,
		backup.DoesNotOpen:     states.DoesNotOpen,
	} {
		require.False(t, seen[reason], "one reason for two verdicts")
		seen[reason] = true

		s.world.Backups.PutVerdict(place+"/named", verdict)
		detail := s.blocked(states.LocateBackup, request, reason)
		require.Contains(t, detail, place+"/named")
	}

	s.world.Backups.Put(place+"/named", s.content)
	facts := s.done(states.LocateBackup, request)
	require.Equal(t, place+"/named", facts.Located.Path)

	request.Request.TokenID = s.tokenID()
	s.done(states.LocateBackup, request)
	request.Request.TokenID = hex.EncodeToString(make([]byte, 32))
	s.blocked(states.LocateBackup, request, states.BadRequest)

	s.world.Backups.SetUnreadable(place, fs.ErrPermission)
	s.blocked(states.LocateBackup, request, states.PlaceUnreadable)
	s.untouched()
}

// TestLocateHalfInstall shows that what is left of a generation decides which
// backup completes it, however new others are.
func TestLocateHalfInstall(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	row, err := s.content.Address.Parameters()
	require.NoError(t, err)
	newer := s.world.NewContent("bob", 0)
	newerID := hex.EncodeToString(newer.TokenID[:])
	s.world.Backups.Put(place+"/bob.lrb", newer)
	newest := actions.Facts{Request: actions.Request{TokenID: newerID}}

	// Only the token is left.
	s.world.Tokens.Put(s.content.Token)
	facts := s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, file, facts.Located.Path)
	require.Equal(t, []string{newerID}, facts.Located.Others)
	s.blocked(states.LocateBackup, newest, states.TokenConflict)

	// Only the row is left.
	s.world.Tokens.Lose()
	s.world.Rows.Put(row)
	facts = s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, file, facts.Located.Path)
	s.blocked(states.LocateBackup, newest, states.AddressConflict)

	// The matching backup is gone: another generation is no substitute.
	s.world.Backups.Remove(file)
	s.blocked(states.LocateBackup, actions.Facts{}, states.NoBackupFound)
	s.world.Rows.Lose()
	s.world.Tokens.Put(s.content.Token)
	s.blocked(states.LocateBackup, actions.Facts{}, states.NoBackupFound)
}

// TestLocateAgain shows that a resumed run keeps its choice as long as the file
// is the same, even if a newer one appeared, and chooses anew if it is not.
func TestLocateAgain(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	first := s.done(states.LocateBackup, actions.Facts{})

	newer := s.world.NewContent("bob", 0)
	s.world.Backups.Put(place+"/bob.lrb", newer)
	again := s.done(states.LocateBackup, first)
	require.Equal(t, first.Located, again.Located)

	s.world.Backups.Remove(file)
	again = s.done(states.LocateBackup, first)
	require.Equal(t, place+"/bob.lrb", again.Located.Path)

	s.world.Backups.PutVerdict(file, backup.Corrupt)
	again = s.done(states.LocateBackup, first)
	require.Equal(t, place+"/bob.lrb", again.Located.Path)
}

// TestLocatePassing shows that lnd being away is no answer to the question
// whether there is a backup.
func TestLocatePassing(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	for _, call := range []string{
		"node.Identity", "backups.List", "tokens.Probe", "rows.All",
	} {
		s.world.SetHook(twin.FailAt(
			twin.Point{Call: call}, 1, errFault,
		))
		s.passing(states.LocateBackup, actions.Facts{}, errFault)
	}

	s.world.SetHook(nil)
	s.world.SetLnd(twin.ErrLndLocked)
	s.passing(states.LocateBackup, actions.Facts{}, twin.ErrLndLocked)
}
