// Package fakelnd is an lnd of as much as a client needs to get in: its TLS,
// its macaroons and its states are real, its wallet derives real keys, and each
// way in which an lnd can refuse, lack, be away or be another one is a switch.
// It listens on a loopback address that it keeps over restarts.
package fakelnd

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/cert"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/chainrpc"
	"github.com/lightningnetwork/lnd/lnrpc/signrpc"
	"github.com/lightningnetwork/lnd/lnrpc/verrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"gopkg.in/macaroon-bakery.v2/bakery"
)

// certValidity is how long a certificate is valid.
const certValidity = time.Hour

// Everything is what lnd's admin.macaroon permits, of what this lnd serves.
func Everything() []bakery.Op {
	return []bakery.Op{
		{Entity: "info", Action: "read"},
		{Entity: "onchain", Action: "read"},
		{Entity: "onchain", Action: "write"},
		{Entity: "offchain", Action: "read"},
		{Entity: "offchain", Action: "write"},
		{Entity: "address", Action: "read"},
		{Entity: "invoices", Action: "write"},
		{Entity: "signer", Action: "generate"},
	}
}

// Behaviour are the switches.
type Behaviour struct {
	// State is the state of the wallet.
	State lnrpc.WalletState

	// Synced says that lnd has caught up with its chain.
	Synced bool

	// Network is the network of its chain; no chain at all if empty.
	Network string

	// Version is its version.
	Version *verrpc.Version

	// Seed makes its identity and its keys.
	Seed string

	// NoTaproot leaves its wallet without a taproot account.
	NoTaproot bool

	// NoMacaroons lets everybody in.
	NoMacaroons bool

	// Errors are what methods, by their full names, fail with, once the
	// caller was let in.
	Errors map[string]error

	// Hangs are the methods that do not answer.
	Hangs map[string]bool
}

// Lnd is the node.
type Lnd struct {
	dir     string
	address string

	mu        sync.Mutex
	behaviour Behaviour
	server    *grpc.Server
	ended     chan struct{}
	calls     map[string]int
	secret    rootKey
	derived   map[int32]uint32
	addresses uint32
	imported  map[string]bool
}

// Start makes the node's certificate and a macaroon for everything in a
// directory, and starts it.
func Start(dir string) (*Lnd, error) {
	l := &Lnd{
		dir: dir,
		behaviour: Behaviour{
			State:  lnrpc.WalletState_SERVER_ACTIVE,
			Synced: true, Network: "regtest", Seed: "first",
			Version: &verrpc.Version{
				Version: "0.21.3-beta", AppMinor: 21,
				AppPatch: 3, BuildTags: []string{
					"signrpc", "walletrpc", "chainrpc",
					"invoicesrpc",
				},
			},
		},
		calls:    make(map[string]int),
		secret:   rootKey("first"),
		derived:  make(map[int32]uint32),
		imported: make(map[string]bool),
	}
	err := errors.Join(l.RenewTLS(), l.Bake(Everything()...))
	if err != nil {
		return nil, err
	}

	return l, l.Restart()
}

// Address is where the node listens.
func (l *Lnd) Address() string {
	return l.address
}

// TLSPath is the file of its certificate.
func (l *Lnd) TLSPath() string {
	return filepath.Join(l.dir, "tls.cert")
}

// MacaroonPath is the file of the macaroon.
func (l *Lnd) MacaroonPath() string {
	return filepath.Join(l.dir, "admin.macaroon")
}

// Set changes how the node behaves.
func (l *Lnd) Set(change func(*Behaviour)) {
	l.mu.Lock()
	defer l.mu.Unlock()

	change(&l.behaviour)
}

// now returns how the node behaves.
func (l *Lnd) now() Behaviour {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.behaviour
}

// Calls returns how often a method, by its full name, was called.
func (l *Lnd) Calls(method string) int {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.calls[method]
}

// Identity returns the node's identity key.
func (l *Lnd) Identity() [33]byte {
	return Identity(l.now().Seed)
}

// Identity returns the identity key of the node of a seed.
func Identity(seed string) [33]byte {
	sum := sha256.Sum256([]byte("identity of " + seed))
	_, key := btcec.PrivKeyFromBytes(sum[:])

	return [33]byte(key.SerializeCompressed())
}

// RenewTLS makes another certificate, which the next Restart uses.
func (l *Lnd) RenewTLS() error {
	certBytes, keyBytes, err := cert.GenCertPair(
		"fake lnd", nil, nil, true, certValidity,
	)
	if err != nil {
		return err
	}

	return cert.WriteCertPair(l.TLSPath(), l.keyPath(), certBytes, keyBytes)
}

// keyPath is the file of the certificate's key.
func (l *Lnd) keyPath() string {
	return filepath.Join(l.dir, "tls.key")
}

// Stop ends the node at once.
func (l *Lnd) Stop() {
	l.mu.Lock()
	server, ended := l.server, l.ended
	l.server = nil
	l.mu.Unlock()

	if server != nil {
		server.Stop()
		<-ended
	}
}

// Restart starts the node, again if it runs.
func (l *Lnd) Restart() error {
	l.Stop()
	certificate, err := tls.LoadX509KeyPair(l.TLSPath(), l.keyPath())
	if err != nil {
		return err
	}
	address := l.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	l.address = listener.Addr().String()

	server := grpc.NewServer(
		grpc.Creds(credentials.NewServerTLSFromCert(&certificate)),
		grpc.UnaryInterceptor(l.unary),
		grpc.StreamInterceptor(l.stream),
	)
	lnrpc.RegisterStateServer(server, &stateServer{lnd: l})
	lnrpc.RegisterLightningServer(server, &lightningServer{lnd: l})
	verrpc.RegisterVersionerServer(server, &versionServer{lnd: l})
	walletrpc.RegisterWalletKitServer(server, &walletServer{lnd: l})
	signrpc.RegisterSignerServer(server, &signServer{lnd: l})
	chainrpc.RegisterChainKitServer(server, &chainServer{})
	chainrpc.RegisterChainNotifierServer(server, &notifyServer{})

	ended := make(chan struct{})
	l.mu.Lock()
	l.server, l.ended = server, ended
	l.mu.Unlock()
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()

	return nil
}

// unary lets unary calls in.
func (l *Lnd) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo,
	handler grpc.UnaryHandler) (any, error) {

	if err := l.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}

	return handler(ctx, req)
}

// stream lets streams in.
func (l *Lnd) stream(srv any, stream grpc.ServerStream,
	info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {

	if err := l.admit(stream.Context(), info.FullMethod); err != nil {
		return err
	}

	return handler(srv, stream)
}

// admit does what lnd's interceptors do before a call, in their order. As
// there, its errors have no code.
func (l *Lnd) admit(ctx context.Context, method string) error {
	l.mu.Lock()
	l.calls[method]++
	l.mu.Unlock()

	now := l.now()
	if now.Hangs[method] {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if service := filepath.Dir(method); service != "/lnrpc.State" {
		if now.State < lnrpc.WalletState_RPC_ACTIVE ||
			now.State == lnrpc.WalletState_WAITING_TO_START {

			return errors.New("wallet locked, unlock it to " +
				"enable full RPC access")
		}
		if !now.NoMacaroons {
			if err := l.authorize(ctx, method); err != nil {
				return err
			}
		}
	}

	return now.Errors[method]
}

// stateServer is lnrpc.State.
type stateServer struct {
	lnrpc.UnimplementedStateServer

	lnd *Lnd
}

// GetState returns the state.
func (s *stateServer) GetState(context.Context, *lnrpc.GetStateRequest) (
	*lnrpc.GetStateResponse, error) {

	return &lnrpc.GetStateResponse{State: s.lnd.now().State}, nil
}

// SubscribeState sends the state and waits for the client to go.
func (s *stateServer) SubscribeState(_ *lnrpc.SubscribeStateRequest,
	stream lnrpc.State_SubscribeStateServer) error {

	err := stream.Send(&lnrpc.SubscribeStateResponse{
		State: s.lnd.now().State,
	})
	if err != nil {
		return err
	}
	<-stream.Context().Done()

	return nil
}

// lightningServer is lnrpc.Lightning.
type lightningServer struct {
	lnrpc.UnimplementedLightningServer

	lnd *Lnd
}

// GetInfo returns who the node is.
func (s *lightningServer) GetInfo(context.Context, *lnrpc.GetInfoRequest) (
	*lnrpc.GetInfoResponse, error) {

	now := s.lnd.now()
	identity := Identity(now.Seed)
	info := &lnrpc.GetInfoResponse{
		IdentityPubkey: hex.EncodeToString(identity[:]),
		BlockHash:      TipHash().String(), BlockHeight: TipHeight,
		SyncedToChain: now.Synced, Color: "#3399ff",
	}
	if now.Network != "" {
		info.Chains = []*lnrpc.Chain{{
			Chain: "bitcoin", Network: now.Network,
		}}
	}

	return info, nil
}

// ListPermissions returns what each method asks for.
func (s *lightningServer) ListPermissions(context.Context,
	*lnrpc.ListPermissionsRequest) (*lnrpc.ListPermissionsResponse, error) {

	answer := &lnrpc.ListPermissionsResponse{
		MethodPermissions: make(
			map[string]*lnrpc.MacaroonPermissionList,
		),
	}
	for method, op := range permissions {
		list := &lnrpc.MacaroonPermissionList{
			Permissions: []*lnrpc.MacaroonPermission{{
				Entity: op.Entity, Action: op.Action,
			}},
		}
		answer.MethodPermissions[method] = list
	}

	return answer, nil
}

// versionServer is verrpc.Versioner.
type versionServer struct {
	verrpc.UnimplementedVersionerServer

	lnd *Lnd
}

// GetVersion returns the version.
func (s *versionServer) GetVersion(context.Context, *verrpc.VersionRequest) (
	*verrpc.Version, error) {

	return s.lnd.now().Version, nil
}

// writeMacaroon replaces the file of the macaroon.
func (l *Lnd) writeMacaroon(content []byte) error {
	err := os.WriteFile(l.MacaroonPath(), content, 0o600)
	if err != nil {
		return fmt.Errorf("macaroon: %w", err)
	}

	return nil
}
