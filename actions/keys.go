package actions

import (
	"context"
	"fmt"
	"maps"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// maxKeysAdvanced is the largest number of keys that one state derives to move
// a counter: about an hour of work for lnd.
const maxKeysAdvanced = 1_000_000

// account returns the extended public key of a key family and the next index
// that lnd would hand out. It makes sure that the family's keys, derived
// locally, are lnd's: with others a scan would find nothing and say so with
// confidence. Asking lnd for a key first also makes an account of a family
// that was never used before.
func (r *run) account(ctx context.Context, family int32) (
	*hdkeychain.ExtendedKey, uint32, error) {

	first, err := r.Node.DeriveKey(ctx, keychain.KeyLocator{
		Family: keychain.KeyFamily(family),
	})
	if err != nil {
		return nil, 0, err
	}

	account, next, err := r.Node.Account(ctx, family)
	if err != nil {
		return nil, 0, err
	}

	local, err := staticaddr.ChildKey(account, 0)
	if err != nil {
		return nil, 0, err
	}
	if !local.IsEqual(first) {
		return nil, 0, fmt.Errorf("the account key of family %d does "+
			"not lead to the keys that lnd derives", family)
	}

	return account, next, nil
}

// advanceKeys moves lnd's counter of a key family until the next key that it
// hands out has at least the given index. The counter is read first and never
// moved further than needed, so that it can be called again at any time.
func (r *run) advanceKeys(ctx context.Context, facts *Facts, family int32,
	wanted uint32) error {

	_, next, err := r.account(ctx, family)
	if err != nil {
		return err
	}

	if next < wanted && wanted-next > maxKeysAdvanced {
		return &BlockError{
			Reason: states.KeyNotDerivable,
			Detail: fmt.Sprintf("key family %d would have to be "+
				"advanced from index %d to %d", family, next,
				wanted),
		}
	}

	for next < wanted {
		index, err := r.Node.AdvanceKey(ctx, family)
		if err != nil {
			return err
		}

		// The embedded daemon takes keys too: an index can be skipped,
		// but none can come twice.
		if index < next {
			return fmt.Errorf("lnd handed out key %d of family %d "+
				"again, expected %d", index, family, next)
		}
		next = index + 1
		countKey(&facts.Effects, family)
	}

	return nil
}

// countKey counts one derived key, in a map of its own: facts are passed by
// value and share theirs.
func countKey(effects *Effects, family int32) {
	counts := maps.Clone(effects.KeysAdvanced)
	if counts == nil {
		counts = make(map[int32]uint32)
	}
	counts[family]++
	effects.KeysAdvanced = counts
}
