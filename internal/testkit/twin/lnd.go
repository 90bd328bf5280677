package twin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
)

// accountsAtStart is the number of key families that a new lnd has accounts of,
// from family 0 on; others appear when a key of theirs is first derived.
const accountsAtStart = 256

// ErrNoAccount is returned for a family of which lnd has no account yet.
var ErrNoAccount = errors.New("no account of that key family")

// Lnd is the wallet of an lnd. Its keys are those that a real one derives from
// the same master seed.
type Lnd struct {
	calls  *calls
	params *chaincfg.Params

	mu   sync.Mutex
	seed [32]byte

	// next is the next index to hand out, of every family that has an
	// account.
	next map[int32]uint32

	// scripts are the scripts that were imported.
	scripts map[string]bool

	// intended reports whether the intent to import a script is saved.
	intended func(pkScript []byte) bool
}

var (
	_ actions.Node            = (*Lnd)(nil)
	_ backup.SharedKeyDeriver = (*Lnd)(nil)
)

// newLnd returns the wallet of a new lnd.
func newLnd(calls *calls, params *chaincfg.Params, seed string,
	intended func(pkScript []byte) bool) *Lnd {

	lnd := &Lnd{
		calls:    calls,
		params:   params,
		intended: intended,
	}
	lnd.Replace(seed)

	return lnd
}

// Replace puts a new lnd with another seed in the place of this one.
func (l *Lnd) Replace(seed string) {
	l.mu.Lock()
	l.seed = sha256.Sum256([]byte(seed))
	l.mu.Unlock()

	l.Rebuild()
}

// Rebuild replaces the wallet by one that was made anew from the same seed: it
// starts every key family at index 0 and watches no script.
func (l *Lnd) Rebuild() {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.next = make(map[int32]uint32)
	for family := range int32(accountsAtStart) {
		l.next[family] = 0
	}
	l.scripts = make(map[string]bool)
}

// Identity returns lnd's identity key.
func (l *Lnd) Identity(ctx context.Context) ([33]byte, error) {
	var identity [33]byte
	err := l.calls.doLnd(ctx, "node.Identity", func() error {
		key, err := l.Key(keychain.KeyLocator{
			Family: keychain.KeyFamilyNodeKey,
		})
		if err != nil {
			return err
		}
		copy(identity[:], publicKey(key).SerializeCompressed())

		return nil
	})

	return identity, err
}

// Params returns the parameters of the network.
func (l *Lnd) Params() *chaincfg.Params {
	return l.params
}

// DeriveKey returns the public key at a locator. It moves no counter, but makes
// an account of a family that has none.
func (l *Lnd) DeriveKey(ctx context.Context, locator keychain.KeyLocator) (
	*btcec.PublicKey, error) {

	var public *btcec.PublicKey
	err := l.calls.doLnd(ctx, "node.DeriveKey", func() error {
		key, err := l.Key(locator)
		if err != nil {
			return err
		}
		public = publicKey(key)

		l.mu.Lock()
		defer l.mu.Unlock()

		l.next[int32(locator.Family)] += 0

		return nil
	})

	return public, err
}

// Account returns the extended public key of a family and the next index.
func (l *Lnd) Account(ctx context.Context, family int32) (
	*hdkeychain.ExtendedKey, uint32, error) {

	var (
		account *hdkeychain.ExtendedKey
		next    uint32
	)
	err := l.calls.doLnd(ctx, "node.Account", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()

		var ok bool
		next, ok = l.next[family]
		if !ok {
			return fmt.Errorf("%w: %d", ErrNoAccount, family)
		}

		var err error
		account, err = l.public(family)

		return err
	})

	return account, next, err
}

// AdvanceKey hands out the next key of a family.
func (l *Lnd) AdvanceKey(ctx context.Context, family int32) (uint32, error) {
	var index uint32
	err := l.calls.doLnd(ctx, "node.AdvanceKey", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()

		index = l.next[family]
		l.next[family]++

		return nil
	})

	return index, err
}

// ImportScript makes the wallet watch a static address.
func (l *Lnd) ImportScript(ctx context.Context,
	address *script.StaticAddress) (bool, error) {

	var isNew bool
	err := l.calls.doLnd(ctx, "node.ImportScript", func() error {
		pkScript, err := address.StaticAddressScript()
		if err != nil {
			return err
		}
		if !l.intended(pkScript) {
			l.calls.violate("script imported without an intent")
		}

		l.mu.Lock()
		defer l.mu.Unlock()

		isNew = !l.scripts[string(pkScript)]
		l.scripts[string(pkScript)] = true

		return nil
	})

	return isNew, err
}

// DeriveSharedKey returns the hash of the Diffie-Hellman point of a public key
// and the key at a locator.
func (l *Lnd) DeriveSharedKey(ctx context.Context, public *btcec.PublicKey,
	locator *keychain.KeyLocator) ([32]byte, error) {

	var shared [32]byte
	err := l.calls.doLnd(ctx, "node.DeriveSharedKey", func() error {
		key, err := l.Key(*locator)
		if err != nil {
			return err
		}
		shared, err = sharedKey(key, public)

		return err
	})

	return shared, err
}

// Key returns the private key at a locator, without a call of a port.
func (l *Lnd) Key(locator keychain.KeyLocator) (*btcec.PrivateKey, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	id := keyID{l.seed, locator, l.params}
	if known, ok := keys.Load(id); ok {
		return known.(*btcec.PrivateKey), nil
	}

	branch, err := l.branch(int32(locator.Family))
	if err != nil {
		return nil, err
	}

	child, err := branch.Derive(locator.Index)
	if err != nil {
		return nil, err
	}

	key, err := child.ECPrivKey()
	if err == nil {
		keys.Store(id, key)
	}

	return key, err
}

// Next returns the next index that lnd would hand out, without a call of a
// port.
func (l *Lnd) Next(family int32) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.next[family]
}

// Counters returns the next index of every family that has an account, without
// a call of a port.
func (l *Lnd) Counters() map[int32]uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()

	return maps.Clone(l.next)
}

// Scripts returns the scripts that were imported, without a call of a port.
func (l *Lnd) Scripts() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return maps.Clone(l.scripts)
}

// SetNext moves the counter of a family, as a life before the test did.
func (l *Lnd) SetNext(family int32, next uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.next[family] = next
}

// Watch imports a script, as a life before the test did.
func (l *Lnd) Watch(pkScript []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.scripts[string(pkScript)] = true
}

// Watches reports whether a script was imported.
func (l *Lnd) Watches(pkScript []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.scripts[string(pkScript)]
}

// publics, branches, keys and shareds keep what was derived: tests build many
// worlds that are alike.
var publics, branches, keys, shareds sync.Map

// pubKeys keeps the public keys of private ones.
var pubKeys sync.Map

// publicKey returns the public key of a private one.
func publicKey(private *btcec.PrivateKey) *btcec.PublicKey {
	id := string(private.Serialize())
	if known, ok := pubKeys.Load(id); ok {
		return known.(*btcec.PublicKey)
	}
	public := private.PubKey()
	pubKeys.Store(id, public)

	return public
}

// sharedKey returns the hash of the Diffie-Hellman point of two keys.
func sharedKey(private *btcec.PrivateKey, public *btcec.PublicKey) ([32]byte,
	error) {

	id := [2]string{
		string(private.Serialize()),
		string(public.SerializeCompressed()),
	}
	if known, ok := shareds.Load(id); ok {
		return known.([32]byte), nil
	}

	shared, err := (&keychain.PrivKeyECDH{PrivKey: private}).ECDH(public)
	if err == nil {
		shareds.Store(id, shared)
	}

	return shared, err
}

// keyID names a private key.
type keyID struct {
	seed    [32]byte
	locator keychain.KeyLocator
	params  *chaincfg.Params
}

// branchID names an account or a branch.
type branchID struct {
	seed   [32]byte
	family int32
	params *chaincfg.Params
}

// public returns the extended public key of a family.
func (l *Lnd) public(family int32) (*hdkeychain.ExtendedKey, error) {
	id := branchID{l.seed, family, l.params}
	if known, ok := publics.Load(id); ok {
		return known.(*hdkeychain.ExtendedKey), nil
	}

	private, err := l.account(family)
	if err != nil {
		return nil, err
	}

	account, err := private.Neuter()
	if err == nil {
		publics.Store(id, account)
	}

	return account, err
}

// branch derives m/1017'/coin'/family'/0.
func (l *Lnd) branch(family int32) (*hdkeychain.ExtendedKey, error) {
	id := branchID{l.seed, family, l.params}
	if known, ok := branches.Load(id); ok {
		return known.(*hdkeychain.ExtendedKey), nil
	}

	account, err := l.account(family)
	if err != nil {
		return nil, err
	}

	branch, err := account.Derive(0)
	if err != nil {
		return nil, err
	}

	// Deriving a first child makes the branch compute its public key, which
	// it keeps: from then on it is only read.
	_, err = branch.Derive(0)
	if err != nil {
		return nil, err
	}
	branches.Store(id, branch)

	return branch, nil
}

// account derives m/1017'/coin'/family'.
func (l *Lnd) account(family int32) (*hdkeychain.ExtendedKey, error) {
	key, err := hdkeychain.NewMaster(l.seed[:], l.params)
	if err != nil {
		return nil, err
	}

	for _, child := range []uint32{
		keychain.BIP0043Purpose, l.params.HDCoinType, uint32(family),
	} {
		key, err = key.Derive(hdkeychain.HardenedKeyStart + child)
		if err != nil {
			return nil, err
		}
	}

	return key, nil
}
