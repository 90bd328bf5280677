package itest

import (
	"context"
	"fmt"
	"testing"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

// TestStoryJNoticedByRequest: somebody's wallet asks for the unspent deposits
// all the time, so that the daemon notices a deposit while it answers such a
// request, and not when it looks by itself, which is every ten seconds.
// Upstream ties the deposit's state machine to that request: with upstream's
// own server it dies with it, and the coins stay where they are at expiry.
func TestStoryJNoticedByRequest(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	address := s.newAddress(loopd)
	s.waitUnspent(loopd, 0)

	outpoint, err := s.Btcd.Fund(address, 200_000)
	require.NoError(t, err)
	s.waitUnspent(loopd, 1)
	height, err := s.Mine(t.Context(), 1)
	require.NoError(t, err)
	noticed := deposit{*outpoint, 200_000, height}
	s.waitDeposits(loopd, noticed)

	s.waitSwept(s.Client, noticed)
	s.waitDeposits(loopd)
}

// waitUnspent asks for the unspent deposits, with short requests one right
// after the other, until there are n.
func (s *story) waitUnspent(loopd *regtest.Loopd, n int) {
	s.Helper()

	conn, err := loopd.Dial()
	require.NoError(s, err)
	defer conn.Close()
	client := looprpc.NewSwapClientClient(conn)

	err = regtest.Eventually(s.Context(), "the unspent deposits",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			resp, err := client.ListUnspentDeposits(
				ctx, &looprpc.ListUnspentDepositsRequest{},
			)
			if err != nil {
				return err
			}
			if len(resp.Utxos) != n {
				return fmt.Errorf("%w: %d", errNotYet,
					len(resp.Utxos))
			}

			return nil
		})
	require.NoError(s, err)
}
