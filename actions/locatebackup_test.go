package actions_test

import (
	"context"
	"encoding/hex"
	"io/fs"
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// second is the second backup place.
const second = twin.SecondDir

// putForeign puts files in place that are no candidates: of another seed, of
// another network, and damaged.
func (s *story) putForeign() {
	s.Helper()

	s.world.Lnd.Replace("mallory")
	s.world.Backups.Put(place, s.world.NewContent("foreign", 0))
	s.world.Lnd.Replace("client")

	other := s.world.NewContent("other network", 0)
	other.Network = "testnet"
	s.world.Backups.Put(place, other)

	broken := s.world.Backups.Put(place, s.world.NewContent("broken", 0))
	raw, _ := s.world.Disk.Read(broken)
	raw[len(raw)/2] ^= 1
	s.world.Disk.Write(broken, raw)
	s.world.Disk.Write(place+"/loopd.log", []byte("no backup"))
}

// TestLocateNewest shows which of several generations a wiped machine gets
// back, and that the others are named.
func TestLocateNewest(t *testing.T) {
	t.Parallel()

	// Neither the order of the names nor that of the ids is that of age.
	lower := 0
	for _, name := range []string{"bob", "carol", "dave", "erin"} {
		s := newStory(t)
		newer := s.world.NewContent(name, 0)
		path := s.world.Backups.Put(place, newer)
		s.world.Backups.Put(second, newer)
		s.putForeign()

		facts := s.done(states.LocateBackup, actions.Facts{})
		require.Equal(t, path, facts.Located.Path)
		id := hex.EncodeToString(newer.TokenID[:])
		require.Equal(t, id, facts.Located.TokenID)
		require.Equal(t, []string{s.tokenID()}, facts.Located.Others)
		require.NotEmpty(t, facts.Node)
		if id < s.tokenID() {
			lower++
		}

		facts = s.done(states.LocateBackup, actions.Facts{
			Request: actions.Request{TokenID: s.tokenID()},
		})
		require.Equal(t, s.file, facts.Located.Path)
		s.untouched()
	}
	require.Positive(t, lower)
}

// TestLocateTie shows that the choice between two tokens of one time does not
// depend on the order in which files are listed.
func TestLocateTie(t *testing.T) {
	t.Parallel()

	for _, name := range []string{"bob", "carol", "dave", "erin"} {
		s := newStory(t)
		other := s.world.NewContent(name, keyIndex)
		other.TokenCreated = s.content.TokenCreated
		other.Token = twin.NewToken(name, other.TokenCreated, true)
		s.world.Backups.Put(place, other)

		facts := s.done(states.LocateBackup, actions.Facts{})
		require.Equal(t, max(
			s.tokenID(), hex.EncodeToString(other.TokenID[:]),
		), facts.Located.TokenID)
	}
}

// TestLocateNothing shows that files of other seeds and networks and damaged
// ones are no candidates, and that an unreadable place matters only then.
func TestLocateNothing(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.putForeign()
	s.world.Disk.Break(second, fs.ErrPermission)
	facts := s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, s.file, facts.Located.Path)
	require.Empty(t, facts.Located.Others)

	s.world.Backups.Remove(s.file)
	s.blocked(states.LocateBackup, actions.Facts{}, states.PlaceUnreadable)

	s.world.Disk.Break(second, nil)
	s.blocked(states.LocateBackup, actions.Facts{}, states.NoBackupFound)
	s.untouched()
}

// TestLocateCancelled shows that a run that is stopped while it looks through
// the places does not block: nothing is wrong with them.
func TestLocateCancelled(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.race(twin.Point{Call: "disk.ReadDir"}, cancel)
	_, err := actions.Set(s.world.Deps(), runID)[states.LocateBackup](
		ctx, actions.Facts{},
	)
	require.ErrorIs(t, err, context.Canceled)
	var block *actions.BlockError
	require.NotErrorAs(t, err, &block)
}

// TestLocateConflict shows that nobody guesses between two valid files that
// contradict each other, while copies of one file are fine.
func TestLocateConflict(t *testing.T) {
	t.Parallel()

	for name, change := range map[string]func(*backup.Content){
		"expiry": func(c *backup.Content) { c.Address.Expiry++ },
		"index": func(c *backup.Content) {
			c.Address.ClientLocator.Index++
		},
		"token": func(c *backup.Content) {
			// The last byte of the amount that was paid.
			c.Token[len(c.Token)-17]++
		},
		"server": func(c *backup.Content) {
			c.Address.ServerKey = c.Address.ClientKey
		},
	} {
		s := newStory(t)
		path := s.world.Backups.Put(second, s.content)
		s.done(states.LocateBackup, actions.Facts{})

		change(s.content)
		s.world.Backups.Put(second, s.content)
		detail := s.blocked(states.LocateBackup, actions.Facts{},
			states.BackupConflict)
		require.Contains(t, detail, s.file, name)
		require.Contains(t, detail, path, name)

		facts := s.done(states.LocateBackup, actions.Facts{
			Request: actions.Request{BackupFile: path},
		})
		require.Equal(t, path, facts.Located.Path, name)
	}
}

// TestLocateHeights shows that copies that differ in their heights are no
// conflict: a restore by other software makes the address look younger. The
// scan starts with the older one.
func TestLocateHeights(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.content.Address.FirstHeight += 3
	s.content.Address.FamiliesFirstHeight += 3
	s.world.Backups.Put(second, s.content)
	facts := s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, s.file, facts.Located.Path)

	s.content.Address.FirstHeight -= 6
	path := s.world.Backups.Put(second, s.content)
	facts = s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, path, facts.Located.Path)
}

// TestLocateOlderFormat shows that a file of the older format, which tells
// less, does not contradict ours of the same token, and that ours is taken.
func TestLocateOlderFormat(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.Backups.PutOlder(place, s.content)
	facts := s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, s.file, facts.Located.Path)

	// Alone it does, and the index is found.
	s.world.Backups.Remove(s.file)
	facts = s.done(states.VerifyNetwork, s.upTo(states.VerifyNetwork))
	require.EqualValues(t, keyIndex, facts.Generation.KeyIndex)

	s.world.Backups.Put(place, s.content)
	s.content.Address.Expiry++
	s.world.Backups.PutOlder(place, s.content)
	s.blocked(states.LocateBackup, actions.Facts{}, states.BackupConflict)
}

// TestLocateFile shows that a file named by the user is judged as it is: each
// thing that can be wrong with it has a reason of its own.
func TestLocateFile(t *testing.T) {
	t.Parallel()

	const named = "/data/named"

	s := newStory(t)
	request := actions.Facts{
		Request: actions.Request{BackupFile: named},
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

		s.world.Backups.Force(named, verdict, nil)
		detail := s.blocked(states.LocateBackup, request, reason)
		require.Contains(t, detail, named)
	}

	s.world.Backups.Force(named, "a verdict of tomorrow", nil)
	s.blocked(states.LocateBackup, request, states.NotABackup)
	s.world.Backups.Remove(named)

	// Our own format, found under a name of the user's own making.
	s.world.Backups.PutAs(named, s.content)
	s.blocked(states.LocateBackup, request, states.NameMismatch)
	s.untouched()
}

// TestLocateFileChoice shows that the user's choice must not contradict itself,
// and that it is taken whatever else there is.
func TestLocateFileChoice(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.Backups.Put(place, s.world.NewContent("bob", 0))
	request := actions.Facts{
		Request: actions.Request{BackupFile: s.file},
	}
	facts := s.done(states.LocateBackup, request)
	require.Equal(t, s.file, facts.Located.Path)

	request.Request.TokenID = s.tokenID()
	s.done(states.LocateBackup, request)
	request.Request.TokenID = hex.EncodeToString(make([]byte, 32))
	s.blocked(states.LocateBackup, request, states.BadRequest)

	s.world.Disk.Break(place, fs.ErrPermission)
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
	s.world.Backups.Put(place, newer)
	newest := actions.Facts{Request: actions.Request{TokenID: newerID}}

	// Only the token is left.
	s.world.Tokens.Put(s.content.Token)
	facts := s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, s.file, facts.Located.Path)
	require.Equal(t, []string{newerID}, facts.Located.Others)
	s.blocked(states.LocateBackup, newest, states.TokenConflict)

	// Only the row is left.
	s.world.Tokens.Lose()
	s.world.Rows.Put(row)
	facts = s.done(states.LocateBackup, actions.Facts{})
	require.Equal(t, s.file, facts.Located.Path)
	s.blocked(states.LocateBackup, newest, states.AddressConflict)

	// The matching backup is gone: another generation is no substitute.
	s.world.Backups.Remove(s.file)
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
	path := s.world.Backups.Put(place, newer)
	again := s.done(states.LocateBackup, first)
	require.Equal(t, first.Located, again.Located)

	s.world.Backups.Remove(s.file)
	again = s.done(states.LocateBackup, first)
	require.Equal(t, path, again.Located.Path)

	s.world.Disk.Write(s.file, []byte("overwritten"))
	again = s.done(states.LocateBackup, first)
	require.Equal(t, path, again.Located.Path)
}

// TestLocatePassing shows that lnd being away is no answer to the question
// whether there is a backup.
func TestLocatePassing(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	for _, call := range []string{
		"node.Identity", "node.DeriveSharedKey", "backups.List",
		"tokens.Probe", "rows.All",
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
