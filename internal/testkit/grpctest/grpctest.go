// Package grpctest serves gRPC services in memory, for tests that speak to a
// server of ours as a program would.
package grpctest

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// bufferSize is how many bytes a connection holds on their way.
const bufferSize = 1 << 20

// Serve serves what is registered until the test ends, and returns a connection
// to it.
func Serve(t *testing.T, register func(*grpc.Server),
	options ...grpc.ServerOption) *grpc.ClientConn {

	t.Helper()

	listener := bufconn.Listen(bufferSize)
	server := grpc.NewServer(options...)
	register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	conn, err := grpc.NewClient(
		"passthrough:///memory",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (
			net.Conn, error) {

			return listener.DialContext(ctx)
		}),
	)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })

	return conn
}
