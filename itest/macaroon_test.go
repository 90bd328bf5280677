package itest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"os"
	"testing"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// importMethod is the call to lnd at which the gate is closed in a restore.
const importMethod = "/walletrpc.WalletKit/ImportTapscript"

// TestStoryKMacaroons: a user's programs hold the macaroon that upstream's
// loopd made years ago. If this breaks they are all locked out by the change to
// ours, or, worse, somebody without a macaroon is let in while a restore runs.
func TestStoryKMacaroons(t *testing.T) {
	s := newStory(t)
	loopd, proxy := s.newProxied()
	s.startUpstream(loopd)
	address := s.newAddress(loopd)
	s.stop(loopd)
	made, err := os.ReadFile(loopd.MacaroonPath())
	require.NoError(t, err)

	// Before.
	s.start(loopd)
	s.admits(loopd, codes.OK)
	s.stop(loopd)

	// During: token and row are lost, the macaroon store is not.
	s.removeToken(loopd)
	s.removeRow(loopd)
	proxy.Hold(func(method string) bool { return method == importMethod })
	s.startListening(loopd)
	require.NoError(t, proxy.WaitHeld(t.Context(), importMethod))
	s.admits(loopd, codes.Unavailable)
	resp := s.recovery(loopd)
	require.Equal(t, string(states.RecreateAddress), resp.Run.State)
	require.Equal(t, recoveryrpc.DaemonState_DAEMON_HELD,
		resp.Daemon.State)

	// After.
	proxy.Open()
	s.waitReconciled(loopd)
	s.admits(loopd, codes.OK)
	require.Equal(t, address, s.newAddress(loopd))
	after, err := os.ReadFile(loopd.MacaroonPath())
	require.NoError(t, err)
	require.Equal(t, made, after, "the macaroon was made anew")
}

// admits checks that the Recovery service answers whoever has the macaroon,
// that the SwapClient service answers with the given code, and that neither
// answers anybody else, on both ports.
func (s *story) admits(loopd *regtest.Loopd, swapCode codes.Code) {
	s.Helper()

	conn, err := loopd.Dial()
	require.NoError(s, err)
	defer conn.Close()
	recoveryErr, swapErr := s.callBoth(conn)
	require.NoError(s, recoveryErr)
	require.Equal(s, swapCode, status.Code(swapErr), "%v", swapErr)
	if swapCode != codes.OK {
		s.refused(swapErr, swapCode, states.RecoveryActive)
	}

	stranger, err := loopd.DialWithoutMacaroon()
	require.NoError(s, err)
	defer stranger.Close()
	recoveryErr, swapErr = s.callBoth(stranger)
	require.Equal(s, codes.Unauthenticated, status.Code(recoveryErr))
	require.Equal(s, codes.Unauthenticated, status.Code(swapErr))

	macaroon, err := os.ReadFile(loopd.MacaroonPath())
	require.NoError(s, err)
	header := hex.EncodeToString(macaroon)
	want := map[codes.Code]int{
		codes.OK:          http.StatusOK,
		codes.Unavailable: http.StatusServiceUnavailable,
	}[swapCode]
	require.Equal(s, http.StatusOK,
		s.rest(loopd, "/v1/recovery/status", header))
	require.Equal(s, want, s.rest(loopd, "/v1/loop/info", header))
	for _, path := range []string{"/v1/recovery/status", "/v1/loop/info"} {
		require.Equal(s, http.StatusUnauthorized,
			s.rest(loopd, path, ""))
	}
}

// callBoth makes one call of each service.
func (s *story) callBoth(conn *grpc.ClientConn) (error, error) {
	_, recoveryErr := recoveryrpc.NewRecoveryClient(conn).GetRecovery(
		s.Context(), &recoveryrpc.GetRecoveryRequest{},
	)
	_, swapErr := looprpc.NewSwapClientClient(conn).GetInfo(
		s.Context(), &looprpc.GetInfoRequest{},
	)

	return recoveryErr, swapErr
}

// rest makes a call of the REST port and returns the HTTP status.
func (s *story) rest(loopd *regtest.Loopd, path, macaroon string) int {
	s.Helper()

	cert, err := os.ReadFile(loopd.TLSPath())
	require.NoError(s, err)
	roots := x509.NewCertPool()
	require.True(s, roots.AppendCertsFromPEM(cert))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
	defer transport.CloseIdleConnections()

	ctx, cancel := context.WithTimeout(
		s.Context(), regtest.DefaultTimeout,
	)
	defer cancel()
	request, err := http.NewRequestWithContext(
		ctx, http.MethodGet, "https://"+loopd.RESTAddress()+path, nil,
	)
	require.NoError(s, err)
	if macaroon != "" {
		request.Header.Set("Grpc-Metadata-Macaroon", macaroon)
	}
	resp, err := (&http.Client{Transport: transport}).Do(request)
	require.NoError(s, err)
	require.NoError(s, resp.Body.Close())

	return resp.StatusCode
}
