package actions_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// requireToken makes sure that the token file holds the given bytes.
func (s *story) requireToken(wanted []byte) {
	s.Helper()

	token, exists := s.world.Tokens.Get()
	require.True(s, exists)
	require.Equal(s, wanted, token)
}

// TestImportToken shows the token placed while the embedded daemon is down, and
// that the daemon stays down: the address row is still missing.
func TestImportToken(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.done(states.ImportToken, s.upTo(states.ImportToken))
	s.requireToken(s.content.Token)
	require.True(t, facts.Effects.TokenPlaced)
	require.True(t, s.world.Gate.Closed())
	s.clean()
}

// TestImportTokenThere shows that a token in place is left alone, and so is the
// embedded daemon.
func TestImportTokenThere(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.ImportToken)
	s.world.Tokens.Put(s.content.Token)

	facts = s.done(states.ImportToken, facts)
	require.False(t, facts.Effects.TokenPlaced)
	require.False(t, s.world.Gate.Closed())
	require.Zero(t, s.world.Count("tokens.Place"))
}

// TestImportTokenCrash kills the process between the effect and its outcome.
func TestImportTokenCrash(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.ImportToken)
	s.crash(states.ImportToken, facts, "tokens.Place")
	s.requireToken(s.content.Token)

	s.done(states.ImportToken, facts)
	s.requireToken(s.content.Token)
	require.Equal(t, 1, s.world.Count("tokens.Place"))
	s.clean()
}

// TestImportTokenPowerCut lets the power go at every change of the disk, with
// everything that the disk can hold then: the token is placed in the end, to
// survive the next power cut too, and nothing else is ever under its name.
func TestImportTokenPowerCut(t *testing.T) {
	t.Parallel()

	tried := 0
	for step := 1; ; step++ {
		cuts, crashed := 0, true
		for ; crashed; cuts++ {
			s := newStory(t)
			facts := s.upTo(states.ImportToken)
			s.world.SetHook(s.cutAt(step))
			_, _, err := s.act(states.ImportToken, facts)
			s.world.SetHook(nil)
			if err == nil {
				require.Greater(t, tried, 20)

				return
			}

			crashed = s.world.Disk.PowerCut(cuts)
			s.world.Restart(false)
			if token, exists := s.world.Tokens.Get(); exists {
				require.Equal(t, s.content.Token, token)
			}
			s.done(states.ImportToken, facts)
			require.True(t, s.world.Tokens.Survives(
				s.content.Token,
			))
			s.clean()
		}
		tried += cuts
	}
}

// cutAt returns a hook that ends the process after the nth change of the disk.
func (s *story) cutAt(nth int) twin.Hook {
	return func(_ context.Context, at twin.Point) error {
		if at.After && strings.HasPrefix(at.Call, "disk.") &&
			slices.Contains(effects, at.Call) {

			nth--
		}
		if nth == 0 {
			return twin.ErrCrashed
		}

		return nil
	}
}

// TestImportTokenConflict shows that a token in place that is another, or is
// not paid yet, stays what it is.
func TestImportTokenConflict(t *testing.T) {
	t.Parallel()

	created := twin.NewWorld().Chain.Time()
	for _, test := range []struct {
		token  []byte
		reason states.Reason
	}{
		{twin.NewToken("bob", created, true), states.TokenConflict},
		{twin.NewToken("bob", created, false), states.TokenPending},
		{twin.NewToken("alice", created, false), states.TokenPending},
	} {
		s := newStory(t)
		facts := s.upTo(states.ImportToken)
		s.world.Tokens.Put(test.token)
		s.blocked(states.ImportToken, facts, test.reason)
		s.requireToken(test.token)
		require.False(t, s.world.Gate.Closed())
		s.clean()
	}
}

// TestImportTokenRow shows that a token is never put beside a row that is not
// its own.
func TestImportTokenRow(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.ImportToken)
	other := s.world.NewContent("bob", 0)
	row, err := other.Address.Parameters()
	require.NoError(t, err)
	s.world.Rows.Put(row)

	s.blocked(states.ImportToken, facts, states.AddressConflict)
	_, exists := s.world.Tokens.Get()
	require.False(t, exists)
	require.False(t, s.world.Gate.Closed())
}

// TestImportTokenUnreadable shows that a file that a power cut left behind
// makes way, and is kept.
func TestImportTokenUnreadable(t *testing.T) {
	t.Parallel()

	for _, rest := range [][]byte{{}, []byte("half a tok")} {
		s := newStory(t)
		facts := s.upTo(states.ImportToken)
		s.world.Tokens.Put(rest)

		facts = s.done(states.ImportToken, facts)
		s.requireToken(s.content.Token)
		aside, ok := s.world.Disk.Read(facts.Effects.SetAside)
		require.True(t, ok)
		require.Equal(t, rest, aside)
		s.clean()
	}
}

// TestImportTokenBusy shows that swaps under way are not stopped.
func TestImportTokenBusy(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.ImportToken)
	s.world.Gate.SetBusy(true)
	s.blocked(states.ImportToken, facts, states.SwapsInFlight)
	s.untouched()

	s.world.Gate.SetBusy(false)
	s.done(states.ImportToken, facts)
	s.requireToken(s.content.Token)
}

// TestImportTokenRace lets somebody else write a token at the worst moments:
// while the gate is being closed, and between probe and write.
func TestImportTokenRace(t *testing.T) {
	t.Parallel()

	for _, moment := range []twin.Point{
		{Call: "gate.Close"}, {Call: "tokens.Place"},
	} {
		s := newStory(t)
		facts := s.upTo(states.ImportToken)
		bought := twin.NewToken("new", s.world.Chain.Time(), true)
		s.race(moment, func() { s.world.Tokens.Put(bought) })
		s.blocked(states.ImportToken, facts, states.TokenConflict)
		s.requireToken(bought)
		s.clean()

		s = newStory(t)
		facts = s.upTo(states.ImportToken)
		s.race(moment, func() { s.world.Tokens.Put(s.content.Token) })
		facts = s.done(states.ImportToken, facts)
		require.False(t, facts.Effects.TokenPlaced)
		s.requireToken(s.content.Token)
		s.clean()
	}
}

// race does something at a point, without the run's knowledge.
func (s *story) race(moment twin.Point, act func()) {
	s.world.SetHook(func(_ context.Context, at twin.Point) error {
		if at == moment {
			act()
		}

		return nil
	})
}

// TestImportTokenChanged shows that the token comes from the very file that was
// chosen.
func TestImportTokenChanged(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.ImportToken)
	s.world.Backups.PutAs(s.file, s.world.NewContent("bob", 0))
	s.blocked(states.ImportToken, facts, states.BackupChanged)

	s.world.Backups.Force(s.file, backup.Corrupt, nil)
	s.blocked(states.ImportToken, facts, states.BackupChanged)
	s.untouched()
}

// TestImportTokenFull shows that a full disk is waited for, and that a token
// that was set aside before is reported.
func TestImportTokenFull(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.ImportToken)
	s.world.Tokens.Put([]byte{})
	s.world.SetHook(twin.FailAt(
		twin.Point{Call: "tokens.Place"}, 1, errFault,
	))

	failed := s.passing(states.ImportToken, facts, errFault)
	require.NotEmpty(t, failed.Effects.SetAside)

	after := s.done(states.ImportToken, failed)
	require.Equal(t, failed.Effects.SetAside, after.Effects.SetAside)
	s.requireToken(s.content.Token)
}
