package staticaddr

import (
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
)

// FindKey looks for a public key among those that lnd derives for the indices
// of a key family, from 0 up to and including the given one, and returns its
// index and whether it was found.
func FindKey(account *hdkeychain.ExtendedKey, wanted *btcec.PublicKey,
	last uint32) (uint32, bool, error) {

	branch, err := keyBranch(account)
	if err != nil {
		return 0, false, err
	}

	for index := range last + 1 {
		key, err := branchKey(branch, index)
		if err != nil {
			return 0, false, err
		}
		if key.IsEqual(wanted) {
			return index, true, nil
		}
	}

	return 0, false, nil
}
