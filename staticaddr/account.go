package staticaddr

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
)

const (
	// accountDepth is the depth of an account key in the tree of BIP 32:
	// lnd's accounts lie at m/1017'/coin'/family'.
	accountDepth = 3

	// externalBranch is the branch of an account that holds lnd's keys.
	externalBranch = 0
)

// ErrAccount is wrapped by every error about an account's extended key.
var ErrAccount = errors.New("invalid account key")

// ParseAccount decodes the extended public key of one of lnd's key families,
// as WalletKit.ListAccounts exports it. It refuses a private key, the key of
// another network and a key that is not an account of lnd's scheme.
//
// lnd keeps the accounts of its own scheme with the plain version bytes of the
// network (btcwallet rewrites those of its default scopes only), so xpub is
// right on mainnet and tpub on the test networks.
func ParseAccount(xpub string, params *chaincfg.Params) (
	*hdkeychain.ExtendedKey, error) {

	account, err := hdkeychain.NewKeyFromString(xpub)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAccount, err)
	}

	switch {
	case account.IsPrivate():
		account.Zero()

		return nil, fmt.Errorf("%w: a private key", ErrAccount)

	case !account.IsForNet(params):
		return nil, fmt.Errorf("%w: not a key of %s", ErrAccount,
			params.Name)

	case account.Depth() != accountDepth:
		return nil, fmt.Errorf("%w: depth %d instead of %d",
			ErrAccount, account.Depth(), accountDepth)

	case account.ChildIndex() < hdkeychain.HardenedKeyStart:
		return nil, fmt.Errorf("%w: child %d is not hardened",
			ErrAccount, account.ChildIndex())
	}

	return account, nil
}

// errNoAccount says that there is no key at all.
var errNoAccount = fmt.Errorf("%w: missing", ErrAccount)

// childID determines a key of an account.
type childID struct {
	account string
	index   uint32
}

// children are the keys that were asked for last.
var children memo[childID, *btcec.PublicKey]

// ChildKey returns the public key that lnd derives for an index of a key
// family: child 0/index of the family's account.
func ChildKey(account *hdkeychain.ExtendedKey, index uint32) (*btcec.PublicKey,
	error) {

	if account == nil {
		return nil, errNoAccount
	}
	id := childID{account.String(), index}

	return children.get(id, func() (*btcec.PublicKey, error) {
		branch, err := keyBranch(account)
		if err != nil {
			return nil, err
		}

		return branchKey(branch, index)
	})
}

// branches are the branches that were asked for last.
var branches memo[string, *hdkeychain.ExtendedKey]

// keyBranch returns the branch of an account that holds lnd's keys.
func keyBranch(account *hdkeychain.ExtendedKey) (*hdkeychain.ExtendedKey,
	error) {

	if account == nil {
		return nil, errNoAccount
	}

	return branches.get(account.String(),
		func() (*hdkeychain.ExtendedKey, error) {
			branch, err := account.Derive(externalBranch)
			if err != nil {
				return nil, fmt.Errorf("%w: branch: %w",
					ErrAccount, err)
			}

			return branch, nil
		})
}

// branchKey returns the public key of an index of a branch.
func branchKey(branch *hdkeychain.ExtendedKey, index uint32) (*btcec.PublicKey,
	error) {

	if index > maxIndex {
		return nil, fmt.Errorf("%w: index %d is hardened", ErrAccount,
			index)
	}

	child, err := branch.Derive(index)
	if err != nil {
		return nil, fmt.Errorf("%w: child %d: %w", ErrAccount, index,
			err)
	}

	return child.ECPubKey()
}

// parsed are the keys that were parsed last.
var parsed memo[[btcec.PubKeyBytesLenCompressed]byte, *btcec.PublicKey]

// ParseKey returns a public key from its compressed form, 33 bytes.
func ParseKey(raw []byte) (*btcec.PublicKey, error) {
	if len(raw) != btcec.PubKeyBytesLenCompressed {
		return nil, fmt.Errorf("%w: a public key of %d bytes",
			ErrAccount, len(raw))
	}

	return parsed.get([33]byte(raw), func() (*btcec.PublicKey, error) {
		return btcec.ParsePubKey(raw)
	})
}
