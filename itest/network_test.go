package itest

import (
	"context"
	"os"
	"testing"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

// TestUpstreamBuysToken checks the ground that the other stories stand on:
// upstream's own loopd buys a token from the stand-in with a real Lightning
// payment, gets an address, and sees a deposit; and the stand-in takes no call
// that was not paid for, and knows its tokens again after a restart.
func TestUpstreamBuysToken(t *testing.T) {
	s := newStory(t)
	ctx := t.Context()
	challenges, known := s.Swap.Challenges(), len(s.Swap.Tokens())

	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.startUpstream(loopd)
	require.Equal(t, challenges, s.Swap.Challenges(),
		"bought something at its start")
	require.NoFileExists(t, loopd.TokenPath())

	conn, err := loopd.Dial()
	require.NoError(t, err)
	defer conn.Close()
	client := looprpc.NewSwapClientClient(conn)

	address, err := client.NewStaticAddress(
		ctx, &looprpc.NewStaticAddressRequest{},
	)
	require.NoError(t, err)
	require.EqualValues(t, s.Swap.Expiry(), address.Expiry)
	require.FileExists(t, loopd.TokenPath())
	require.Equal(t, challenges+1, s.Swap.Challenges())
	tokens := s.Swap.Tokens()
	require.Len(t, tokens, known+1)
	require.Len(t, s.Swap.ClientKeys(tokens[known]), 1)

	// The same token is known again by a stand-in that was restarted.
	s.Swap.Stop()
	require.NoError(t, s.Swap.Start())
	// The daemon notices that its connection is gone at its next call.
	err = regtest.Eventually(ctx, "the swap server", regtest.DefaultTimeout,
		func(ctx context.Context) error {
			_, err := client.FetchL402Token(
				ctx, &looprpc.FetchL402TokenRequest{},
			)

			return err
		})
	require.NoError(t, err)
	require.Equal(t, tokens, s.Swap.Tokens())
	require.Equal(t, challenges+1, s.Swap.Challenges())

	// A deposit is seen at its height.
	deposits := s.pay(address.Address, 250_000)
	s.waitDeposits(loopd, deposits...)

	// The same through a node and a daemon that were killed.
	require.NoError(t, loopd.Kill())
	require.NoError(t, s.Client.Kill())
	require.NoError(t, s.Client.Start(ctx))
	s.startUpstream(loopd)
	s.waitDeposits(loopd, deposits...)

	// Whoever has no token is asked to buy one.
	s.stop(loopd)
	s.noteSecrets(loopd)
	require.NoError(t, os.Remove(loopd.TokenPath()))
	s.startUpstream(loopd)
	require.NoError(t, s.WaitPayable(ctx, s.Client))
	require.NoError(t, loopd.Swap(
		func(client looprpc.SwapClientClient) error {
			_, err := client.FetchL402Token(
				ctx, &looprpc.FetchL402TokenRequest{},
			)

			return err
		},
	))
	require.Equal(t, challenges+2, s.Swap.Challenges())
	require.Len(t, s.Swap.Tokens(), known+2)
}
