package states

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRows checks what the tables say about their states: a restore keeps the
// swap client down until token and address are in place, and looks before it
// changes anything; a rescan keeps nothing down.
func TestRows(t *testing.T) {
	table := RestoreTable()
	for _, state := range append([]State{Start}, table.Path...) {
		row := table.Row(state)
		scans := state == ScanDeposits || state == Reconciled
		require.Equal(t, !scans, row.Holds, state)
	}
	for _, state := range []State{
		Start, LocateBackup, Decrypt, VerifyNetwork, Reconciled,
		Blocked, Cancelled, "Elsewhere",
	} {
		require.False(t, table.Row(state).HasEffect(), state)
		require.False(t, table.Row(state).Allows(TokenFile), state)
	}
	require.True(t, table.Row(ImportToken).Allows(TokenFile))
	require.False(t, table.Row(ImportToken).Allows(AddressRow))
	require.True(t, table.Row(RecreateAddress).Allows(AddressRow))
	require.False(t, table.Row(ScanDeposits).Allows(WatchedScript))

	rescan := RescanTable()
	for _, state := range append([]State{Start}, rescan.Path...) {
		require.False(t, rescan.Row(state).Holds, state)
		require.Equal(t, effects[state], rescan.Row(state).Effects)
	}
}
