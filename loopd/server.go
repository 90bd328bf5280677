package loopd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	proxy "github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	// maxProxyMessage is the largest answer the REST proxy passes on, in
	// bytes; upstream's value.
	maxProxyMessage = 200 * 1024 * 1024

	// headerTimeout bounds how long a REST client may take for a header.
	headerTimeout = 5 * time.Second

	// gracePeriod is how long calls under way may take at shutdown.
	gracePeriod = 2 * time.Second

	// maxServerFailures is how many failures of the servers are kept. The
	// first one ends the process.
	maxServerFailures = 4
)

// servers are the one gRPC and the one REST port.
type servers struct {
	grpc *grpc.Server
	rest *http.Server

	// address is where the gRPC port is.
	address string

	// cancel ends the proxy's connection to the gRPC port.
	cancel context.CancelFunc

	// failed receives the error of a server that stopped by itself, or of
	// a handler that panicked.
	failed chan error
}

// fail ends the process in good order, with the error. It does not wait.
func (s *servers) fail(err error) {
	select {
	case s.failed <- err:

	default:
	}
}

// services are what is served on the gRPC port, and through it on the REST
// port.
type services struct {
	// register registers the services. It may be nil.
	register func(*grpc.Server)

	// unary and stream are passed by each call, in this order, behind what
	// catches a panic.
	unary  []grpc.UnaryServerInterceptor
	stream []grpc.StreamServerInterceptor

	// unknown answers the calls of services that are not registered; nil
	// for gRPC's own answer.
	unknown grpc.StreamHandler
}

// services returns what a daemon serves.
func (d *Daemon) services() services {
	return services{
		register: func(server *grpc.Server) {
			d.newSwapClient().register(server)
			recoveryrpc.RegisterRecoveryServer(server, d.recovery)
		},
		unary: []grpc.UnaryServerInterceptor{
			d.auth.unary, d.ownerOnly,
		},
		stream: []grpc.StreamServerInterceptor{d.auth.stream},
	}
}

// standbyService answers every call with states.Standby.
func standbyService() services {
	return services{
		unknown: func(any, grpc.ServerStream) error {
			return recoveryrpc.StatusError(states.Standby, "")
		},
	}
}

// newServer returns the gRPC server of some services.
func newServer(tlsConfig *tls.Config, catcher *catcher,
	what services) *grpc.Server {

	options := []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(tlsConfig)),
		grpc.ChainUnaryInterceptor(catcher.unary),
		grpc.ChainUnaryInterceptor(what.unary...),
		grpc.ChainStreamInterceptor(catcher.stream),
		grpc.ChainStreamInterceptor(what.stream...),
	}
	if what.unknown != nil {
		options = append(
			options, grpc.UnknownServiceHandler(what.unknown),
		)
	}
	server := grpc.NewServer(options...)
	if what.register != nil {
		what.register(server)
	}

	return server
}

// serve opens both ports. From then on every call is answered: with the reason
// why not, if nothing else.
func serve(cfg *Config, what services) (*servers, error) {
	pair, err := loadTLS(cfg)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	tlsConfig := serverTLS(pair)

	s := &servers{failed: make(chan error, maxServerFailures)}
	s.grpc = newServer(tlsConfig, &catcher{fatal: s.fail}, what)

	listener, err := net.Listen("tcp", cfg.RPCListen)
	if err != nil {
		return nil, fmt.Errorf("RPC server: %w", err)
	}
	go func() {
		err := s.grpc.Serve(listener)
		if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			s.fail(fmt.Errorf("RPC server: %w", err))
		}
	}()
	s.address = listener.Addr().String()
	log.Infof("RPC server listening on %s", s.address)

	err = s.serveREST(
		cfg, listener.Addr(), tlsConfig,
		credentials.NewTLS(proxyTLS(pair)),
	)
	if err != nil {
		s.stop()
		return nil, err
	}

	return s, nil
}

// serveREST opens the REST port, if one is configured.
func (s *servers) serveREST(cfg *Config, rpcAddr net.Addr,
	tlsConfig *tls.Config, creds credentials.TransportCredentials) error {

	if cfg.RESTListen == "" {
		log.Infof("REST proxy disabled")
		return nil
	}

	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel

	// As upstream: names as in the proto files, and all values, also those
	// that are zero.
	mux := proxy.NewServeMux(proxy.WithMarshalerOption(
		proxy.MIMEWildcard, &proxy.JSONPb{
			MarshalOptions: protojson.MarshalOptions{
				UseProtoNames:   true,
				EmitUnpopulated: true,
			},
		},
	))
	target := loopbackTarget(rpcAddr)
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxProxyMessage),
		),
	}
	err := errors.Join(
		looprpc.RegisterSwapClientHandlerFromEndpoint(
			ctx, mux, target, options,
		),
		recoveryrpc.RegisterRecoveryHandlerFromEndpoint(
			ctx, mux, target, options,
		),
	)
	if err != nil {
		return fmt.Errorf("REST proxy: %w", err)
	}

	listener, err := net.Listen("tcp", cfg.RESTListen)
	if err != nil {
		return fmt.Errorf("REST proxy: %w", err)
	}
	s.rest = &http.Server{
		Handler:           allowOrigin(mux, cfg.CORSOrigin),
		ReadHeaderTimeout: headerTimeout,
	}
	go func() {
		err := s.rest.Serve(tls.NewListener(listener, tlsConfig))
		if err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("REST proxy: %w", err))
		}
	}()
	log.Infof("REST proxy listening on %s", listener.Addr())

	return nil
}

// stop closes both ports. Calls under way get a moment to finish.
func (s *servers) stop() {
	if s.rest != nil {
		_ = s.rest.Close()
	}
	if s.cancel != nil {
		s.cancel()
	}

	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(gracePeriod):
		s.grpc.Stop()
		<-done
	}
}

// loopbackTarget returns where the proxy reaches the gRPC port.
func loopbackTarget(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}

	host := "127.0.0.1"
	if tcp.IP.To4() == nil {
		host = "::1"
	}

	return net.JoinHostPort(host, fmt.Sprint(tcp.Port))
}

// allowOrigin sets the Access-Control-Allow-Origin header, if one is
// configured.
func allowOrigin(handler http.Handler, origin string) http.Handler {
	if origin == "" {
		return handler
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		handler.ServeHTTP(w, r)
	})
}
