package loopd

import (
	"fmt"
	"sync"

	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightningnetwork/lnd/kvdb"
	"gopkg.in/macaroon-bakery.v2/bakery"
)

// macaroonDBName is upstream's file of macaroon root keys.
const macaroonDBName = "macaroons.db"

// macaroonStore is upstream's store of macaroon root keys, which only one
// process can have open. Upstream's loopd opens it at its start and gives up if
// it cannot. So we hold it whenever the embedded daemon is down: upstream's
// loopd, started on a directory whose restore is not finished, would buy
// another token. The embedded daemon opens it, too, and is handed it over: it is
// let go right before a start and taken again as soon as the daemon has ended.
type macaroonStore struct {
	// dir is the network directory.
	dir string

	mu    sync.Mutex
	db    kvdb.Backend
	store bakery.RootKeyStore
}

// take opens the store, if it is not open, and returns it.
func (m *macaroonStore) take() (bakery.RootKeyStore, error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if m.db != nil {
		return m.store, nil
	}

	store, db, err := lndclient.NewBoltMacaroonStore(
		m.dir, macaroonDBName, loopdb.DefaultLoopDBTimeout,
	)
	if err != nil {
		return nil, fmt.Errorf("macaroon store: %w (is another loopd "+
			"running on this directory?)", err)
	}
	m.db, m.store = db, store

	return store, nil
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
