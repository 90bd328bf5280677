package actions_test

import (
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// requireAddress makes sure that the address is complete: counter, script and
// one row, and the embedded daemon may run.
func (s *story) requireAddress() {
	s.Helper()

	require.EqualValues(s, keyIndex+1, s.world.Lnd.Next(s.legacy()))
	require.True(s, s.world.Lnd.Watches(s.pkScript()))
	require.False(s, s.world.Gate.Closed())

	wanted, err := s.content.Address.Parameters()
	require.NoError(s, err)
	rows := s.world.Rows.Get()
	require.Len(s, rows, 1)
	require.Equal(s, wanted, rows[0])
	s.clean()
}

// TestRecreateAddress shows all three effects, and that the wallet counts as
// blind for a script that it did not know.
func TestRecreateAddress(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.done(states.RecreateAddress, s.upTo(states.RecreateAddress))
	s.requireAddress()
	require.True(t, facts.Effects.RowCreated)
	require.True(t, facts.Effects.ScriptImported)
	require.Equal(t, map[int32]uint32{s.legacy(): keyIndex + 1},
		facts.Effects.KeysAdvanced)
	require.True(t, s.world.Visibility.Blind(s.pkScript()))
}

// TestRecreateAddressThere shows each effect left alone that is there already.
func TestRecreateAddressThere(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.RecreateAddress)
	row, err := s.content.Address.Parameters()
	require.NoError(t, err)

	// A row that other software restored has another height.
	row.InitiationHeight += 3
	s.world.Rows.Put(row)
	s.world.Lnd.SetNext(s.legacy(), 40)
	s.world.Lnd.Watch(s.pkScript())

	after := s.done(states.RecreateAddress, facts)
	require.Equal(t, facts.Effects, after.Effects)
	require.EqualValues(t, 40, s.world.Lnd.Next(s.legacy()))
	require.Zero(t, s.world.Count("rows.Create"))
	require.Equal(t, row, s.world.Rows.Get()[0])
	require.False(t, s.world.Visibility.Blind(s.pkScript()))
	require.False(t, s.world.Gate.Closed())
}

// TestRecreateAddressCrash kills the process after each effect.
func TestRecreateAddressCrash(t *testing.T) {
	t.Parallel()

	for _, call := range []string{
		"node.AdvanceKey", "visibility.ImportIntent",
		"node.ImportScript", "visibility.ImportDone", "gate.Close",
		"rows.Create", "gate.Open",
	} {
		s := newStory(t)
		facts := s.upTo(states.RecreateAddress)
		s.world.SetHook(twin.FailAt(
			twin.Point{Call: call, After: true}, 1,
			twin.ErrCrashed,
		))
		_, _, err := s.act(states.RecreateAddress, facts)
		if call != "gate.Open" {
			require.ErrorIs(t, err, twin.ErrCrashed, call)
		}
		s.world.SetHook(nil)
		s.world.Restart(false)

		s.done(states.RecreateAddress, facts)
		s.requireAddress()
		require.Equal(t, 1, s.world.Count("rows.Create"), call)
		require.Equal(t, keyIndex+1, s.world.Count("node.AdvanceKey"))

		// The second process finds the script imported, and still
		// knows that the wallet cannot see what came before.
		require.True(t, s.world.Visibility.Blind(s.pkScript()), call)
	}
}

// TestRecreateAddressConflict shows that another address in place blocks before
// lnd is touched.
func TestRecreateAddressConflict(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.RecreateAddress)
	other := s.world.NewContent("bob", 9)
	row, err := other.Address.Parameters()
	require.NoError(t, err)
	s.world.Rows.Put(row)

	detail := s.blocked(states.RecreateAddress, facts,
		states.AddressConflict)
	require.Contains(t, detail, "bcrt1p")
	require.Zero(t, s.world.Lnd.Next(s.legacy()))
	require.False(t, s.world.Lnd.Watches(s.pkScript()))
	require.Equal(t, row, s.world.Rows.Get()[0])

	// Two rows are in the way even if both are right.
	s = newStory(t)
	facts = s.upTo(states.RecreateAddress)
	row, err = s.content.Address.Parameters()
	require.NoError(t, err)
	s.world.Rows.Put(row)
	s.world.Rows.Put(row)
	s.blocked(states.RecreateAddress, facts, states.AddressConflict)
}

// TestRecreateAddressRace lets the embedded daemon make an address of its own
// while it is being stopped.
func TestRecreateAddressRace(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.RecreateAddress)
	s.world.Restart(false)
	other := s.world.NewContent("bob", 9)
	row, err := other.Address.Parameters()
	require.NoError(t, err)
	s.race(twin.Point{Call: "gate.Close"}, func() {
		s.world.Rows.Put(row)
	})

	s.blocked(states.RecreateAddress, facts, states.AddressConflict)
	require.Len(t, s.world.Rows.Get(), 1)
	s.clean()
}

// TestRecreateAddressKeys shows that keys that somebody else takes meanwhile
// are no trouble, that an lnd that hands a key out twice is, and that a counter
// that is absurdly far behind is not chased.
func TestRecreateAddressKeys(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.RecreateAddress)
	s.race(twin.Point{Call: "node.AdvanceKey"}, func() {
		s.world.Lnd.SetNext(
			s.legacy(), s.world.Lnd.Next(s.legacy())+1,
		)
	})
	after := s.done(states.RecreateAddress, facts)
	s.requireAddress()
	require.EqualValues(t, 2, after.Effects.KeysAdvanced[s.legacy()])

	s = newStory(t)
	facts = s.upTo(states.RecreateAddress)
	s.race(twin.Point{Call: "node.AdvanceKey"}, func() {
		s.world.Lnd.SetNext(s.legacy(), 0)
	})
	_, _, err := s.act(states.RecreateAddress, facts)
	require.ErrorContains(t, err, "again")

	s = newStory(t)
	facts = s.upTo(states.RecreateAddress)
	facts.Generation.KeyIndex = 1 << 30
	_, _, err = s.act(states.RecreateAddress, facts)
	var block *actions.BlockError
	require.ErrorAs(t, err, &block)
	require.Equal(t, states.KeyNotDerivable, block.Reason)
	require.Zero(t, s.world.Count("node.AdvanceKey"))
}

// TestRecreateAddressReport shows that what did happen is reported beside an
// error.
func TestRecreateAddressReport(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.RecreateAddress)
	s.world.SetHook(twin.FailAt(
		twin.Point{Call: "rows.Create"}, 1, errFault,
	))
	failed := s.passing(states.RecreateAddress, facts, errFault)
	require.EqualValues(t, keyIndex+1,
		failed.Effects.KeysAdvanced[s.legacy()])
	require.True(t, failed.Effects.ScriptImported)
	require.False(t, failed.Effects.RowCreated)
	require.True(t, s.world.Gate.Closed())

	after := s.done(states.RecreateAddress, failed)
	require.True(t, after.Effects.ScriptImported)
	require.True(t, after.Effects.RowCreated)
	s.requireAddress()
}

// newRescan returns a world in which the client kept its directory and lost its
// lnd.
func newRescan(t *testing.T) *story {
	s := newStory(t)
	row, err := s.content.Address.Parameters()
	require.NoError(t, err)
	s.world.Rows.Put(row)
	s.world.Tokens.Put(s.content.Token)
	s.world.Backups.Remove(s.file)

	return s
}

// TestAdopt shows a rescan taking its generation from what is in place, just as
// a restore takes it from the backup.
func TestAdopt(t *testing.T) {
	t.Parallel()

	restored := newStory(t)
	wanted := restored.done(states.RecreateAddress, restored.upTo(
		states.RecreateAddress,
	))

	s := newRescan(t)
	facts := s.done(states.RecreateAddress, actions.Facts{})
	require.Equal(t, wanted.Generation, facts.Generation)
	require.Equal(t, wanted.Birthday, facts.Birthday)
	require.False(t, facts.Effects.RowCreated)
	require.Zero(t, s.world.Count("gate.Close"))
	s.requireAddress()
}

// TestAdoptNothing shows that half a generation is not enough for a rescan, and
// that one of another seed is not taken up.
func TestAdoptNothing(t *testing.T) {
	t.Parallel()

	s := newRescan(t)
	s.world.Tokens.Lose()
	s.blocked(states.RecreateAddress, actions.Facts{},
		states.NothingToRescan)

	created := s.content.TokenCreated
	s.world.Tokens.Put(twin.NewToken("alice", created, false))
	s.blocked(states.RecreateAddress, actions.Facts{},
		states.NothingToRescan)

	s = newRescan(t)
	row := s.world.Rows.Get()[0]
	s.world.Rows.Lose()
	s.blocked(states.RecreateAddress, actions.Facts{},
		states.NothingToRescan)

	s.world.Rows.Put(row)
	s.world.Rows.Put(row)
	s.blocked(states.RecreateAddress, actions.Facts{},
		states.AddressConflict)

	s = newRescan(t)
	s.world.Lnd.Replace("mallory")
	s.blocked(states.RecreateAddress, actions.Facts{},
		states.KeyNotDerivable)
	require.Zero(t, s.world.Lnd.Next(s.legacy()))
	require.False(t, s.world.Lnd.Watches(s.pkScript()))
}
