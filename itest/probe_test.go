package itest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/staticaddr/address"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/staticaddr"
	"github.com/stretchr/testify/require"
)

// databaseName is the file of upstream's database.
const databaseName = "loop_sqlite.db"

// databaseFiles are all files of upstream's database.
var databaseFiles = []string{
	databaseName, databaseName + "-wal", databaseName + "-shm",
}

// addressRows returns the static addresses in the database of a stopped daemon.
func (s *story) addressRows(loopd *regtest.Loopd) []*script.Parameters {
	s.Helper()

	require.False(s, loopd.Running())
	store, err := loopdb.NewSqliteStore(&loopdb.SqliteConfig{
		SkipMigrations:   true,
		DatabaseFileName: filepath.Join(loopd.DataDir(), databaseName),
	}, regtest.Params)
	require.NoError(s, err)
	rows, err := address.NewSqlStore(
		store.BaseDB,
	).GetAllStaticAddresses(s.Context())
	require.NoError(s, err)
	require.NoError(s, store.Close())

	return rows
}

// removeRow removes upstream's database of a stopped daemon, and so the address
// row.
func (s *story) removeRow(loopd *regtest.Loopd) {
	s.Helper()

	require.False(s, loopd.Running())
	for _, name := range databaseFiles {
		err := os.RemoveAll(filepath.Join(loopd.DataDir(), name))
		require.NoError(s, err)
	}
}

// removeToken removes the paid token of a stopped daemon.
func (s *story) removeToken(loopd *regtest.Loopd) {
	s.Helper()

	s.noteSecrets(loopd)
	require.NoError(s, os.Remove(loopd.TokenPath()))
}

// removeBackups removes the backups in a daemon's data directory.
func (s *story) removeBackups(loopd *regtest.Loopd) {
	s.Helper()

	for _, backup := range s.backups(loopd) {
		err := os.Remove(filepath.Join(loopd.DataDir(), backup.name))
		require.NoError(s, err)
	}
}

// keyCounters returns the index of the next key that an lnd hands out in each
// of the families of static addresses; a family that lnd never used has none.
func (s *story) keyCounters(lnd *regtest.Lnd) map[int32]uint32 {
	s.Helper()

	conn, err := lnd.Conn()
	require.NoError(s, err)
	accounts, err := walletrpc.NewWalletKitClient(conn).ListAccounts(
		s.Context(), &walletrpc.ListAccountsRequest{},
	)
	require.NoError(s, err)

	counters := make(map[int32]uint32)
	for _, family := range []int32{
		staticaddr.LegacyFamily, staticaddr.ReceiveFamily,
		staticaddr.ChangeFamily,
	} {
		path := fmt.Sprintf("m/%d'/%d'/%d'", keychain.BIP0043Purpose,
			regtest.Params.HDCoinType, family)
		for _, account := range accounts.Accounts {
			if account.DerivationPath == path {
				counters[family] = account.ExternalKeyCount
			}
		}
	}

	return counters
}

// saveLnd stops an lnd and copies its directory. It returns the copy.
func (s *story) saveLnd(lnd *regtest.Lnd) string {
	s.Helper()

	saved := filepath.Join(s.scratch, lnd.Name())
	require.NoError(s, lnd.Stop())
	s.copyDir(saved, lnd.Dir())

	return saved
}

// revertLnd makes an lnd what it was when its directory was copied, and starts
// it.
func (s *story) revertLnd(lnd *regtest.Lnd, saved string) {
	s.Helper()

	require.NoError(s, lnd.Stop())
	require.NoError(s, os.RemoveAll(lnd.Dir()))
	s.copyDir(lnd.Dir(), saved)
	require.NoError(s, lnd.Start(s.Context()))
}

// copyDir copies a directory to a place where there is nothing yet, with the
// permissions of its files.
func (s *story) copyDir(to, from string) {
	s.Helper()

	require.NoError(s, os.CopyFS(to, os.DirFS(from)))
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry,
		err error) error {

		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}

		return os.Chmod(filepath.Join(to, relative), info.Mode().Perm())
	})
	require.NoError(s, err)
}
