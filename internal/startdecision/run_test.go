package startdecision

import (
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestNewRun checks where the runs of each state stand.
func TestNewRun(t *testing.T) {
	phases := map[states.State]Phase{
		states.Start:           Before,
		states.LocateBackup:    Before,
		states.Decrypt:         Before,
		states.VerifyNetwork:   Before,
		states.ImportToken:     Writing,
		states.RecreateAddress: Writing,
		states.ScanDeposits:    After,
		states.Reconciled:      After,
	}
	table := states.RestoreTable()
	require.Len(t, phases, len(table.Path)+1)

	half := recoveryfsm.InPlace{TokenID: "aa"}
	for state, phase := range phases {
		run := recoveryfsm.Run{
			Kind: states.Restore, Version: table.Version,
			State: state, Attempt: 1,
			Facts: actions.Facts{
				Request: actions.Request{Automatic: true},
				Located: &actions.Located{TokenID: "aa"},
			},
		}
		stands := &Run{
			Kind: states.Restore, Phase: phase, Automatic: true,
			Retrying: true, Halfway: phase == Writing,
		}
		require.Equal(t, stands, NewRun(run, half), state)

		// Blocked, it is judged by the state that it left.
		run.State, run.BlockedFrom = states.Blocked, state
		run.Attempt = 0
		stands.Blocked, stands.Retrying = true, false
		require.Equal(t, stands, NewRun(run, half), state)
	}

	for _, state := range states.RescanTable().Path {
		run := recoveryfsm.Run{
			Kind:    states.Rescan,
			Version: states.RescanTable().Version, State: state,
		}
		require.Equal(t, After, NewRun(run, half).Phase, state)
	}
}

// TestNewRunUnknown checks that a run of a table that this binary does not know
// counts as blocked, and holds nothing but what it left half written.
func TestNewRunUnknown(t *testing.T) {
	run := recoveryfsm.Run{
		Kind: states.Restore, Version: 99, State: "Later",
		Facts: actions.Facts{
			Located: &actions.Located{TokenID: "aa"},
		},
	}
	half := recoveryfsm.InPlace{TokenID: "aa"}
	require.Equal(t, &Run{
		Kind: states.Restore, Phase: Before, Blocked: true,
	}, NewRun(run, half))

	run.Facts.Effects.TokenPlaced = true
	require.True(t, NewRun(run, half).Halfway)
}
