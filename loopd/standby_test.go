package loopd

import (
	"context"
	"testing"

	"github.com/looprecovery/looprecovery/internal/owner"
	"github.com/looprecovery/looprecovery/internal/recoveryserver"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// TestStandbyAnswers checks which calls a daemon answers that owns nothing: all
// that only look at its own journal and files, and no other.
func TestStandbyAnswers(t *testing.T) {
	d := &Daemon{
		owner: owner.New(owner.Config{DataDir: t.TempDir()}),
		gate:  newGate(nil, nil),
	}
	d.shutdown = t.Context()
	d.bar(states.Standby)

	answered := func(method string) error {
		_, err := d.ownerOnly(
			t.Context(), nil,
			&grpc.UnaryServerInfo{FullMethod: method},
			func(context.Context, any) (any, error) {
				return nil, nil
			},
		)

		return err
	}
	for method := range recoveryrpc.RequiredPermissions {
		err := answered(method)
		if !recoveryserver.NeedsOwner(method) {
			require.NoError(t, err, method)
			continue
		}
		reason, ok := recoveryrpc.ReasonOf(err)
		require.True(t, ok, method)
		require.Equal(t, states.Standby, reason, method)
	}
	_, _, err := d.gate.Enter(t.Context())
	reason, _ := recoveryrpc.ReasonOf(downStatus(err))
	require.Equal(t, states.Standby, reason)
	require.Equal(t, states.Standby, d.gate.Status().Reason)

	_, err = d.owner.TryDirectory()
	require.NoError(t, err)
	require.NoError(t, d.owner.AwaitDatabase(t.Context(), nil))
	for method := range recoveryrpc.RequiredPermissions {
		require.NoError(t, answered(method), method)
	}
	d.owner.Release()
}
