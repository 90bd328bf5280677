package loopd

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/lightningnetwork/lnd/macaroons"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"gopkg.in/macaroon-bakery.v2/bakery"
)

const (
	// macaroonLocation is upstream's.
	macaroonLocation = "loop"

	// maxRootKeys bounds the number of macaroon root keys that are kept.
	// Upstream makes one.
	maxRootKeys = 1_000
)

// authenticator checks macaroons for both services. The macaroon store is
// encrypted with a key shared with lnd and is the embedded daemon's alone while
// that runs. So its root keys are read once, when lnd is
// first unlocked, and kept in memory: from then on callers can be
// authenticated whatever becomes of lnd and of the embedded daemon. Nothing
// else adds root keys while the process lives.
type authenticator struct {
	// store is upstream's macaroon store, which is ours while the embedded
	// daemon is down.
	store *macaroonStore

	// permissions are the operations that each method requires.
	permissions map[string][]bakery.Op

	// service checks macaroons; it is nil until lnd was unlocked.
	service atomic.Pointer[macaroons.Service]

	// reason says why nobody can be authenticated yet.
	reason atomic.Value
}

// newAuthenticator returns an authenticator that refuses everybody.
func newAuthenticator(dataDir string) *authenticator {
	permissions := make(map[string][]bakery.Op)
	for method, ops := range looprpc.RequiredPermissions {
		permissions[method] = ops
	}
	for method, ops := range recoveryrpc.RequiredPermissions {
		permissions[method] = ops
	}

	a := &authenticator{
		store:       &macaroonStore{dir: dataDir},
		permissions: permissions,
	}
	a.reason.Store(states.Starting)

	return a
}

// setReason records why nobody can be authenticated yet.
func (a *authenticator) setReason(reason states.Reason) {
	a.reason.Store(reason)
}

// unlock makes callers known. If somebody has to mend or move a file first it
// lets go of the files, so that its next call opens what is there then.
func (a *authenticator) unlock(ctx context.Context, cfg *Config,
	lnd *lndclient.LndServices) error {

	err := a.readKeys(ctx, cfg, lnd)
	if _, permanent := states.PermanentReason(err); permanent {
		err = errors.Join(err, a.store.letGo())
	}

	return err
}

// readKeys unlocks upstream's macaroon store with lnd's help, lets it make
// loop.macaroon if that is missing, and reads the root keys. The store stays
// open, locked, until the embedded daemon wants it.
func (a *authenticator) readKeys(ctx context.Context, cfg *Config,
	lnd *lndclient.LndServices) error {

	if err := checkMacaroon(cfg.MacaroonPath); err != nil {
		return err
	}
	store, err := a.store.take()
	if err != nil {
		return err
	}
	service, err := lndclient.NewMacaroonService(
		&lndclient.MacaroonServiceConfig{
			RootKeyStore:     store,
			MacaroonLocation: macaroonLocation,
			MacaroonPath:     cfg.MacaroonPath,
			Checkers: []macaroons.Checker{
				macaroons.IPLockChecker,
			},
			RequiredPerms: looprpc.RequiredPermissions,
			LndClient:     lnd,
			EphemeralKey:  lndclient.SharedKeyNUMS,
			KeyLocator:    lndclient.SharedKeyLocator,
		},
	)
	if err != nil {
		return err
	}
	if err := service.Start(); err != nil {
		// It may have been unlocked before it failed.
		err = errors.Join(err, service.Stop())

		return unlockError(ctx, a.store.path(), store, lnd, err)
	}

	keys, err := readRootKeys(ctx, store)
	if err := errors.Join(err, service.Stop()); err != nil {
		return err
	}

	checker, err := macaroons.NewService(
		keys, macaroonLocation, true, macaroons.IPLockChecker,
	)
	if err != nil {
		return err
	}
	a.service.Store(checker)

	return nil
}

// check authenticates a call.
func (a *authenticator) check(ctx context.Context, method string) error {
	ops, ok := a.permissions[method]
	if !ok {
		return status.Errorf(codes.Unimplemented,
			"unknown method %s", method)
	}

	service := a.service.Load()
	if service == nil {
		reason, _ := a.reason.Load().(states.Reason)
		return recoveryrpc.StatusError(reason, "")
	}

	err := service.ValidateMacaroon(ctx, ops, method)
	if err != nil {
		return status.Error(codes.Unauthenticated, err.Error())
	}

	return nil
}

// unary authenticates unary calls.
func (a *authenticator) unary(ctx context.Context, req any,
	info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {

	if err := a.check(ctx, info.FullMethod); err != nil {
		return nil, err
	}

	return handler(ctx, req)
}

// stream authenticates streaming calls.
func (a *authenticator) stream(srv any, stream grpc.ServerStream,
	info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {

	if err := a.check(stream.Context(), info.FullMethod); err != nil {
		return err
	}

	return handler(srv, stream)
}

// rootKeys is a read-only root key store in memory.
type rootKeys map[string][]byte

// A compile-time check of the interface.
var _ bakery.RootKeyStore = rootKeys(nil)

// readRootKeys reads all root keys of an unlocked store.
func readRootKeys(ctx context.Context, store bakery.RootKeyStore) (rootKeys,
	error) {

	lister, ok := store.(macaroons.ExtendedRootKeyStore)
	if !ok {
		return nil, errors.New("macaroon store cannot list its keys")
	}
	ids, err := lister.ListMacaroonIDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("macaroon store: %w", err)
	}
	if len(ids) > maxRootKeys {
		return nil, fmt.Errorf("macaroon store holds %d root keys, "+
			"more than %d", len(ids), maxRootKeys)
	}

	keys := make(rootKeys, len(ids))
	for _, id := range ids {
		key, err := lister.Get(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("macaroon store: %w", err)
		}
		keys[string(id)] = key
	}

	return keys, nil
}

// Get implements bakery.RootKeyStore.
func (k rootKeys) Get(_ context.Context, id []byte) ([]byte, error) {
	if key, ok := k[string(id)]; ok {
		return key, nil
	}

	return nil, bakery.ErrNotFound
}

// RootKey implements bakery.RootKeyStore. No macaroon is made from this store.
func (k rootKeys) RootKey(context.Context) ([]byte, []byte, error) {
	return nil, nil, errors.New("this store makes no macaroons")
}
