package loopd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightningnetwork/lnd/kvdb"
	"github.com/lightningnetwork/lnd/macaroons"
	"gopkg.in/macaroon-bakery.v2/bakery"
)

// macaroonDBName is upstream's file of macaroon root keys.
const macaroonDBName = "macaroons.db"

// macaroonStore is upstream's store of macaroon root keys, which only one
// process can have open. Upstream's loopd opens it at its start and gives up if
// it cannot. So we hold it whenever the embedded daemon is down: upstream's
// loopd, started on a directory whose restore is not finished, would buy
// another token. The embedded daemon opens it, too, and is handed it over: it
// is let go right before a start and taken again as soon as the daemon has
// ended.
type macaroonStore struct {
	// dir is the network directory.
	dir string

	mu    sync.Mutex
	db    kvdb.Backend
	store bakery.RootKeyStore

	// crashed is the file at whose opening bbolt panicked, which leaves it
	// open: it is not tried again before it is another one.
	crashed fs.FileInfo
}

// path returns the store's file.
func (m *macaroonStore) path() string {
	return filepath.Join(m.dir, macaroonDBName)
}

// take opens the store, if it is not open, and returns it.
func (m *macaroonStore) take() (bakery.RootKeyStore, error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if m.db != nil {
		return m.store, nil
	}

	if m.crashed != nil && m.unchanged() {
		return nil, macaroonsDamaged(m.path(), errCrashed)
	}
	if err := m.open(); err != nil {
		return nil, openError(m.path(), err)
	}

	return m.store, nil
}

// errCrashed means that the file is so damaged that reading it cannot go on.
var errCrashed = errors.New("its pages contradict each other")

// unchanged reports whether the file is still the one of crashed.
func (m *macaroonStore) unchanged() bool {
	info, err := os.Stat(m.path())

	return err == nil && os.SameFile(info, m.crashed) &&
		info.Size() == m.crashed.Size() &&
		info.ModTime().Equal(m.crashed.ModTime())
}

// open opens the store. It leaves nothing open if it fails.
func (m *macaroonStore) open() (err error) {
	defer func() {
		if recover() == nil {
			return
		}
		m.crashed, _ = os.Stat(m.path())
		err = macaroonsDamaged(m.path(), errCrashed)
	}()

	db, err := kvdb.GetBoltBackend(&kvdb.BoltBackendConfig{
		DBPath: m.dir, DBFileName: macaroonDBName,
		DBTimeout: loopdb.DefaultLoopDBTimeout,
	})
	if err != nil {
		return err
	}
	store, err := macaroons.NewRootKeyStorage(db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	m.db, m.store = db, store

	return nil
}

// letGo closes the store, if it is open.
func (m *macaroonStore) letGo() error {
	m.mu.Lock()
	defer m.mu.Unlock()

	if m.db == nil {
		return nil
	}
	err := m.db.Close()
	m.db, m.store = nil, nil

	return err
}

// takeAfter passes on the one value that says that the embedded daemon has
// ended, and takes the store again before.
func (m *macaroonStore) takeAfter(exited <-chan error) <-chan error {
	passed := make(chan error, 1)
	go func() {
		err := <-exited
		if _, storeErr := m.take(); storeErr != nil {
			log.Errorf("Another loopd may start here: %v", storeErr)
		}
		passed <- err
	}()

	return passed
}
