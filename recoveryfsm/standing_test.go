package recoveryfsm_test

import (
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// restoring returns a restore of token aa in a state.
func restoring(state states.State, automatic bool) recoveryfsm.Run {
	return recoveryfsm.Run{
		Kind: states.Restore, Version: states.RestoreTable().Version,
		State: state,
		Facts: actions.Facts{
			Request: actions.Request{Automatic: automatic},
			Located: &actions.Located{TokenID: "aa"},
		},
	}
}

// stopped returns the same run, blocked in the state.
func stopped(state states.State, automatic bool) recoveryfsm.Run {
	run := restoring(states.Blocked, automatic)
	run.BlockedFrom = state

	return run
}

// TestStanding checks that a blocked run stands in the state that it left, and
// that nobody works on one that is blocked, halted or of another version.
func TestStanding(t *testing.T) {
	table := states.RestoreTable()
	for _, state := range table.Path {
		works := restoring(state, false).Standing()
		require.Equal(t, table.Row(state), works.Row)
		require.False(t, works.Stopped)

		blocked := stopped(state, false).Standing()
		require.Equal(t, table.Row(state), blocked.Row)
		require.True(t, blocked.Stopped)

		halted := restoring(state, false)
		halted.Halted = &recoveryfsm.Halt{
			Reason: states.JournalFailed,
		}
		require.True(t, halted.Standing().Stopped)

		newer := restoring(state, false)
		newer.Version++
		require.Equal(t, recoveryfsm.Standing{Stopped: true},
			newer.Standing())
	}
}

// TestHalfway checks which runs stand between token and row: those that came to
// write them and of which only the token is there. That is probed, since the
// process can have died before it was saved.
func TestHalfway(t *testing.T) {
	half := recoveryfsm.InPlace{TokenID: "aa"}
	for _, state := range []states.State{
		states.ImportToken, states.RecreateAddress,
	} {
		for _, run := range []recoveryfsm.Run{
			restoring(state, false), stopped(state, true),
		} {
			require.True(t, run.Halfway(half))
			for _, here := range []recoveryfsm.InPlace{
				{}, {Row: true}, {TokenID: "bb"},
				{TokenID: "aa", Row: true},
			} {
				require.False(t, run.Halfway(here), "%+v", here)
			}

			run.Finished = true
			require.False(t, run.Halfway(half))
		}
	}

	// Half an install is not halfway through a recovery.
	for _, state := range []states.State{
		states.Start, states.LocateBackup, states.VerifyNetwork,
		states.ScanDeposits, states.Reconciled,
	} {
		require.False(t, stopped(state, true).Halfway(half), state)
	}

	newer := restoring(states.State("Later"), false)
	newer.Version++
	require.False(t, newer.Halfway(half))
	newer.Facts.Effects.TokenPlaced = true
	require.True(t, newer.Halfway(half))
}
