package loopd

import (
	"context"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/lightningnetwork/lnd/macaroons"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"gopkg.in/macaroon-bakery.v2/bakery"
)

// bakingKeys is a root key store that macaroons can be made from.
type bakingKeys struct {
	rootKeys
}

// RootKey implements bakery.RootKeyStore.
func (k bakingKeys) RootKey(context.Context) ([]byte, []byte, error) {
	return k.rootKeys["0"], []byte("0"), nil
}

// macaroonBaker makes macaroons that an authenticator knows.
type macaroonBaker struct {
	*testing.T

	auth *authenticator
	oven *bakery.Oven
}

// newMacaroonBaker returns a baker and the authenticator that checks.
func newMacaroonBaker(t *testing.T) *macaroonBaker {
	t.Helper()

	keys := rootKeys{"0": []byte("a root key of thirty-two bytes!!")}
	service, err := macaroons.NewService(
		keys, macaroonLocation, true, macaroons.IPLockChecker,
	)
	require.NoError(t, err)
	auth := newAuthenticator(t.TempDir())
	auth.service.Store(service)

	return &macaroonBaker{T: t, auth: auth, oven: bakery.NewOven(
		bakery.OvenParams{
			RootKeyStoreForOps: func(
				[]bakery.Op) bakery.RootKeyStore {

				return bakingKeys{keys}
			},
		},
	)}
}

// allowed reports whether a macaroon with the given operations may call a
// method; nil operations stand for no macaroon.
func (b *macaroonBaker) allowed(method string, ops []bakery.Op) bool {
	b.Helper()

	ctx := b.Context()
	if ops != nil {
		mac, err := b.oven.NewMacaroon(
			ctx, bakery.LatestVersion, nil, ops...,
		)
		require.NoError(b, err)
		raw, err := mac.M().MarshalBinary()
		require.NoError(b, err)
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(
			"macaroon", hex.EncodeToString(raw),
		))
	}

	err := b.auth.check(ctx, method)
	if err != nil {
		require.Equal(b, codes.Unauthenticated, status.Code(err))
	}

	return err == nil
}

// TestLesserMacaroons calls every method with macaroons that allow less than it
// needs: none, one that may only read, one that lacks a single operation, one
// with all others. Each is refused, and the right one is not.
func TestLesserMacaroons(t *testing.T) {
	baker := newMacaroonBaker(t)
	reading := []bakery.Op{
		{Entity: "auth", Action: "read"},
		{Entity: "swap", Action: "read"},
		{Entity: "loop", Action: "out"},
	}
	for method, needed := range recoveryrpc.RequiredPermissions {
		require.False(t, baker.allowed(method, nil), method)
		require.True(t, baker.allowed(method, needed), method)

		enough := !slices.ContainsFunc(needed, func(op bakery.Op) bool {
			return !slices.Contains(reading, op)
		})
		require.Equal(t, enough, baker.allowed(method, reading),
			method)

		for i, missing := range needed {
			lacking := slices.Delete(slices.Clone(needed), i, i+1)
			for _, ops := range recoveryrpc.RequiredPermissions {
				for _, op := range ops {
					if op != missing {
						lacking = append(lacking, op)
					}
				}
			}
			require.False(t, baker.allowed(method, lacking),
				"%s without %v", method, missing)
		}
	}
}
