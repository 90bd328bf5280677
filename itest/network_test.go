package itest

import (
	"context"
	"os"
	"testing"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/regtest"
	"github.com/stretchr/testify/require"
)

// TestUpstreamBuysToken checks the ground that the other stories stand on:
// upstream's own loopd buys a token from the stand-in with a real Lightning
// payment, gets an address, and sees a deposit; and the stand-in takes no call
// that was not paid for, and knows its tokens again after a restart.
func TestUpstreamBuysToken(t *testing.T) {
	s := newStory(t, regtest.Config{})
	ctx := t.Context()

	loopd, err := s.StartLoopd(ctx, regtest.LoopdConfig{
		Binary: regtest.UpstreamBinary,
	})
	require.NoError(t, err)
	require.Zero(t, s.Swap.Challenges(), "bought something at its start")
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
	require.Equal(t, 1, s.Swap.Challenges())
	tokens := s.Swap.Tokens()
	require.Len(t, tokens, 1)
	require.Len(t, s.Swap.ClientKeys(tokens[0]), 1)

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
	require.Equal(t, 1, s.Swap.Challenges())

	// A deposit is seen at its height.
	outpoint, err := s.Btcd.Fund(address.Address, 250_000)
	require.NoError(t, err)
	height, err := s.Mine(ctx, 1)
	require.NoError(t, err)
	deposits := s.waitDeposits(loopd, 1)
	require.Equal(t, outpoint.String(), deposits[0].Outpoint)
	require.EqualValues(t, height, deposits[0].ConfirmationHeight)
	require.EqualValues(t, 250_000, deposits[0].Value)

	// The same through a node and a daemon that were killed.
	require.NoError(t, loopd.Kill())
	require.NoError(t, s.Client.Kill())
	require.NoError(t, s.Client.Start(ctx))
	require.NoError(t, loopd.Start(ctx))
	require.Equal(t, deposits[0].Outpoint,
		s.waitDeposits(loopd, 1)[0].Outpoint)

	// Whoever has no token is asked to buy one.
	require.NoError(t, loopd.Stop())
	require.NoError(t, os.Remove(loopd.TokenPath()))
	require.NoError(t, loopd.Start(ctx))
	require.NoError(t, loopd.Swap(
		func(client looprpc.SwapClientClient) error {
			_, err := client.FetchL402Token(
				ctx, &looprpc.FetchL402TokenRequest{},
			)

			return err
		},
	))
	require.Equal(t, 2, s.Swap.Challenges())
	require.Len(t, s.Swap.Tokens(), 2)
}
