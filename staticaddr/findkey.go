package staticaddr

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
)

// FindKey looks for a public key among those that lnd derives for the indices
// of a key family, from 0 up to and including the given one, and returns its
// index and whether it was found. It uses all processors.
func FindKey(account *hdkeychain.ExtendedKey, wanted *btcec.PublicKey,
	last uint32) (uint32, bool, error) {

	branch, err := keyBranch(account)
	if err != nil {
		return 0, false, err
	}

	// The keys of a family differ, so that only one of the searches ends
	// with an index.
	var (
		stop     atomic.Bool
		searches sync.WaitGroup
		count    = uint64(runtime.GOMAXPROCS(0))
		results  = make([]searchResult, count)
	)
	for first := range count {
		searches.Go(func() {
			results[first] = search(
				branch, wanted, first, uint64(last), count,
				&stop,
			)
		})
	}
	searches.Wait()

	for _, result := range results {
		if result.found {
			return result.index, true, nil
		}
		err = errors.Join(err, result.err)
	}

	return 0, false, err
}

// searchResult is the end of a search in a part of the indices.
type searchResult struct {
	index uint32
	found bool
	err   error
}

// search looks for a key at every count-th index from first to last, until it
// is found there or elsewhere.
func search(branch *hdkeychain.ExtendedKey, wanted *btcec.PublicKey, first,
	last, count uint64, stop *atomic.Bool) searchResult {

	for index := first; index <= last && !stop.Load(); index += count {
		key, err := branchKey(branch, uint32(index))
		if err != nil {
			return searchResult{err: err}
		}
		if key.IsEqual(wanted) {
			stop.Store(true)
			return searchResult{index: uint32(index), found: true}
		}
	}

	return searchResult{}
}
