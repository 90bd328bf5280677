package itest

import (
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

// excludePatience is how long upstream's loopd may wait for its macaroon store
// before it gives up: five seconds, and what it does before.
const excludePatience = 30 * time.Second

// TestHeldDirectory: while a restore holds the swap client back, a service
// manager starts upstream's loopd again, or its user does. If this breaks it
// buys another token and makes another address beside the ones that are being
// brought back. And whoever wants our own to end types the command for that in
// just this state.
func TestHeldDirectory(t *testing.T) {
	s := newStory(t)
	loopd, proxy := s.newProxied()
	s.start(loopd)
	s.newAddress(loopd)
	token := s.token(loopd)
	s.backup(loopd)
	s.stop(loopd)

	s.removeToken(loopd)
	s.removeRow(loopd)
	proxy.Hold(func(method string) bool { return method == importMethod })
	s.startListening(loopd)
	require.NoError(t, proxy.WaitHeld(t.Context(), importMethod))

	upstream := s.newLoopd(regtest.LoopdConfig{
		Name: "upstream", Dir: loopd.Dir(),
		Binary: regtest.UpstreamBinary,
	})
	require.NoError(t, upstream.Launch(nil))
	require.NoError(t, upstream.WaitExit(excludePatience))
	require.Equal(t, 1, upstream.ExitCode())
	require.Equal(t, token, s.token(loopd), "another token was bought")

	s.succeeds(s.cli(loopd, "stop"))
	require.NoError(t, loopd.WaitExit(stopPatience))
	require.Zero(t, loopd.ExitCode())
	require.Empty(t, s.addressRows(loopd), "another address was made")
}
