package regtest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightninglabs/aperture/l402"
	"github.com/lightninglabs/loop/swapserverrpc"
	"github.com/lightningnetwork/lnd/cert"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

const (
	// DefaultExpiry is the relative timeout of the addresses that the
	// stand-in makes, in blocks.
	DefaultExpiry = 40

	// certValidity is how long the stand-in's certificate is valid.
	certValidity = 30 * 24 * time.Hour

	// maxClientKeys bounds the client keys that the stand-in remembers
	// for one token.
	maxClientKeys = 1_000
)

// ServerCall is one call that reached the stand-in with a paid token.
type ServerCall struct {
	// Method is the full gRPC method.
	Method string

	// TokenID is the id of the token that the call was made with.
	TokenID l402.TokenID
}

// SwapServer stands in for the Loop server. It speaks as much of the server's
// protocol as static addresses need, over TLS, and takes calls that were paid
// for with an L402 only: aperture's own packages mint and check the tokens,
// and the invoices are those of the server's lnd.
//
// Its key for a client is a function of the token id, so that one token always
// gets the same answer, also after a restart of the stand-in.
type SwapServer struct {
	swapserverrpc.UnimplementedSwapServerServer
	swapserverrpc.UnimplementedStaticAddressServerServer

	address  string
	certPath string
	keyPath  string
	seed     []byte
	expiry   uint32
	guard    *l402Guard

	mu         sync.Mutex
	server     *grpc.Server
	calls      []ServerCall
	challenges int
	clients    map[l402.TokenID][]*btcec.PublicKey
}

// newSwapServer makes a stand-in whose invoices are made by lnd. Start starts
// it.
func newSwapServer(dir string, lnd *Lnd, expiry uint32) (*SwapServer, error) {
	if expiry == 0 {
		expiry = DefaultExpiry
	}
	s := &SwapServer{
		certPath: filepath.Join(dir, "tls.cert"),
		keyPath:  filepath.Join(dir, "tls.key"),
		seed:     []byte("looprecovery regtest server"),
		expiry:   expiry,
		clients:  make(map[l402.TokenID][]*btcec.PublicKey),
	}
	s.guard = newL402Guard(s.derive("mint"), lnd)
	if err := freeAddresses(&s.address); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	certBytes, keyBytes, err := cert.GenCertPair(
		"looprecovery regtest server", nil, nil, false, certValidity,
	)
	if err != nil {
		return nil, err
	}

	return s, cert.WriteCertPair(
		s.certPath, s.keyPath, certBytes, keyBytes,
	)
}

// derive returns 32 secret bytes that are the stand-in's own for the given
// purpose.
func (s *SwapServer) derive(purpose string, data ...byte) []byte {
	mac := hmac.New(sha256.New, s.seed)
	mac.Write([]byte(purpose))
	mac.Write(data)

	return mac.Sum(nil)
}

// Start makes the stand-in listen.
func (s *SwapServer) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.server != nil {
		return errors.New("the swap server is running already")
	}
	pair, err := tls.LoadX509KeyPair(s.certPath, s.keyPath)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}

	s.server = grpc.NewServer(
		grpc.Creds(credentials.NewServerTLSFromCert(&pair)),
		grpc.UnaryInterceptor(s.interceptUnary),
		grpc.StreamInterceptor(s.interceptStream),
	)
	swapserverrpc.RegisterSwapServerServer(s.server, s)
	swapserverrpc.RegisterStaticAddressServerServer(s.server, s)

	server := s.server
	go func() {
		// Serve ends with an error when Stop closes the listener;
		// callers of a stand-in that is gone see that themselves.
		_ = server.Serve(listener)
	}()

	return nil
}

// Stop cuts every connection and stops listening. Stopping a stopped stand-in
// has no effect.
func (s *SwapServer) Stop() {
	s.mu.Lock()
	server := s.server
	s.server = nil
	s.mu.Unlock()

	if server != nil {
		server.Stop()
	}
}

// Address is where the stand-in listens, as host:port.
func (s *SwapServer) Address() string {
	return s.address
}

// TLSPath is the stand-in's certificate.
func (s *SwapServer) TLSPath() string {
	return s.certPath
}

// Expiry is the relative timeout of the stand-in's addresses, in blocks.
func (s *SwapServer) Expiry() uint32 {
	return s.expiry
}

// Calls returns the paid calls so far, in order.
func (s *SwapServer) Calls() []ServerCall {
	s.mu.Lock()
	defer s.mu.Unlock()

	return slices.Clone(s.calls)
}

// Tokens returns the ids of the tokens that calls were made with, each once.
func (s *SwapServer) Tokens() []l402.TokenID {
	var tokens []l402.TokenID
	for _, call := range s.Calls() {
		if !slices.Contains(tokens, call.TokenID) {
			tokens = append(tokens, call.TokenID)
		}
	}

	return tokens
}

// Challenges returns how many times somebody was asked to buy a token. Whoever
// buys nothing is never asked.
func (s *SwapServer) Challenges() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.challenges
}

// ClientKeys returns the client keys that a token asked an address for, in
// order, each once.
func (s *SwapServer) ClientKeys(token l402.TokenID) []*btcec.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()

	return slices.Clone(s.clients[token])
}

// admit lets a call pass that was paid for, and records it. Otherwise it
// returns the error that asks for payment, with a fresh invoice if buy is set.
func (s *SwapServer) admit(ctx context.Context, method string, buy bool) (
	context.Context, error) {

	token, err := s.guard.check(ctx)
	if err != nil {
		if !buy {
			return nil, errPaymentRequired
		}
		s.mu.Lock()
		s.challenges++
		s.mu.Unlock()

		return nil, s.guard.challenge(ctx)
	}

	s.mu.Lock()
	s.calls = append(s.calls, ServerCall{Method: method, TokenID: token})
	s.mu.Unlock()

	return l402.AddToContext(ctx, l402.KeyTokenID, token), nil
}

// interceptUnary admits single calls.
func (s *SwapServer) interceptUnary(ctx context.Context, req any,
	info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {

	ctx, err := s.admit(ctx, info.FullMethod, true)
	if err != nil {
		return nil, err
	}

	return handler(ctx, req)
}

// interceptStream admits streams. Like the real server's proxy it makes no
// invoice for them: a client subscribes when it has a token.
func (s *SwapServer) interceptStream(srv any, stream grpc.ServerStream,
	info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {

	_, err := s.admit(stream.Context(), info.FullMethod, false)
	if err != nil {
		return err
	}

	return handler(srv, stream)
}

// FetchL402 does nothing: the way to it leads through the guard.
func (s *SwapServer) FetchL402(context.Context,
	*swapserverrpc.FetchL402Request) (*swapserverrpc.FetchL402Response,
	error) {

	return &swapserverrpc.FetchL402Response{}, nil
}

// SubscribeNotifications notifies of nothing until the client goes.
func (s *SwapServer) SubscribeNotifications(
	_ *swapserverrpc.SubscribeNotificationsRequest,
	stream swapserverrpc.SwapServer_SubscribeNotificationsServer) error {

	<-stream.Context().Done()

	return stream.Context().Err()
}

// ServerNewAddress answers with the key of the caller's token.
func (s *SwapServer) ServerNewAddress(ctx context.Context,
	req *swapserverrpc.ServerNewAddressRequest) (
	*swapserverrpc.ServerNewAddressResponse, error) {

	token, ok := l402.FromContext(ctx, l402.KeyTokenID).(l402.TokenID)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "no token")
	}
	clientKey, err := btcec.ParsePubKey(req.ClientKey)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.remember(token, clientKey); err != nil {
		return nil, err
	}

	serverKey := s.key(token).PubKey()

	return &swapserverrpc.ServerNewAddressResponse{
		Params: &swapserverrpc.ServerAddressParameters{
			ServerKey: serverKey.SerializeCompressed(),
			Expiry:    s.expiry,
		},
	}, nil
}

// remember keeps a token's client key, which the stand-in needs for signing.
func (s *SwapServer) remember(token l402.TokenID,
	key *btcec.PublicKey) error {

	s.mu.Lock()
	defer s.mu.Unlock()

	keys := s.clients[token]
	if slices.ContainsFunc(keys, key.IsEqual) {
		return nil
	}
	if len(keys) == maxClientKeys {
		return status.Error(codes.ResourceExhausted,
			fmt.Sprintf("token has %d client keys", len(keys)))
	}
	s.clients[token] = append(keys, key)

	return nil
}

// key returns the stand-in's private key for a token.
func (s *SwapServer) key(token l402.TokenID) *btcec.PrivateKey {
	key, _ := btcec.PrivKeyFromBytes(s.derive("address", token[:]...))

	return key
}
