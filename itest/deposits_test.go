package itest

import (
	"context"
	"fmt"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/regtest"
	"github.com/stretchr/testify/require"
)

// waitDeposits waits until the daemon lists n deposits and returns them.
func (s *story) waitDeposits(loopd *regtest.Loopd, n int) []*looprpc.Deposit {
	s.Helper()

	conn, err := loopd.Dial()
	require.NoError(s, err)
	defer conn.Close()
	client := looprpc.NewSwapClientClient(conn)

	var deposits []*looprpc.Deposit
	err = regtest.Eventually(s.Context(), fmt.Sprintf("%d deposits", n),
		regtest.DefaultTimeout, func(ctx context.Context) error {
			resp, err := client.ListStaticAddressDeposits(
				ctx,
				&looprpc.ListStaticAddressDepositsRequest{},
			)
			if err != nil {
				return err
			}
			deposits = resp.FilteredDeposits
			if len(deposits) != n {
				return fmt.Errorf("it lists %d", len(deposits))
			}

			return nil
		})
	require.NoError(s, err)

	return deposits
}
