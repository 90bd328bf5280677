package staticaddr

import (
	"fmt"
	"sync"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
)

// Family derives the output scripts of one key family of the multi-address
// scheme: script i is the static address of the family's key i with the
// descriptor's server key and expiry. It is safe for concurrent use.
type Family struct {
	descriptor Descriptor
	family     int32
	account    *hdkeychain.ExtendedKey

	// branch derives the branch below which all keys lie, once.
	branch func() (*hdkeychain.ExtendedKey, error)
}

// NewFamily returns the scripts of a key family under a descriptor. The account
// is the family's extended public key (see ParseAccount).
func NewFamily(descriptor Descriptor, family int32,
	account *hdkeychain.ExtendedKey) *Family {

	f := &Family{
		descriptor: descriptor,
		family:     family,
		account:    account,
	}
	f.branch = sync.OnceValues(f.deriveBranch)

	return f
}

// ID returns lnd's key family.
func (f *Family) ID() int32 {
	return f.family
}

// Fixed returns false: the family grows with use.
func (f *Family) Fixed() (uint32, bool) {
	return 0, false
}

// Script returns the output script of the key with the given index, 34 bytes.
func (f *Family) Script(index uint32) ([]byte, error) {
	branch, err := f.branch()
	if err != nil {
		return nil, err
	}

	key, err := branchKey(branch, index)
	if err != nil {
		return nil, err
	}

	return f.descriptor.PkScript(key)
}

// deriveBranch returns the branch that holds the keys, after a check that the
// account is the family's own: scripts of another family would make a scan
// find nothing and say so with confidence.
func (f *Family) deriveBranch() (*hdkeychain.ExtendedKey, error) {
	branch, err := keyBranch(f.account)
	if err != nil {
		return nil, err
	}

	child := f.account.ChildIndex()
	wanted := hdkeychain.HardenedKeyStart + uint32(f.family)
	if f.account.Depth() == accountDepth && child != wanted {
		return nil, fmt.Errorf("%w: account %d is not family %d",
			ErrAccount, child-hdkeychain.HardenedKeyStart, f.family)
	}

	return branch, nil
}

// FixedFamily is the one address of a generation: the descriptor's own key. It
// is safe for concurrent use.
type FixedFamily struct {
	descriptor Descriptor
}

// NewFixedFamily returns the one script of a descriptor.
func NewFixedFamily(descriptor Descriptor) *FixedFamily {
	return &FixedFamily{
		descriptor: descriptor,
	}
}

// ID returns lnd's key family of the descriptor's client key.
func (f *FixedFamily) ID() int32 {
	return int32(f.descriptor.ClientLocator.Family)
}

// Fixed returns the index of the descriptor's client key, and true.
func (f *FixedFamily) Fixed() (uint32, bool) {
	return f.descriptor.ClientLocator.Index, true
}

// Script returns the output script of the descriptor's client key, 34 bytes.
// There is none for any other index.
func (f *FixedFamily) Script(index uint32) ([]byte, error) {
	if index != f.descriptor.ClientLocator.Index {
		return nil, fmt.Errorf("%w: family %d consists of index %d, "+
			"not %d", ErrInvalid, f.ID(),
			f.descriptor.ClientLocator.Index, index)
	}

	return f.descriptor.PkScript(f.descriptor.ClientKey)
}

// Identity names the scripts of the family: two families with one identity have
// the same scripts.
func (f *Family) Identity() string {
	return fmt.Sprintf("%d %d %x %v", f.ID(), f.descriptor.Expiry,
		f.descriptor.ServerKey.SerializeCompressed(), f.account)
}

// Identity names the script of the family.
func (f *FixedFamily) Identity() string {
	return fmt.Sprintf("%d %d %x %x", f.ID(), f.descriptor.Expiry,
		f.descriptor.ServerKey.SerializeCompressed(),
		f.descriptor.ClientKey.SerializeCompressed())
}
