package actions_test

import (
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestOtherLnd shows that no state goes on with another lnd than the one that
// the run began with.
func TestOtherLnd(t *testing.T) {
	t.Parallel()

	for _, state := range states.RestoreTable().Path {
		s := newStory(t)
		facts := s.upTo(state)
		if state == states.LocateBackup {
			facts = s.done(state, facts)
		}

		s.world.Lnd.Replace("mallory")
		calls := len(s.world.Calls())
		s.blocked(state, facts, states.WrongLnd)
		require.Len(t, s.world.Calls(), calls+1, state)
	}
}

// TestRightLnd shows that a run that was stopped because it began with the
// wrong lnd goes on once loopd is pointed at the right one.
func TestRightLnd(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.Lnd.Replace("mallory")
	_, facts, err := s.act(states.LocateBackup, actions.Facts{
		Request: actions.Request{BackupFile: s.file},
	})
	requireBlock(t, err, states.OtherSeed)
	require.Empty(t, facts.Node)

	s.world.Lnd.Replace("client")
	for _, state := range states.RestoreTable().Path {
		facts = s.done(state, facts)
	}

	s = newRescan(t)
	s.world.Lnd.Replace("mallory")
	_, facts, err = s.act(states.RecreateAddress, actions.Facts{})
	requireBlock(t, err, states.KeyNotDerivable)

	s.world.Lnd.Replace("client")
	s.done(states.RecreateAddress, facts)
	s.requireAddress()
}

// TestNoFacts shows that a state that was entered without what it builds upon
// does nothing.
func TestNoFacts(t *testing.T) {
	t.Parallel()

	for _, state := range []states.State{
		states.Decrypt, states.VerifyNetwork, states.ImportToken,
		states.ScanDeposits, states.Reconciled,
	} {
		s := newStory(t)
		_, _, err := s.act(state, actions.Facts{})
		require.Error(t, err, state)
		s.untouched()
	}
}
