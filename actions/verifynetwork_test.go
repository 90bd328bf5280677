package actions_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestVerifyNetwork shows the way through and that nothing was touched on it.
func TestVerifyNetwork(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.done(states.VerifyNetwork, s.upTo(states.VerifyNetwork))

	// The token is as old as block 200, where the chain was when the
	// generation was made; the median time is five blocks behind.
	require.EqualValues(t, 200+5-144, facts.Birthday)
	s.untouched()
}

// TestVerifyOtherChain shows that neither a backup of another network nor an
// lnd on another chain passes.
func TestVerifyOtherChain(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.VerifyNetwork)

	other := saved(t, facts)
	other.Generation.Network = "testnet"
	s.blocked(states.VerifyNetwork, other, states.OtherNetwork)

	s.world.Chain.SetGenesis(&chainhash.Hash{1})
	s.blocked(states.VerifyNetwork, facts, states.OtherGenesis)
	s.untouched()
}

// TestVerifyKey shows that a key that lnd does not derive blocks, and that a
// call that fails does not.
func TestVerifyKey(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.VerifyNetwork)

	s.world.SetHook(twin.FailAt(
		twin.Point{Call: "node.DeriveKey"}, 1, errFault,
	))
	s.passing(states.VerifyNetwork, facts, errFault)

	other := saved(t, facts)
	other.Generation.KeyIndex++
	s.blocked(states.VerifyNetwork, other, states.KeyNotDerivable)
	s.untouched()
}

// TestVerifyFindIndex shows that the index is found for a backup of the older
// format that does not tell it, also above the twenty that others search.
func TestVerifyFindIndex(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.content = s.world.NewContent("carol", 123)
	s.world.Backups.Remove(s.file)
	s.file = s.world.Backups.Put(place, s.content)
	s.world.Chain.Mine(1)
	wanted := s.done(states.VerifyNetwork, s.upTo(states.VerifyNetwork))

	s.world.Backups.Remove(s.file)
	s.world.Backups.PutOlder(place, s.content)
	facts := s.upTo(states.VerifyNetwork)
	require.True(t, facts.Generation.IndexUnknown)
	facts = s.done(states.VerifyNetwork, facts)
	require.Equal(t, wanted.Generation, facts.Generation)
	s.untouched()
}

// TestVerifyFindNoIndex shows that the search for a key ends at its bound.
func TestVerifyFindNoIndex(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	unknown := s.upTo(states.VerifyNetwork)
	unknown.Generation.ClientKey = unknown.Generation.ServerKey
	unknown.Generation.IndexUnknown = true
	detail := s.blocked(states.VerifyNetwork, unknown,
		states.KeyNotDerivable)
	require.Contains(t, detail, "150")
	s.untouched()
}

// TestVerifyBirthday shows where the scan starts: never after a deposit.
func TestVerifyBirthday(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.Chain.Mine(200)
	facts := s.upTo(states.VerifyNetwork)
	tip := s.world.Chain.Tip().Height

	birthday := func(change func(*actions.Generation)) int32 {
		changed := saved(t, facts)
		change(changed.Generation)

		return s.done(states.VerifyNetwork, changed).Birthday
	}

	// The height of the address was written late, by a restore.
	require.InDelta(t, 200-144, birthday(func(g *actions.Generation) {
		g.FirstHeight = tip
	}), 6)

	// The token is younger than it says, or the clock was wrong.
	require.EqualValues(t, 30, birthday(func(g *actions.Generation) {
		g.FirstHeight = 30
		g.TokenCreated = s.world.Chain.Time().Add(
			time.Hour * 24 * 365,
		).UnixNano()
	}))

	// The token is older than the chain.
	require.EqualValues(t, 1, birthday(func(g *actions.Generation) {
		g.TokenCreated = 0
	}))

	// The heights of the families never raise it.
	require.InDelta(t, 200-144, birthday(func(g *actions.Generation) {
		g.FamiliesFirstHeight = tip
	}), 6)

	above := saved(t, facts)
	above.Generation.FirstHeight = tip + 1
	s.blocked(states.VerifyNetwork, above, states.BirthdayAboveTip)
	s.untouched()
}

// TestBirthdayErraticTimes puts tokens onto a chain whose block times go back
// and forth as far as consensus allows: the scan starts before the block that
// was the tip when the token was made, and not much more than a day before.
func TestBirthdayErraticTimes(t *testing.T) {
	t.Parallel()

	const blocks, seed = 400, 7
	random := rand.New(rand.NewPCG(seed, seed))

	s := newStory(t)
	facts := s.upTo(states.VerifyNetwork)
	start := s.world.Chain.Time()
	base := s.world.Chain.Tip().Height
	for i := range blocks {
		// Miners' clocks are up to 100 minutes ahead and 30 behind.
		wrong := time.Duration(random.IntN(130)-30) * time.Minute
		s.world.Chain.MineAt(
			start.Add(time.Duration(i+1) * 10 * time.Minute).
				Add(wrong),
		)
	}
	facts.Generation.FirstHeight = s.world.Chain.Tip().Height

	var last int32
	for i := 0; i < blocks; i += 7 {
		// A token that was made between two blocks.
		created := start.Add(
			time.Duration(i+1)*10*time.Minute + time.Minute,
		)
		facts.Generation.TokenCreated = created.UnixNano()
		after := s.done(states.VerifyNetwork, facts)

		height := base + int32(i+1)
		require.Less(t, after.Birthday, height-100)
		require.Greater(t, after.Birthday, height-200)

		// An older token never has a younger birthday.
		require.GreaterOrEqual(t, after.Birthday, last)
		last = after.Birthday
	}
}
