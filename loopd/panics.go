package loopd

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/lightninglabs/loop/looprpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// catcher turns a panic of a handler into an answer.
//
// A panic of upstream's handlers ends the process as well, in good order: the
// locks that it held are held for ever, and a manager behind one never sweeps.
// Upstream's own process would end, too. A panic of ours ends nothing but its
// call: no net holds the swap client back.
type catcher struct {
	// fatal ends the process with the error. It does not wait.
	fatal func(error)
}

// unary catches the panics of unary calls. It is the outermost interceptor.
func (c *catcher) unary(ctx context.Context, req any,
	info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any,
	err error) {

	defer func() {
		if caught := recover(); caught != nil {
			resp, err = nil, c.caught(info.FullMethod, caught)
		}
	}()

	return handler(ctx, req)
}

// stream catches the panics of streams.
func (c *catcher) stream(srv any, stream grpc.ServerStream,
	info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {

	defer func() {
		if caught := recover(); caught != nil {
			err = c.caught(info.FullMethod, caught)
		}
	}()

	return handler(srv, stream)
}

// caught logs a panic and returns the answer of the call.
func (c *catcher) caught(method string, caught any) error {
	log.Criticalf("%s panicked: %v\n%s", method, caught, debug.Stack())

	service := "/" + looprpc.SwapClient_ServiceDesc.ServiceName + "/"
	if strings.HasPrefix(method, service) {
		c.fatal(fmt.Errorf("%s panicked: the process ends, for locks "+
			"that it held would be held for ever", method))
	}

	return status.Error(codes.Internal, "internal error, see loopd's log")
}
