package loopd

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/looprpc"
	looptest "github.com/lightninglabs/loop/test"
	"github.com/lightningnetwork/lnd/macaroons"
	"github.com/looprecovery/looprecovery/internal/testkit/grpctest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"gopkg.in/macaroon.v2"
)

// unlocked returns an authenticator that an lnd in memory has unlocked, and its
// configuration.
func unlocked(t *testing.T) (*authenticator, *Config) {
	t.Helper()

	cfg := DefaultConfig()
	cfg.DataDir = t.TempDir()
	cfg.MacaroonPath = filepath.Join(cfg.DataDir, "loop.macaroon")
	a := newAuthenticator(cfg.DataDir)
	lnd := looptest.NewMockLnd().LndServices
	require.NoError(t, a.unlock(t.Context(), &cfg, &lnd))
	t.Cleanup(func() { require.NoError(t, a.store.letGo()) })

	return a, &cfg
}

// credential returns the macaroon in a file for a client.
func credential(t *testing.T, path string) grpc.CallOption {
	t.Helper()

	data, err := os.ReadFile(path)
	require.NoError(t, err)
	mac := &macaroon.Macaroon{}
	require.NoError(t, mac.UnmarshalBinary(data))
	credential, err := macaroons.NewMacaroonCredential(mac)
	require.NoError(t, err)

	return grpc.PerRPCCredentials(insecureCredential{credential})
}

// insecureCredential lets a macaroon pass over a connection in memory.
type insecureCredential struct {
	macaroons.MacaroonCredential
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (insecureCredential) RequireTransportSecurity() bool { return false }

// probeStore tries to open upstream's macaroon store as upstream does.
func probeStore(t *testing.T, dir string) error {
	t.Helper()

	_, db, err := lndclient.NewBoltMacaroonStore(
		dir, macaroonDBName, 50*time.Millisecond,
	)
	if err == nil {
		require.NoError(t, db.Close())
	}

	return err
}

// TestMacaroonStoreIsHeld checks that upstream's loopd cannot start here while
// the embedded daemon is down: it would buy another token beside a restore. The
// embedded daemon gets the store when it starts, and we get it back.
func TestMacaroonStoreIsHeld(t *testing.T) {
	a, cfg := unlocked(t)
	require.ErrorIs(t, probeStore(t, cfg.DataDir), bbolterrors.ErrTimeout)

	require.NoError(t, a.store.letGo())
	require.NoError(t, a.store.letGo())
	require.NoError(t, probeStore(t, cfg.DataDir))

	exited := make(chan error, 1)
	passed := a.store.takeAfter(exited)
	require.NoError(t, probeStore(t, cfg.DataDir))
	exited <- errTest
	require.ErrorIs(t, <-passed, errTest)
	require.ErrorIs(t, probeStore(t, cfg.DataDir), bbolterrors.ErrTimeout)
}

// TestMacaroonStoreTaken checks that a store in other hands is an error that
// can be told, before and after the embedded daemon's life.
func TestMacaroonStoreTaken(t *testing.T) {
	dir := t.TempDir()
	db, err := bbolt.Open(filepath.Join(dir, macaroonDBName), 0o600, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })

	store := &macaroonStore{dir: dir}
	_, err = store.take()
	require.ErrorIs(t, err, bbolterrors.ErrTimeout)
	require.ErrorContains(t, err, "another loopd")
	require.NoError(t, store.letGo())
}

// TestUnlockTwice checks that unlocking again, as after lnd went away, finds
// the store open and the same root keys.
func TestUnlockTwice(t *testing.T) {
	a, cfg := unlocked(t)
	before, err := os.ReadFile(cfg.MacaroonPath)
	require.NoError(t, err)

	lnd := looptest.NewMockLnd().LndServices
	require.NoError(t, a.unlock(t.Context(), cfg, &lnd))
	after, err := os.ReadFile(cfg.MacaroonPath)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// TestAuthentication checks who is let in: whoever has a macaroon that allows
// the method, whatever becomes of the store, and nobody else.
func TestAuthentication(t *testing.T) {
	a, cfg := unlocked(t)
	require.NoError(t, a.store.letGo())

	h := &wrapperHarness{daemon: &stubDaemon{}}
	h.down = recoveryrpc.StatusError(states.RecoveryActive, "")
	wrapper := newSwapClient(swapClientConfig{
		enter: func(context.Context) (*admitted, error) {
			return nil, h.down
		},
		enterStream: func(context.Context) (*admitted,
			context.Context, error) {

			return nil, nil, h.down
		},
	})
	client := looprpc.NewSwapClientClient(grpctest.Serve(
		t, wrapper.register, grpc.UnaryInterceptor(a.unary),
		grpc.StreamInterceptor(a.stream),
	))

	// A stranger is not told whether there is an embedded daemon.
	_, err := client.GetInfo(t.Context(), &looprpc.GetInfoRequest{})
	requireCode(t, err, "Unauthenticated")
	stream, err := client.Monitor(t.Context(), &looprpc.MonitorRequest{})
	require.NoError(t, err)
	_, err = stream.Recv()
	requireCode(t, err, "Unauthenticated")

	mac := credential(t, cfg.MacaroonPath)
	_, err = client.GetInfo(t.Context(), &looprpc.GetInfoRequest{}, mac)
	requireReason(t, err, states.RecoveryActive)
	stream, err = client.Monitor(
		t.Context(), &looprpc.MonitorRequest{}, mac,
	)
	require.NoError(t, err)
	_, err = stream.Recv()
	requireReason(t, err, states.RecoveryActive)
}

// TestNobodyIsAuthenticatedBeforeUnlock checks that a locked lnd leads to its
// reason on both services, and to no data.
func TestNobodyIsAuthenticatedBeforeUnlock(t *testing.T) {
	a := newAuthenticator(t.TempDir())
	a.setReason(states.LndLocked)
	conn := grpctest.Serve(
		t, func(server *grpc.Server) {
			newSwapClient(swapClientConfig{}).register(server)
			recoveryrpc.RegisterRecoveryServer(
				server,
				&recoveryrpc.UnimplementedRecoveryServer{},
			)
		}, grpc.UnaryInterceptor(a.unary),
		grpc.StreamInterceptor(a.stream),
	)

	_, err := looprpc.NewSwapClientClient(conn).StopDaemon(
		t.Context(), &looprpc.StopDaemonRequest{},
	)
	requireReason(t, err, states.LndLocked)

	client := recoveryrpc.NewRecoveryClient(conn)
	_, err = client.GetRecovery(
		t.Context(), &recoveryrpc.GetRecoveryRequest{},
	)
	requireReason(t, err, states.LndLocked)
	stream, err := client.SubscribeRecovery(
		t.Context(), &recoveryrpc.SubscribeRecoveryRequest{},
	)
	require.NoError(t, err)
	_, err = stream.Recv()
	requireReason(t, err, states.LndLocked)
}

// TestEveryMethodNeedsPermission checks that no method is served without one.
func TestEveryMethodNeedsPermission(t *testing.T) {
	a := newAuthenticator(t.TempDir())
	for _, desc := range []grpc.ServiceDesc{
		looprpc.SwapClient_ServiceDesc,
		recoveryrpc.Recovery_ServiceDesc,
	} {
		for _, method := range desc.Methods {
			name := "/" + desc.ServiceName + "/" + method.MethodName
			require.NotEmpty(t, a.permissions[name], name)
		}
		for _, stream := range desc.Streams {
			name := "/" + desc.ServiceName + "/" + stream.StreamName
			require.NotEmpty(t, a.permissions[name], name)
		}
	}
	require.Equal(t, codes.Unimplemented, status.Code(
		a.check(t.Context(), "/looprpc.SwapClient/NoSuchMethod"),
	))
}

// TestRootKeysAreReadOnly checks that no macaroon is made from the copy.
func TestRootKeysAreReadOnly(t *testing.T) {
	keys := rootKeys{"id": []byte("key")}
	_, _, err := keys.RootKey(t.Context())
	require.Error(t, err)
	_, err = keys.Get(t.Context(), []byte("other"))
	require.Error(t, err)
	key, err := keys.Get(t.Context(), []byte("id"))
	require.NoError(t, err)
	require.Equal(t, "key", string(key))

	_, err = readRootKeys(t.Context(), keys)
	require.Error(t, err)
}
