package recoverydb

import (
	"errors"
	"testing"

	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestWithout checks that a process whose journal cannot be opened has one that
// answers, proves nothing, and takes nothing: a recovery would have to be
// remembered.
func TestWithout(t *testing.T) {
	cause := errors.New("no space left on device")
	db, err := OpenWithout(cause)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.True(t, db.Report().ReadOnly())
	require.Equal(t, []states.Notice{{
		Warning: states.WarnJournalUnreadable, Detail: cause.Error(),
	}}, db.Report().Notices())

	run, err := db.Journal().Unfinished(t.Context())
	require.NoError(t, err)
	require.Nil(t, run)
	err = db.Journal().CreateRun(t.Context(), recoveryfsm.Run{
		ID: "00000000000000000000000000000001", Kind: states.Restore,
	})
	require.ErrorIs(t, err, cause)

	snapshot, err := db.Ledger().Load(t.Context())
	require.NoError(t, err)
	require.True(t, snapshot.Unproven)
}
