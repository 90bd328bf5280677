package recoverydb

import (
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/internal/keeper/memorytest"
	"github.com/stretchr/testify/require"
)

// TestKeeper runs the suite of memories on the database.
func TestKeeper(t *testing.T) {
	memorytest.Run(t, func(t *testing.T) (keeper.Memory,
		func() keeper.Memory) {

		path := filepath.Join(t.TempDir(), "recovery.db")
		db, err := Open(path)
		require.NoError(t, err)
		t.Cleanup(func() { _ = db.Close() })

		return db.Keeper(), func() keeper.Memory {
			require.NoError(t, db.Close())
			db, err = Open(path)
			require.NoError(t, err)

			return db.Keeper()
		}
	})
}
