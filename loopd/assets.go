package loopd

import (
	"context"
	"errors"

	"github.com/lightninglabs/lndclient"
)

// errAssets refuses a start with taproot assets.
var errAssets = errors.New("--tapd.activate: this loopd does not swap " +
	"taproot assets, because upstream connects to tapd only in its own " +
	"process; remove the option, or run upstream's loopd")

// refuseAssets refuses a configuration that asks for taproot assets: upstream
// makes its client of tapd only when it is not embedded, so that the option
// would be taken and do nothing.
func refuseAssets(cfg *Config) error {
	if cfg.Tapd.Activate {
		return errAssets
	}

	return nil
}

// withoutAssets keeps the embedded daemon from looking for a price of taproot
// assets. A rule for an asset may be in its database, set while it ran with
// tapd; without tapd its autoloop dereferences nil every twenty minutes, in a
// goroutine of its own that nobody can catch, as soon as a channel holds more
// of the asset than the rule says. So no channel does: a channel with custom
// data is still one, which autoloop leaves alone, but its assets are not told.
func withoutAssets(lnd *lndclient.GrpcLndServices) {
	lnd.Client = &assetlessClient{LightningClient: lnd.Client}
}

// noAssets is custom data of a channel that holds no assets.
const noAssets = "{}"

// assetlessClient is lnd without the assets in its channels.
type assetlessClient struct {
	lndclient.LightningClient
}

// ListChannels implements lndclient.LightningClient.
func (c *assetlessClient) ListChannels(ctx context.Context, activeOnly,
	publicOnly bool, opts ...lndclient.ListChannelsOption) (
	[]lndclient.ChannelInfo, error) {

	channels, err := c.LightningClient.ListChannels(
		ctx, activeOnly, publicOnly, opts...,
	)
	for i := range channels {
		if channels[i].CustomChannelData != nil {
			channels[i].CustomChannelData = []byte(noAssets)
		}
	}

	return channels, err
}
