package recoveryrpc

import (
	"slices"
	"testing"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/stretchr/testify/require"
	"gopkg.in/macaroon-bakery.v2/bakery"
)

// TestEveryMethodIsGuarded checks that no method can be called without a
// macaroon because its permissions were forgotten.
func TestEveryMethodIsGuarded(t *testing.T) {
	var methods []string
	for _, method := range Recovery_ServiceDesc.Methods {
		methods = append(methods, method.MethodName)
	}
	for _, stream := range Recovery_ServiceDesc.Streams {
		methods = append(methods, stream.StreamName)
	}
	require.NotEmpty(t, methods)

	for _, method := range methods {
		name := "/" + Recovery_ServiceDesc.ServiceName + "/" + method
		require.NotEmpty(t, RequiredPermissions[name], name)
	}
	require.Len(t, RequiredPermissions, len(methods))
}

// TestUpstreamMacaroonSuffices checks that a macaroon made by upstream's loopd
// allows every method: it holds the operations that upstream's own methods
// need, and no other.
func TestUpstreamMacaroonSuffices(t *testing.T) {
	var upstream []bakery.Op
	for _, ops := range looprpc.RequiredPermissions {
		upstream = append(upstream, ops...)
	}

	for method, ops := range RequiredPermissions {
		for _, op := range ops {
			require.True(t, slices.Contains(upstream, op),
				"%s needs %v", method, op)
		}
	}
}
