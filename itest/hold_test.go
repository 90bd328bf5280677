package itest

import (
	"context"
	"fmt"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// getBlock is the call to lnd that a scan makes once for each block.
const getBlock = "/chainrpc.ChainKit/GetBlock"

// holdsFor picks the calls at which a run is held on its way to a state: those
// that every state makes some of, but those for blocks, of which there are
// hundreds, only for the scan itself.
func holdsFor(state states.State) func(method string) bool {
	return func(method string) bool {
		return isRevealing(method) &&
			(method != getBlock || state == states.ScanDeposits)
	}
}

// holdIn leads the latest run of a daemon that was just launched to a state, in
// which it then stands at a call to lnd, and returns it. The proxy holds the
// calls from before the launch on.
func (s *story) holdIn(loopd *regtest.Loopd, proxy *regtest.LndProxy,
	state states.State) *recoveryrpc.Run {

	s.Helper()

	var run *recoveryrpc.Run
	err := regtest.Eventually(s.Context(), string(state),
		regtest.DefaultTimeout, func(ctx context.Context) error {
			if len(proxy.Held()) == 0 {
				return fmt.Errorf("%w: no call is held",
					errNotYet)
			}

			// Before lnd's answers let it know its callers, the
			// daemon tells nobody anything.
			resp, err := recovery(ctx, loopd)
			if err == nil && resp.GetRun().GetState() ==
				string(state) {

				run = resp.Run
				return nil
			}
			proxy.Step()

			return fmt.Errorf("%w: %v, %v", errNotYet,
				resp.GetRun().GetState(), err)
		})
	require.NoError(s, err)

	return run
}
