package recoveryfsm_test

import (
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

var (
	// nothing is a directory with neither token nor row, half one with the
	// token of the run alone, whole one with both.
	nothing = recoveryfsm.InPlace{}
	half    = recoveryfsm.InPlace{TokenID: "aa"}
	whole   = recoveryfsm.InPlace{TokenID: "aa", Row: true}

	// foreign is a token that is not the run's, orphan a row alone.
	foreign = recoveryfsm.InPlace{TokenID: "bb"}
	orphan  = recoveryfsm.InPlace{Row: true}
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

// halted returns the same run, halted in the state.
func halted(state states.State, automatic bool) recoveryfsm.Run {
	run := restoring(state, automatic)
	run.Halted = &recoveryfsm.Halt{Reason: states.JournalFailed}

	return run
}

// TestHolds checks when the swap client waits for a run: where nothing could
// run that does not buy a token, while token and row are written, and when a run
// stopped between the two; never else.
func TestHolds(t *testing.T) {
	all := []recoveryfsm.InPlace{nothing, half, whole, foreign, orphan}
	for state, run := range map[string]struct {
		run   recoveryfsm.Run
		holds []recoveryfsm.InPlace
	}{
		"a person's, looking": {
			restoring(states.LocateBackup, false),
			[]recoveryfsm.InPlace{nothing},
		},
		"automatic, looking": {
			restoring(states.LocateBackup, true), all,
		},
		"writing the token": {
			restoring(states.ImportToken, false), all,
		},
		"writing the row": {
			restoring(states.RecreateAddress, true), all,
		},
		"scanning": {restoring(states.ScanDeposits, true), nil},
		"checking": {restoring(states.Reconciled, true), nil},
		"a person's, blocked before its first effect": {
			stopped(states.VerifyNetwork, false), nil,
		},
		"automatic, blocked before its first effect": {
			stopped(states.LocateBackup, true),
			[]recoveryfsm.InPlace{nothing},
		},
		"a person's, blocked at the token": {
			stopped(states.ImportToken, false),
			[]recoveryfsm.InPlace{half},
		},
		"blocked at the row": {
			stopped(states.RecreateAddress, false),
			[]recoveryfsm.InPlace{half},
		},
		"automatic, blocked at the row": {
			stopped(states.RecreateAddress, true),
			[]recoveryfsm.InPlace{nothing, half},
		},
		"blocked in the scan": {
			stopped(states.ScanDeposits, true), nil,
		},
		"halted at the row": {
			halted(states.RecreateAddress, false),
			[]recoveryfsm.InPlace{half},
		},
		"halted while looking": {
			halted(states.LocateBackup, false), nil,
		},
	} {
		for _, here := range all {
			require.Equal(t, contains(run.holds, here),
				run.run.Holds(here), "%s, %+v", state, here)
		}
	}
}

// contains reports whether a list has an element.
func contains(list []recoveryfsm.InPlace, here recoveryfsm.InPlace) bool {
	for _, other := range list {
		if other == here {
			return true
		}
	}

	return false
}

// TestHoldsNotWhileItTriesAgain checks that a run which the daemon began by
// itself, and which a file that cannot be read keeps trying, does not keep the
// swap client of a half install down.
func TestHoldsNotWhileItTriesAgain(t *testing.T) {
	run := restoring(states.Decrypt, true)
	run.Attempt = 1
	require.False(t, run.Holds(half))
	require.False(t, run.Holds(orphan))
	require.True(t, run.Holds(nothing))
}

// TestHoldsUnknown checks that a run of a newer version holds the swap client
// only if it stood between token and row, or has an empty directory to itself.
func TestHoldsUnknown(t *testing.T) {
	run := restoring(states.State("Later"), false)
	run.Version = 99
	require.False(t, run.Holds(nothing))
	require.False(t, run.Holds(half))

	run.Facts.Effects.TokenPlaced = true
	require.True(t, run.Holds(half))
	require.False(t, run.Holds(whole))

	run.Facts.Request.Automatic = true
	require.True(t, run.Holds(nothing))
}

// TestHoldsNever checks that neither a finished run nor a rescan holds it.
func TestHoldsNever(t *testing.T) {
	run := restoring(states.ImportToken, true)
	run.Finished = true
	require.False(t, run.Holds(nothing))

	for _, state := range states.RescanTable().Path {
		run := restoring(state, true)
		run.Kind = states.Rescan
		require.False(t, run.Holds(nothing), state)
		require.False(t, run.Holds(whole), state)
	}
}
