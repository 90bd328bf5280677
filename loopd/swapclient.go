package loopd

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// admitted is a call that was let through to the embedded daemon.
type admitted struct {
	// server is the embedded daemon.
	server looprpc.SwapClientServer

	// life ends with the embedded daemon.
	life context.Context

	// done ends the call; the embedded daemon is not stopped for a
	// recovery before.
	done func()
}

// swapClientConfig is what the wrapper around upstream's service needs.
type swapClientConfig struct {
	// enter lets a call through, or returns a status with the reason why
	// there is no embedded daemon.
	enter func(ctx context.Context) (*admitted, error)

	// enterStream does the same for a call that goes on for long. It is
	// not waited for: its context ends when the daemon is stopped.
	enterStream func(ctx context.Context) (*admitted, context.Context,
		error)

	// stop ends the process in good order. It does not wait.
	stop func()

	// provisional names the deposits that are reported without proof: they
	// may be spent already.
	provisional func(ctx context.Context) ([]wire.OutPoint, error)

	// address is how a static address is handed out.
	address addressConfig
}

// swapClient is upstream's service as we serve it. Each call goes to the
// embedded daemon of the moment; while there is none it fails with the reason.
//
// The methods are not written out: upstream's own service description is taken
// and each handler wrapped, so that none is forgotten. What is done around one
// is in its handling.
type swapClient struct {
	cfg     swapClientConfig
	address *addressDesk
}

// newSwapClient returns the wrapper.
func newSwapClient(cfg swapClientConfig) *swapClient {
	return &swapClient{cfg: cfg, address: newAddressDesk(cfg.address)}
}

// register registers upstream's service, wrapped.
func (s *swapClient) register(server *grpc.Server) {
	desc := looprpc.SwapClient_ServiceDesc
	desc.HandlerType = (*any)(nil)

	desc.Methods = make([]grpc.MethodDesc, len(desc.Methods))
	for i, method := range looprpc.SwapClient_ServiceDesc.Methods {
		desc.Methods[i] = grpc.MethodDesc{
			MethodName: method.MethodName,
			Handler:    s.wrapUnary(method),
		}
	}

	desc.Streams = make([]grpc.StreamDesc, len(desc.Streams))
	for i, stream := range looprpc.SwapClient_ServiceDesc.Streams {
		desc.Streams[i] = stream
		desc.Streams[i].Handler = s.wrapStream(stream)
	}

	server.RegisterService(&desc, s)
}

// unaryHandler is the type of a handler in a service description.
type unaryHandler = func(srv any, ctx context.Context,
	decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any,
	error)

// wrapUnary wraps one handler. The request is decoded and the caller
// authenticated, by the server's interceptors, before anything else: whether
// there is an embedded daemon is not told to strangers.
func (s *swapClient) wrapUnary(method grpc.MethodDesc) unaryHandler {
	return func(_ any, ctx context.Context, decode func(any) error,
		outer grpc.UnaryServerInterceptor) (any, error) {

		interceptor := func(ctx context.Context, req any,
			info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any,
			error) {

			call := func(ctx context.Context, req any) (any,
				error) {

				return s.answer(ctx, method, req)
			}
			if outer == nil {
				return call(ctx, req)
			}

			return outer(ctx, req, info, call)
		}

		return method.Handler(
			looprpc.UnimplementedSwapClientServer{}, ctx, decode,
			interceptor,
		)
	}
}

// answer answers a call of a caller who was authenticated.
func (s *swapClient) answer(ctx context.Context, method grpc.MethodDesc,
	req any) (any, error) {

	handling := handlings[method.MethodName]
	if handling.stops {
		s.cfg.stop()
		return &looprpc.StopDaemonResponse{}, nil
	}
	if err := refuseNil(req); err != nil {
		return nil, err
	}

	call, err := s.cfg.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer call.done()

	if handling.outlives {
		ctx = outlive(ctx, call.life)
	}
	if handling.spends {
		if err := s.refuseUnverified(ctx, req); err != nil {
			return nil, err
		}
	}
	forward := func(ctx context.Context) (any, error) {
		return forward(ctx, method, call.server, req)
	}
	if handling.makesAddress {
		return s.address.make(ctx, call.life, forward)
	}

	resp, err := forward(ctx)
	if err != nil {
		return resp, err
	}

	return resp, s.address.withhold(ctx, call.life, resp)
}

// forward calls a method of the embedded daemon with a request that was
// decoded already.
func forward(ctx context.Context, method grpc.MethodDesc,
	server looprpc.SwapClientServer, req any) (any, error) {

	return method.Handler(server, ctx, func(into any) error {
		from, ok := req.(proto.Message)
		target, alsoOK := into.(proto.Message)
		if !ok || !alsoOK {
			return fmt.Errorf("%T is not a message", req)
		}
		proto.Merge(target, from)

		return nil
	}, nil)
}

// wrapStream wraps the handler of one stream.
func (s *swapClient) wrapStream(stream grpc.StreamDesc) grpc.StreamHandler {
	return func(_ any, ss grpc.ServerStream) error {
		call, ctx, err := s.cfg.enterStream(ss.Context())
		if err != nil {
			return err
		}
		defer call.done()

		return stream.Handler(call.server, &guardedStream{
			ServerStream: ss,
			ctx:          ctx,
			send: func(message any) error {
				return s.address.withhold(
					ctx, call.life, message,
				)
			},
		})
	}
}

// guardedStream is a stream whose messages are looked at before they leave.
type guardedStream struct {
	grpc.ServerStream

	// ctx ends with the call or with the embedded daemon.
	ctx context.Context

	// send is called with each message.
	send func(message any) error
}

// Context implements grpc.ServerStream.
func (s *guardedStream) Context() context.Context {
	return s.ctx
}

// SendMsg implements grpc.ServerStream.
func (s *guardedStream) SendMsg(message any) error {
	if err := s.send(message); err != nil {
		return err
	}

	return s.ServerStream.SendMsg(message)
}

// refuseUnverified refuses a call that would spend a deposit that is only
// reported provisionally: it may be spent already.
func (s *swapClient) refuseUnverified(ctx context.Context, req any) error {
	provisional, err := s.cfg.provisional(ctx)
	if err != nil {
		return recoveryrpc.StatusError(states.LndDown, err.Error())
	}
	if len(provisional) == 0 {
		return nil
	}

	unverified := make(map[wire.OutPoint]bool, len(provisional))
	for _, outpoint := range provisional {
		unverified[outpoint] = true
	}
	named, err := namedDeposits(req)
	if err != nil {
		return recoveryrpc.StatusError(states.BadRequest, err.Error())
	}

	// A request that names no deposit leaves the choice to the embedded
	// daemon, which cannot tell them apart.
	if len(named) == 0 {
		named = provisional[:1]
	}
	for _, outpoint := range named {
		if unverified[outpoint] {
			return recoveryrpc.StatusError(
				states.DepositUnverified, outpoint.String(),
			)
		}
	}

	return nil
}

// outlive returns a context that carries the values of a request but ends with
// the embedded daemon instead of with the request.
func outlive(request, life context.Context) context.Context {
	return outliving{Context: life, request: request}
}

// outliving is a context with the life of one and the values of another.
type outliving struct {
	context.Context

	// request has the values.
	request context.Context
}

// Value implements context.Context.
func (o outliving) Value(key any) any {
	if value := o.request.Value(key); value != nil {
		return value
	}

	return o.Context.Value(key)
}
