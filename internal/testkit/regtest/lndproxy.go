package regtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxProxyMessage is the largest message that an LndProxy passes on, in bytes.
const maxProxyMessage = 64 << 20

// LndProxy stands between a daemon and an lnd and passes every call on as it
// is, except those that it was told to hold. With it a story stops a daemon at
// a known point for as long as it wants to look around.
type LndProxy struct {
	server *grpc.Server
	lnd    *grpc.ClientConn
	addr   string

	mu      sync.Mutex
	holds   func(method string) bool
	held    []string
	release chan struct{}
}

// NewProxy starts a proxy in front of the lnd, with the lnd's certificate. The
// caller stops it.
func (l *Lnd) NewProxy() (*LndProxy, error) {
	serverCreds, err := credentials.NewServerTLSFromFile(
		l.TLSPath(), filepath.Join(l.dir, "tls.key"),
	)
	if err != nil {
		return nil, err
	}
	conn, err := l.dial(false)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}

	p := &LndProxy{
		lnd: conn, addr: listener.Addr().String(),
		release: make(chan struct{}),
	}
	p.server = grpc.NewServer(
		grpc.Creds(serverCreds), grpc.ForceServerCodec(rawCodec{}),
		grpc.MaxRecvMsgSize(maxProxyMessage),
		grpc.UnknownServiceHandler(p.forward),
	)
	go func() {
		// Serve ends with an error when Stop closes the listener.
		_ = p.server.Serve(listener)
	}()

	return p, nil
}

// Address is where the proxy listens, as host:port.
func (p *LndProxy) Address() string {
	return p.addr
}

// Stop cuts every connection through the proxy.
func (p *LndProxy) Stop() error {
	p.server.Stop()

	return p.lnd.Close()
}

// Hold makes the proxy hold the calls of the methods that the function picks,
// from the next one on. Methods are named as gRPC does:
// "/lnrpc.Lightning/GetInfo".
func (p *LndProxy) Hold(holds func(method string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds = holds
}

// Held returns the methods of the calls that are being held.
func (p *LndProxy) Held() []string {
	p.mu.Lock()
	defer p.mu.Unlock()

	return slices.Clone(p.held)
}

// Step lets the calls pass that are being held. Later ones are held again.
func (p *LndProxy) Step() {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.held = nil
	close(p.release)
	p.release = make(chan struct{})
}

// Open lets the calls pass that are being held and all later ones.
func (p *LndProxy) Open() {
	p.Hold(nil)
	p.Step()
}

// WaitHeld waits until a call of the method is being held.
func (p *LndProxy) WaitHeld(ctx context.Context, method string) error {
	return Eventually(ctx, "a call of "+method, DefaultTimeout,
		func(context.Context) error {
			held := p.Held()
			if !slices.Contains(held, method) {
				return fmt.Errorf("held are %v", held)
			}

			return nil
		})
}

// pass returns when a call of the method may go on.
func (p *LndProxy) pass(ctx context.Context, method string) error {
	p.mu.Lock()
	holding := p.holds != nil && p.holds(method)
	release := p.release
	if holding {
		p.held = append(p.held, method)
	}
	p.mu.Unlock()
	if !holding {
		return nil
	}

	select {
	case <-release:
		return nil

	case <-ctx.Done():
		p.abandon(method)

		return ctx.Err()
	}
}

// abandon forgets a held call whose caller has gone.
func (p *LndProxy) abandon(method string) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if at := slices.Index(p.held, method); at >= 0 {
		p.held = slices.Delete(p.held, at, at+1)
	}
}

// forward passes one call on, of whatever kind.
func (p *LndProxy) forward(_ any, caller grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(caller)
	if !ok {
		return status.Error(codes.Internal, "a call without a method")
	}
	if err := p.pass(caller.Context(), method); err != nil {
		return err
	}

	md, _ := metadata.FromIncomingContext(caller.Context())
	ctx, cancel := context.WithCancel(
		metadata.NewOutgoingContext(caller.Context(), md.Copy()),
	)
	defer cancel()

	lnd, err := p.lnd.NewStream(ctx, &grpc.StreamDesc{
		ClientStreams: true, ServerStreams: true,
	}, method, grpc.ForceCodec(rawCodec{}),
		grpc.MaxCallRecvMsgSize(maxProxyMessage))
	if err != nil {
		return err
	}
	go func() {
		if err := copyRequests(caller, lnd); err != nil {
			cancel()
		}
	}()

	return copyAnswers(lnd, caller)
}

// copyRequests passes on what the caller sends.
func copyRequests(caller grpc.ServerStream, lnd grpc.ClientStream) error {
	for {
		var message []byte
		err := caller.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			return lnd.CloseSend()
		}
		if err != nil {
			return err
		}
		if err := lnd.SendMsg(&message); err != nil {
			return err
		}
	}
}

// copyAnswers passes on what lnd answers, its error included.
func copyAnswers(lnd grpc.ClientStream, caller grpc.ServerStream) error {
	for {
		var message []byte
		err := lnd.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			caller.SetTrailer(lnd.Trailer())

			return nil
		}
		if err != nil {
			return err
		}
		if err := caller.SendMsg(&message); err != nil {
			return err
		}
	}
}

// rawCodec leaves messages as the bytes that they are.
type rawCodec struct{}

// Name is the name of the codec whose bytes these are.
func (rawCodec) Name() string {
	return "proto"
}

// Marshal returns the bytes of a message.
func (rawCodec) Marshal(message any) ([]byte, error) {
	raw, ok := message.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("%T is no message as bytes", message)
	}

	return *raw, nil
}

// Unmarshal keeps the bytes of a message.
func (rawCodec) Unmarshal(data []byte, message any) error {
	raw, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("%T takes no message as bytes", message)
	}
	*raw = slices.Clone(data)

	return nil
}
