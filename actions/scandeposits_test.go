package actions_test

import (
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// nextLegacy, nextReceive and nextChange are where lnd's counters stand
	// after a scan of the tests' world: past the restored index and the
	// margin, and past the used indices 2 and 4 and the look-ahead.
	nextLegacy  = keyIndex + 1 + twin.KeyMargin
	nextReceive = 2 + 1 + twin.LookAhead
	nextChange  = twin.LookAhead + twin.LookAhead
)

// requireCounters makes sure that lnd hands out no used key again, and that its
// counters were moved no further than needed.
func (s *story) requireCounters() {
	s.Helper()

	address := s.content.Address
	require.EqualValues(s, nextLegacy, s.world.Lnd.Next(s.legacy()))
	require.EqualValues(s, nextReceive,
		s.world.Lnd.Next(address.ReceiveFamily))
	require.EqualValues(s, nextChange,
		s.world.Lnd.Next(address.ChangeFamily))
}

// requirePublished makes sure that the embedded daemon is told exactly what a
// walk over the whole chain finds.
func (s *story) requirePublished() {
	s.Helper()

	truth := s.world.Chain.Truth(s.families, twin.LookAhead)
	published, ok := s.world.Visibility.Published(runID)
	require.True(s, ok)
	require.ElementsMatch(s, truth, published)
	require.Len(s, truth, len(s.deposits))
	require.False(s, s.world.Visibility.Blind(s.pkScript()))
}

// TestScanDeposits shows all deposits found and published, the counters moved,
// and the evidence recorded.
func TestScanDeposits(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.done(states.ScanDeposits, s.upTo(states.ScanDeposits))
	s.requirePublished()
	s.requireCounters()
	s.clean()

	require.Equal(t, map[int32]uint32{
		s.legacy():                      nextLegacy,
		s.content.Address.ReceiveFamily: nextReceive,
		s.content.Address.ChangeFamily:  nextChange,
	}, facts.Effects.KeysAdvanced)
	require.Equal(t, s.world.Chain.Tip(), facts.Coverage.Tip)
	require.Equal(t, facts.Birthday, facts.Coverage.Birthday)
	require.Len(t, facts.Coverage.Families, 3)
}

// TestScanDepositsAgain shows that a scan that is done again moves no counter
// and publishes the same.
func TestScanDepositsAgain(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	before := s.upTo(states.ScanDeposits)
	facts := s.done(states.ScanDeposits, before)
	advanced := s.world.Count("node.AdvanceKey")

	again := s.done(states.ScanDeposits, before)
	require.Equal(t, advanced, s.world.Count("node.AdvanceKey"))
	require.Equal(t, before.Effects, again.Effects)
	require.Equal(t, facts.Coverage.Families, again.Coverage.Families)
	s.requirePublished()
	s.requireCounters()
}

// TestScanDepositsKept shows that the counters of an lnd that was never lost
// stay where they are.
func TestScanDepositsKept(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	families := []int32{
		s.legacy(), s.content.Address.ReceiveFamily,
		s.content.Address.ChangeFamily,
	}
	for _, family := range families {
		s.world.Lnd.SetNext(family, 5_000)
	}
	facts := s.done(states.ScanDeposits, s.upTo(states.ScanDeposits))
	require.Empty(t, facts.Effects.KeysAdvanced)
	for _, family := range families {
		require.EqualValues(t, 5_000, s.world.Lnd.Next(family))
	}
}

// TestScanDepositsCrash kills the process after each effect.
func TestScanDepositsCrash(t *testing.T) {
	t.Parallel()

	for _, call := range []string{
		"chain.Block", "checkpoint.Commit", "scanner.Scan",
		"visibility.Publish", "node.AdvanceKey",
	} {
		s := newStory(t)
		facts := s.upTo(states.ScanDeposits)
		s.crash(states.ScanDeposits, facts, call)

		s.done(states.ScanDeposits, facts)
		s.requirePublished()
		s.requireCounters()
		s.clean()
	}
}

// TestScanDepositsPruned shows that a block that the node does not have stops
// the run by name, without a word to the embedded daemon, and that the run goes
// on once the block is there.
func TestScanDepositsPruned(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.ScanDeposits)
	hash, err := s.world.Chain.BlockHash(t.Context(), 100)
	require.NoError(t, err)
	s.world.Chain.Prune(100)

	detail := s.blocked(states.ScanDeposits, facts,
		states.BlocksUnavailable)
	require.Contains(t, detail, "height 100")
	require.Contains(t, detail, hash.String())
	_, published := s.world.Visibility.Published(runID)
	require.False(t, published)
	require.EqualValues(t, keyIndex+1, s.world.Lnd.Next(s.legacy()))

	s.world.Chain.Unprune()
	s.done(states.ScanDeposits, facts)
	s.requirePublished()
}

// TestScanDepositsSecondLoss loses lnd twice. The first restore moves the
// counters past a look-ahead of keys that are never used; a deposit to any of
// the look-ahead that is handed out from there on must still be found by the
// second one.
func TestScanDepositsSecondLoss(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.done(states.ScanDeposits, s.upTo(states.ScanDeposits))
	last := uint32(nextReceive + twin.LookAhead - 1)
	s.pay(1, last, 600_000)
	s.world.Chain.Mine(1)

	s.world.Lnd.Rebuild()
	s.world.Tokens.Lose()
	s.world.Rows.Lose()
	facts := s.done(states.ScanDeposits, s.upTo(states.ScanDeposits))

	published, ok := s.world.Visibility.Published(runID)
	require.True(t, ok)
	require.Len(t, published, len(s.deposits))
	require.EqualValues(t, last+1, facts.Coverage.Families[1].Used)
	require.EqualValues(t, last+1+twin.LookAhead,
		s.world.Lnd.Next(s.content.Address.ReceiveFamily))
}

// TestScanDepositsPassing shows that what can pass is not taken for an answer.
func TestScanDepositsPassing(t *testing.T) {
	t.Parallel()

	for _, call := range []string{
		"node.Account", "node.DeriveKey", "scanner.Scan",
		"visibility.Publish", "node.AdvanceKey",
	} {
		s := newStory(t)
		facts := s.upTo(states.ScanDeposits)
		s.world.SetHook(twin.FailAt(
			twin.Point{Call: call}, 1, errFault,
		))
		failed := s.passing(states.ScanDeposits, facts, errFault)
		require.Nil(t, failed.Coverage)

		s.done(states.ScanDeposits, failed)
		s.requirePublished()
		s.requireCounters()
	}
}

// TestScanDepositsWrongAccount shows that a scan does not begin with scripts of
// keys that lnd would not derive: it would find nothing, with confidence.
func TestScanDepositsWrongAccount(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.ScanDeposits)
	deps := s.world.Deps()
	deps.Node = &otherAccounts{Node: s.world.Lnd, other: twin.NewWorld()}
	_, err := actions.Set(deps, runID)[states.ScanDeposits](
		t.Context(), facts,
	)
	require.ErrorContains(t, err, "does not lead to the keys")
	require.Zero(t, s.world.Count("scanner.Scan"))
}
