package loopd

import (
	"context"
	"testing"

	"github.com/lightninglabs/lndclient"
	"github.com/stretchr/testify/require"
)

// assetChannels is an lnd with a plain channel and one that holds assets.
type assetChannels struct {
	lndclient.LightningClient
}

// ListChannels implements lndclient.LightningClient.
func (assetChannels) ListChannels(context.Context, bool, bool,
	...lndclient.ListChannelsOption) ([]lndclient.ChannelInfo, error) {

	return []lndclient.ChannelInfo{
		{ChannelID: 1},
		{ChannelID: 2, CustomChannelData: []byte(
			`{"local_balance":7,"funding_assets":[]}`,
		)},
	}, errTest
}

// TestNoAssets checks that an asset rule in the database finds no asset to
// swap, for which upstream would dereference nil, while a channel with custom
// data stays one that autoloop does not touch.
func TestNoAssets(t *testing.T) {
	lnd := &lndclient.GrpcLndServices{}
	lnd.Client = assetChannels{}
	withoutAssets(lnd)

	channels, err := lnd.Client.ListChannels(t.Context(), false, false)
	require.ErrorIs(t, err, errTest)
	require.Nil(t, channels[0].CustomChannelData)
	require.JSONEq(t, `{}`, string(channels[1].CustomChannelData))
}

// TestAssetsAreRefused checks that the option is not taken and ignored.
func TestAssetsAreRefused(t *testing.T) {
	cfg, err := load(t, "", "--tapd.activate")
	require.NoError(t, err)
	require.ErrorIs(t, refuseAssets(cfg), errAssets)
	require.ErrorIs(t, Main([]string{
		"--loopdir=" + t.TempDir(), "--tapd.activate",
	}), errAssets)

	// Without it an address of tapd does nothing, as with upstream.
	cfg, err = load(t, "", "--tapd.host=localhost:1")
	require.NoError(t, err)
	require.NoError(t, refuseAssets(cfg))
}
