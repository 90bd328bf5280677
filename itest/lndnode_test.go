package itest

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lightninglabs/lndclient"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/internal/lndnode"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// revocable is a root key of macaroons that is deleted later.
const revocable = 7

// nodeOf returns a node of the client's lnd with another macaroon.
func (s *story) nodeOf(macaroonPath string) *lndnode.Node {
	s.Helper()

	node, err := lndnode.New(lndnode.Config{
		Host: s.Client.RPCAddress(), TLSPath: s.Client.TLSPath(),
		MacaroonPath: macaroonPath, Network: "regtest",
		RPCTimeout: 10 * time.Second,
		MinVersion: upstream.LoopMinRequiredLndVersion,
	})
	require.NoError(s, err)

	return node
}

// bake makes a macaroon of the client's lnd and returns its file.
func (s *story) bake(lnd lnrpc.LightningClient, rootKey uint64,
	permissions ...*lnrpc.MacaroonPermission) string {

	s.Helper()

	baked, err := lnd.BakeMacaroon(
		s.Context(), &lnrpc.BakeMacaroonRequest{
			Permissions: permissions, RootKeyId: rootKey,
		},
	)
	require.NoError(s, err)
	content, err := hex.DecodeString(baked.Macaroon)
	require.NoError(s, err)

	return s.file(content)
}

// file writes a file and returns its path.
func (s *story) file(content []byte) string {
	s.Helper()

	path := filepath.Join(s.TempDir(), "custom.macaroon")
	require.NoError(s, os.WriteFile(path, content, 0o600))

	return path
}

// permission returns a permission.
func permission(entity, action string) *lnrpc.MacaroonPermission {
	return &lnrpc.MacaroonPermission{Entity: entity, Action: action}
}

// TestNodeOnRealLnd: what lndnode takes for granted of lnd is so: what each
// method asks for, how a macaroon that lacks something, was revoked or is none
// is refused, and how a locked lnd is told. If lnd changes any of it, a start
// that somebody has to mend would be waited for, or one that goes on by itself
// refused.
func TestNodeOnRealLnd(t *testing.T) {
	s := newStory(t)
	ctx := s.Context()
	lnd, err := s.Client.RPC()
	require.NoError(t, err)

	asked, err := lnd.ListPermissions(ctx, &lnrpc.ListPermissionsRequest{})
	require.NoError(t, err)
	for method, op := range lndnode.Permissions() {
		list := asked.MethodPermissions[method].GetPermissions()
		require.Len(t, list, 1, method)
		require.Equal(t, op.Entity, list[0].Entity, method)
		require.Equal(t, op.Action, list[0].Action, method)
	}

	node := s.nodeOf(s.Client.MacaroonPath())
	require.NoError(t, node.Check(ctx))

	refusedFor := func(path, why string) {
		t.Helper()

		err := s.nodeOf(path).Check(ctx)
		reason, ok := states.PermanentReason(err)
		require.True(t, ok, "%v", err)
		require.Equal(t, states.LndRefuses, reason, "%v", err)
		require.ErrorContains(t, err, why)
	}
	info := permission("info", "read")
	refusedFor(s.bake(lnd, 0, info, permission("signer", "generate")),
		"lacks onchain:read")
	refusedFor(s.bake(lnd, 0, permission("onchain", "read")),
		"lacks info:read")
	refusedFor(s.file([]byte("garbage")), "does not accept")
	revoked := s.bake(lnd, revocable, info, permission("onchain", "read"),
		permission("signer", "generate"))
	require.NoError(t, s.nodeOf(revoked).Check(ctx))
	_, err = lnd.DeleteMacaroonID(ctx, &lnrpc.DeleteMacaroonIDRequest{
		RootKeyId: revocable,
	})
	require.NoError(t, err)
	refusedFor(revoked, "does not accept")

	s.nodeFollowsLnd(node)
}

// nodeFollowsLnd checks that a node finds its way back to an lnd that was
// restarted and is locked for a while.
func (s *story) nodeFollowsLnd(node *lndnode.Node) {
	s.Helper()

	ctx := s.Context()
	require.NoError(s, node.Connect(ctx, nil))
	s.Cleanup(node.Close)
	go func() { _ = node.Keep(ctx) }()

	require.NoError(s, s.Client.Stop())
	s.nodeWaitsFor(node, states.LndDown)
	require.NoError(s, s.Client.StartLocked(ctx))
	s.nodeWaitsFor(node, states.LndLocked)
	require.NoError(s, s.Client.Unlock(ctx))
	require.Eventually(s, func() bool {
		_, err := node.Keys().Identity(ctx)
		return err == nil
	}, time.Minute, 50*time.Millisecond)

	services, err := node.Await(ctx, true, nil)
	require.NoError(s, err)
	require.NotNil(s, services.ChainParams)
	require.NoError(s, lndclient.AssertVersionCompatible(
		services.Version, upstream.LoopMinRequiredLndVersion,
	))
	services.Close()
}

// nodeWaitsFor waits until there is no connection to lnd, for a reason.
func (s *story) nodeWaitsFor(node *lndnode.Node, reason states.Reason) {
	s.Helper()

	require.Eventually(s, func() bool {
		_, err := node.Services()
		return errors.Is(err, lndnode.ErrNotReady) &&
			await.NewState(err).Reason == reason
	}, time.Minute, 10*time.Millisecond)
}
