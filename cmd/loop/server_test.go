package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/cert"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"gopkg.in/macaroon.v2"
)

// rootKey is the key of the macaroons that the test server accepts.
var rootKey = []byte("a root key for tests only")

// testServer is a Recovery service over TLS that checks macaroons as loopd
// does, and answers as each test says.
type testServer struct {
	recoveryrpc.UnimplementedRecoveryServer

	start func(*recoveryrpc.StartRecoveryRequest) (*recoveryrpc.Run,
		error)
	get       func(id string) (*recoveryrpc.GetRecoveryResponse, error)
	subscribe func(*subscription, stream) error
	list      func(most uint32) []*recoveryrpc.Run
	resume    func(id string) (*recoveryrpc.Run, error)
	cancel    func(id string) (*recoveryrpc.Run, error)
	backups   func() *recoveryrpc.ListBackupsResponse
	history   func(id string) *recoveryrpc.GetHistoryResponse

	// verbs answers what testServer does not, if it is set.
	verbs recoveryrpc.RecoveryServer

	mu    sync.Mutex
	calls []string
}

func (s *testServer) StartRecovery(_ context.Context,
	request *recoveryrpc.StartRecoveryRequest) (
	*recoveryrpc.StartRecoveryResponse, error) {

	run, err := s.start(request)

	return &recoveryrpc.StartRecoveryResponse{Run: run}, err
}

func (s *testServer) GetRecovery(_ context.Context,
	request *recoveryrpc.GetRecoveryRequest) (
	*recoveryrpc.GetRecoveryResponse, error) {

	return s.get(request.Id)
}

func (s *testServer) SubscribeRecovery(request *subscription,
	to stream) error {

	return s.subscribe(request, to)
}

func (s *testServer) ListRecoveries(_ context.Context,
	request *recoveryrpc.ListRecoveriesRequest) (
	*recoveryrpc.ListRecoveriesResponse, error) {

	return &recoveryrpc.ListRecoveriesResponse{
		Runs: s.list(request.MaxRuns),
	}, nil
}

func (s *testServer) ResumeRecovery(_ context.Context,
	request *recoveryrpc.ResumeRecoveryRequest) (
	*recoveryrpc.ResumeRecoveryResponse, error) {

	run, err := s.resume(request.Id)

	return &recoveryrpc.ResumeRecoveryResponse{Run: run}, err
}

func (s *testServer) CancelRecovery(_ context.Context,
	request *recoveryrpc.CancelRecoveryRequest) (
	*recoveryrpc.CancelRecoveryResponse, error) {

	run, err := s.cancel(request.Id)

	return &recoveryrpc.CancelRecoveryResponse{Run: run}, err
}

func (s *testServer) ListBackups(context.Context,
	*recoveryrpc.ListBackupsRequest) (*recoveryrpc.ListBackupsResponse,
	error) {

	return s.backups(), nil
}

func (s *testServer) GetHistory(_ context.Context,
	request *recoveryrpc.GetHistoryRequest) (
	*recoveryrpc.GetHistoryResponse, error) {

	return s.history(request.Id), nil
}

// called returns the methods that were called so far.
func (s *testServer) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()

	return append([]string(nil), s.calls...)
}

// admit notes a call and checks its macaroon.
func (s *testServer) admit(ctx context.Context, method string) error {
	s.mu.Lock()
	s.calls = append(s.calls, filepath.Base(method))
	s.mu.Unlock()

	if err := checkMacaroon(ctx, time.Now()); err != nil {
		return status.Error(codes.Unauthenticated, err.Error())
	}

	return nil
}

// checkMacaroon checks that a call carries a macaroon of ours that is valid
// now and will not be for long.
func checkMacaroon(ctx context.Context, now time.Time) error {
	incoming, _ := metadata.FromIncomingContext(ctx)
	values := incoming.Get("macaroon")
	if len(values) != 1 {
		return errors.New("no macaroon")
	}
	encoded, err := hex.DecodeString(values[0])
	if err != nil {
		return err
	}
	received := &macaroon.Macaroon{}
	if err := received.UnmarshalBinary(encoded); err != nil {
		return err
	}

	limited := false
	err = received.Verify(rootKey, func(caveat string) error {
		text, ok := strings.CutPrefix(caveat, "time-before ")
		if !ok {
			return fmt.Errorf("unknown caveat %q", caveat)
		}
		end, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return err
		}
		left := end.Sub(now)
		if left <= 0 || left > macaroonSeconds*time.Second {
			return fmt.Errorf("valid for %v", left)
		}
		limited = true

		return nil
	}, nil)
	if err == nil && !limited {
		err = errors.New("the macaroon is valid for ever")
	}

	return err
}

// daemon is a running test server with the files a client needs.
type daemon struct {
	*testServer

	address string
	dir     string
	server  *grpc.Server
	tls     tls.Certificate
}

// startDaemon starts a test server on a port that the system chooses.
func startDaemon(t *testing.T, service *testServer) *daemon {
	t.Helper()

	certPEM, keyPEM, err := cert.GenCertPair(
		"test", nil, nil, false, time.Hour,
	)
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)

	dir := t.TempDir()
	base := filepath.Join(dir, "regtest")
	require.NoError(t, os.Mkdir(base, 0700))
	write := func(name string, content []byte) {
		path := filepath.Join(base, name)
		require.NoError(t, os.WriteFile(path, content, 0600))
	}
	write(tlsCertName, certPEM)
	write(macaroonName, newMacaroon(t, rootKey))

	d := &daemon{testServer: service, dir: dir, tls: pair}
	d.serve(t, "127.0.0.1:0")

	return d
}

// newMacaroon returns a macaroon made with the given key.
func newMacaroon(t *testing.T, key []byte) []byte {
	t.Helper()

	made, err := macaroon.New(
		key, []byte("id"), "loop", macaroon.LatestVersion,
	)
	require.NoError(t, err)
	encoded, err := made.MarshalBinary()
	require.NoError(t, err)

	return encoded
}

// serve listens on the address until the test ends or stop is called.
func (d *daemon) serve(t *testing.T, address string) {
	t.Helper()

	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	d.address = listener.Addr().String()

	d.server = grpc.NewServer(
		grpc.Creds(credentials.NewServerTLSFromCert(&d.tls)),
		grpc.UnaryInterceptor(func(ctx context.Context, request any,
			info *grpc.UnaryServerInfo,
			handler grpc.UnaryHandler) (any, error) {

			if err := d.admit(ctx, info.FullMethod); err != nil {
				return nil, err
			}

			return handler(ctx, request)
		}),
		grpc.StreamInterceptor(func(service any,
			stream grpc.ServerStream, info *grpc.StreamServerInfo,
			handler grpc.StreamHandler) error {

			err := d.admit(stream.Context(), info.FullMethod)
			if err != nil {
				return err
			}

			return handler(service, stream)
		}),
	)
	var service recoveryrpc.RecoveryServer = d.testServer
	if d.verbs != nil {
		service = d.verbs
	}
	recoveryrpc.RegisterRecoveryServer(d.server, service)

	server := d.server
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; !errors.Is(err, grpc.ErrServerStopped) {
			require.NoError(t, err)
		}
	})
}

// result is what a command left behind.
type result struct {
	code     int
	out, err string
}

// testApp returns a command line whose output is collected, whose clock stands
// still and whose waits are over at once.
func testApp(out, err *bytes.Buffer) *app {
	now := time.Date(2026, 11, 22, 22, 40, 0, 0, time.UTC)

	return &app{
		out: out, err: err,
		width: func() int { return 0 },
		now:   func() time.Time { return now },
		pause: func(ctx context.Context, _ time.Duration) error {
			return ctx.Err()
		},
		intercept: func(ctx context.Context) (context.Context,
			func()) {

			return context.WithCancel(ctx)
		},
		launch: func(args []string) (int, error) {
			return 0, fmt.Errorf("handed on: %q", args)
		},
	}
}

// loop runs a command line against the daemon.
func (d *daemon) loop(t *testing.T, args ...string) result {
	t.Helper()

	return d.loopWith(t, func(*app) {}, args...)
}

// loopWith runs a command line that was changed before.
func (d *daemon) loopWith(t *testing.T, change func(*app),
	args ...string) result {

	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	var out, stderr bytes.Buffer
	a := testApp(&out, &stderr)
	change(a)
	code := a.run(ctx, append(d.flags(), args...))

	return result{code: code, out: out.String(), err: stderr.String()}
}

// flags returns the program's name and the flags that lead to the daemon.
func (d *daemon) flags() []string {
	return []string{
		"loop", "--rpcserver", d.address, "--network=regtest",
		"-loopdir", d.dir,
	}
}
