package contract

import (
	"fmt"
	"slices"
	"testing"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"gopkg.in/macaroon-bakery.v2/bakery"
)

// TestService holds the list of upstream's methods: package loopd says of each
// what its wrapper does around it, and a new one must not pass unseen.
func TestService(t *testing.T) {
	var lines []string
	methods := service().Methods()
	for i := range methods.Len() {
		method := methods.Get(i)
		kind := "unary"
		if method.IsStreamingServer() {
			kind = "stream"
		}
		require.False(t, method.IsStreamingClient())
		lines = append(lines, fmt.Sprintf("%s %s(%s) %s", kind,
			method.Name(), method.Input().Name(),
			method.Output().Name()))
	}
	slices.Sort(lines)

	requireSnapshot(t, "service.txt", `
		The methods of looprpc.SwapClient.
		loopd/methods.go says of each what is done around it.
	`, lines)
}

// TestServiceDescription checks that the generated description, which we wrap
// handler by handler, has exactly the methods of the proto file.
func TestServiceDescription(t *testing.T) {
	desc := looprpc.SwapClient_ServiceDesc
	require.Equal(t, string(service().FullName()), desc.ServiceName)

	names := func(desc grpc.ServiceDesc) []string {
		var result []string
		for _, method := range desc.Methods {
			result = append(result, method.MethodName)
		}
		for _, stream := range desc.Streams {
			require.True(t, stream.ServerStreams)
			require.False(t, stream.ClientStreams)
			result = append(result, stream.StreamName)
		}
		slices.Sort(result)

		return result
	}

	var want []string
	methods := service().Methods()
	for i := range methods.Len() {
		want = append(want, string(methods.Get(i).Name()))
	}
	slices.Sort(want)
	require.Equal(t, want, names(desc))
}

// TestPermissions holds what each method of upstream requires. Ours need
// operations that are among them, so that every loop.macaroon stays valid: a
// new entity would have upstream make it anew.
func TestPermissions(t *testing.T) {
	var lines []string
	known := make(map[bakery.Op]bool)
	for method, ops := range looprpc.RequiredPermissions {
		line := method
		for _, op := range ops {
			known[op] = true
			line += fmt.Sprintf(" %s:%s", op.Entity, op.Action)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)

	requireSnapshot(t, "permissions.txt", `
		looprpc.RequiredPermissions: what a caller's macaroon must allow.
		recoveryrpc/perms.go may use these operations and no others.
	`, lines)

	for method, ops := range recoveryrpc.RequiredPermissions {
		require.NotEmpty(t, ops, method)
		for _, op := range ops {
			require.True(t, known[op], "%s: %v", method, op)
		}
	}
}

// service is upstream's service as its proto file has it.
func service() protoreflect.ServiceDescriptor {
	return looprpc.File_client_proto.Services().ByName("SwapClient")
}
