package loopd

import (
	"context"
	"errors"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc"
)

const (
	methodNewAddress  = "NewStaticAddress"
	methodStopDaemon  = "StopDaemon"
	methodWithdraw    = "WithdrawDeposits"
	methodLoopIn      = "StaticAddressLoopIn"
	methodOpenChannel = "StaticOpenChannel"
)

// refreshing are the methods that make the embedded daemon look for deposits.
// It starts the state machine of a deposit that it notices for the first time
// on the context of the request; with the request's own context the machine
// would die with the request and never be replaced. So these methods are given
// a context that ends with the embedded daemon.
var refreshing = map[string]bool{
	"GetLoopInQuote":      true,
	"ListUnspentDeposits": true,
	methodWithdraw:        true,
	methodLoopIn:          true,
	methodOpenChannel:     true,
	"SuggestSwaps":        true,
}

// registerSwapClient registers upstream's service. Each call goes to the
// embedded daemon of the moment; while there is none it fails with the reason.
//
// The methods are not written out: upstream's own service description is taken
// and each handler wrapped, so that none is forgotten.
func (d *Daemon) registerSwapClient(server *grpc.Server) {
	desc := looprpc.SwapClient_ServiceDesc
	desc.HandlerType = (*any)(nil)

	desc.Methods = make([]grpc.MethodDesc, len(desc.Methods))
	for i, method := range looprpc.SwapClient_ServiceDesc.Methods {
		desc.Methods[i] = grpc.MethodDesc{
			MethodName: method.MethodName,
			Handler:    d.forwardUnary(method),
		}
	}

	desc.Streams = make([]grpc.StreamDesc, len(desc.Streams))
	for i, stream := range looprpc.SwapClient_ServiceDesc.Streams {
		forward := stream
		forward.Handler = func(_ any, ss grpc.ServerStream) error {
			running, ctx, done, err := d.gate.EnterStream(
				ss.Context(),
			)
			if err != nil {
				return downStatus(err)
			}
			defer done()

			return stream.Handler(
				running.Daemon, &endingStream{ss, ctx},
			)
		}
		desc.Streams[i] = forward
	}

	server.RegisterService(&desc, d)
}

// endingStream is a stream that ends with the embedded daemon.
type endingStream struct {
	grpc.ServerStream

	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *endingStream) Context() context.Context {
	return s.ctx
}

// unaryHandler is the type of a handler in a service description.
type unaryHandler = func(srv any, ctx context.Context,
	decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any,
	error)

// forwardUnary wraps one handler of upstream's service. What is done around
// the call is done as an interceptor behind the server's own ones, so that a
// caller is authenticated first.
func (d *Daemon) forwardUnary(method grpc.MethodDesc) unaryHandler {
	name := method.MethodName

	return func(_ any, ctx context.Context, decode func(any) error,
		outer grpc.UnaryServerInterceptor) (any, error) {

		// The handler calls the interceptor with the decoded request
		// and with a function that calls the method on srv. It binds
		// srv early, so that the embedded daemon of the moment is
		// looked up before; whether there is one is only told to an
		// authenticated caller.
		running, done, downErr := d.gate.Enter(ctx)

		var srv any = looprpc.UnimplementedSwapClientServer{}
		if downErr == nil {
			defer done()
			srv = running.Daemon
		}

		interceptor := func(ctx context.Context, req any,
			info *grpc.UnaryServerInfo,
			call grpc.UnaryHandler) (any, error) {

			inner := func(ctx context.Context, req any) (any,
				error) {

				if downErr != nil {
					return nil, downStatus(downErr)
				}

				return d.around(ctx, name, running, req, call)
			}
			if outer == nil {
				return inner(ctx, req)
			}

			return outer(ctx, req, info, inner)
		}

		return method.Handler(srv, ctx, decode, interceptor)
	}
}

// around does what our daemon adds to upstream's methods.
func (d *Daemon) around(ctx context.Context, name string, running *embedded,
	req any, call grpc.UnaryHandler) (any, error) {

	if refreshing[name] {
		ctx = gate.Outlive(ctx, running)
	}

	switch name {
	case methodNewAddress:
		return d.newAddress(ctx, req, call)

	case methodWithdraw, methodLoopIn, methodOpenChannel:
		if err := d.refuseUnverified(ctx, req); err != nil {
			return nil, err
		}
	}

	resp, err := call(ctx, req)
	if name == methodStopDaemon && err == nil {
		d.Stop()
	}

	return resp, err
}

// newAddress hands out an address only after its backup is durable. Calls are
// serialised: two at once could make two rows, with which every listing fails.
func (d *Daemon) newAddress(ctx context.Context, req any,
	call grpc.UnaryHandler) (any, error) {

	d.newAddressMutex.Lock()
	defer d.newAddressMutex.Unlock()

	watch := d.keeper.WatchPair(ctx)
	resp, err := call(ctx, req)
	watch.Seen(ctx)
	if err != nil {
		return resp, err
	}

	err = d.keeper.Protect(ctx, d.cfg.Recovery.MinCopies)
	if err != nil {
		log.Errorf("The new address is not protected: %v", err)
		return nil, unprotected(err)
	}

	return resp, nil
}

// unprotected says why an address has no durable backup.
func unprotected(err error) error {
	reason, permanent := states.PermanentReason(err)
	if !permanent {
		reason = states.NotProtected
	}

	return recoveryrpc.StatusError(reason, err.Error())
}

// refuseUnverified refuses a call that would spend a deposit that is only
// reported provisionally: it may be spent already.
func (d *Daemon) refuseUnverified(ctx context.Context, req any) error {
	provisional, err := d.view.Provisional(ctx)
	if err != nil {
		return recoveryrpc.StatusError(states.LndDown, err.Error())
	}
	if len(provisional) == 0 {
		return nil
	}

	unverified := make(map[string]bool, len(provisional))
	for _, outpoint := range provisional {
		unverified[outpoint.String()] = true
	}

	named, err := namedOutpoints(req)
	if err != nil {
		return recoveryrpc.StatusError(states.BadRequest, err.Error())
	}

	// A request that names no deposit leaves the choice to the embedded
	// daemon, which cannot tell them apart.
	if len(named) == 0 {
		return recoveryrpc.StatusError(
			states.DepositUnverified, provisional[0].String(),
		)
	}
	for _, outpoint := range named {
		if unverified[outpoint] {
			return recoveryrpc.StatusError(
				states.DepositUnverified, outpoint,
			)
		}
	}

	return nil
}

// namedOutpoints returns the deposits that a request names, as "txid:index",
// or none if it leaves the choice to the daemon.
func namedOutpoints(req any) ([]string, error) {
	switch req := req.(type) {
	case *looprpc.WithdrawDepositsRequest:
		if req.All {
			return nil, nil
		}

		return outpointStrings(req.Outpoints)

	case *looprpc.StaticAddressLoopInRequest:
		return req.Outpoints, nil

	case *looprpc.StaticOpenChannelRequest:
		return outpointStrings(req.GetOpenChannelRequest().GetOutpoints())

	default:
		return nil, errors.New("unknown request")
	}
}

// outpointStrings renders outpoints as "txid:index".
func outpointStrings(outpoints []*lnrpc.OutPoint) ([]string, error) {
	result := make([]string, 0, len(outpoints))
	for _, outpoint := range outpoints {
		hash, err := chainhash.NewHashFromStr(outpoint.TxidStr)
		if outpoint.TxidStr == "" {
			hash, err = chainhash.NewHash(outpoint.TxidBytes)
		}
		if err != nil {
			return nil, err
		}
		result = append(result, wire.NewOutPoint(
			hash, outpoint.OutputIndex,
		).String())
	}

	return result, nil
}
