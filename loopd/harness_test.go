package loopd

import (
	"context"
	"testing"
	"time"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// callPatience bounds every wait of the tests of the servers.
const callPatience = 10 * time.Second

// requireReason checks the reason of an Unavailable status.
func requireReason(t *testing.T, err error, want states.Reason) {
	t.Helper()

	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	requireRefused(t, err, want)
}

// requireRefused checks the reason of a status.
func requireRefused(t *testing.T, err error, want states.Reason) {
	t.Helper()

	reason, ok := recoveryrpc.ReasonOf(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, want, reason)
}

// allMethods are the full names of upstream's unary methods.
func allMethods() []string {
	var names []string
	for _, method := range looprpc.SwapClient_ServiceDesc.Methods {
		names = append(names, method.MethodName)
	}

	return names
}

// requireCode checks the gRPC code of a status.
func requireCode(t *testing.T, err error, want string) {
	t.Helper()

	require.Equal(t, want, status.Code(err).String(), "%v", err)
}

// dynamicMessage returns a new message of a type.
func dynamicMessage(t *testing.T,
	kind protoreflect.MessageDescriptor) protoreflect.Message {

	t.Helper()

	found, err := protoregistry.GlobalTypes.FindMessageByName(
		kind.FullName(),
	)
	require.NoError(t, err)

	return found.New()
}

// key is the type of context keys in the tests.
type key struct{}

// TestOutlive checks that a call that notices a deposit for the first time
// leaves a state machine behind that lives as long as the daemon.
func TestOutlive(t *testing.T) {
	life, endLife := context.WithCancel(t.Context())
	defer endLife()
	request, endRequest := context.WithCancel(
		context.WithValue(t.Context(), key{}, "value"),
	)

	ctx := outlive(request, life)
	endRequest()
	require.NoError(t, ctx.Err())
	require.Equal(t, "value", ctx.Value(key{}))

	child, cancel := context.WithCancel(ctx)
	defer cancel()
	endLife()
	select {
	case <-child.Done():

	case <-time.After(callPatience):
		require.Fail(t, "the context outlived the daemon")
	}
}
