package regtest

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnwallet"
)

const (
	// channelCapacity is the size of the channel that OpenChannel opens.
	channelCapacity btcutil.Amount = 1_000_000

	// channelPush is the part of it that the other side is given.
	channelPush btcutil.Amount = 100_000

	// channelFeeRate is the fee rate of the funding, in sat per vbyte.
	channelFeeRate = 5
)

// WaitSynced waits until the node follows the tip of its btcd's best chain.
func (l *Lnd) WaitSynced(ctx context.Context) error {
	return Eventually(ctx, l.config.Name+" to follow the chain",
		DefaultTimeout, func(ctx context.Context) error {
			if err := l.process.alive(); err != nil {
				return err
			}
			height, err := l.btcd.Height()
			if err != nil {
				return err
			}
			rpc, err := l.RPC()
			if err != nil {
				return err
			}
			info, err := rpc.GetInfo(ctx, &lnrpc.GetInfoRequest{})
			if err != nil {
				return err
			}
			if !info.SyncedToChain ||
				int32(info.BlockHeight) != height {

				return fmt.Errorf("it is at %d of %d, "+
					"synced=%v",
					info.BlockHeight, height,
					info.SyncedToChain)
			}

			return nil
		})
}

// NewAddress returns a fresh address of the node's wallet.
func (l *Lnd) NewAddress(ctx context.Context) (string, error) {
	rpc, err := l.RPC()
	if err != nil {
		return "", err
	}
	resp, err := rpc.NewAddress(ctx, &lnrpc.NewAddressRequest{
		Type: lnrpc.AddressType_WITNESS_PUBKEY_HASH,
	})
	if err != nil {
		return "", err
	}

	return resp.Address, nil
}

// Balance returns the confirmed balance of the node's own keys. Deposits at a
// static address, which lnd counts as imported, are no part of it.
func (l *Lnd) Balance(ctx context.Context) (btcutil.Amount, error) {
	rpc, err := l.RPC()
	if err != nil {
		return 0, err
	}
	resp, err := rpc.WalletBalance(ctx, &lnrpc.WalletBalanceRequest{
		Account: lnwallet.DefaultAccountName,
	})
	if err != nil {
		return 0, err
	}

	account := resp.AccountBalance[lnwallet.DefaultAccountName]

	return btcutil.Amount(account.GetConfirmedBalance()), nil
}

// WaitBalance waits until the wallet's confirmed balance is at least min.
func (l *Lnd) WaitBalance(ctx context.Context, min btcutil.Amount) error {
	what := fmt.Sprintf("%s to have %v", l.config.Name, min)

	return Eventually(ctx, what, DefaultTimeout,
		func(ctx context.Context) error {
			balance, err := l.Balance(ctx)
			if err != nil {
				return err
			}
			if balance < min {
				return fmt.Errorf("it has %v", balance)
			}

			return nil
		})
}

// connectPeer makes the node a peer of the other.
func (l *Lnd) connectPeer(ctx context.Context, other *Lnd) (string, error) {
	rpc, err := l.RPC()
	if err != nil {
		return "", err
	}
	otherRPC, err := other.RPC()
	if err != nil {
		return "", err
	}
	info, err := otherRPC.GetInfo(ctx, &lnrpc.GetInfoRequest{})
	if err != nil {
		return "", err
	}
	_, err = rpc.ConnectPeer(ctx, &lnrpc.ConnectPeerRequest{
		Addr: &lnrpc.LightningAddress{
			Pubkey: info.IdentityPubkey, Host: other.peer,
		},
	})

	return info.IdentityPubkey, err
}

// openChannel asks for a channel to the other node once and returns when its
// funding is in the mempool.
func (l *Lnd) openChannel(ctx context.Context, other *Lnd) error {
	key, err := l.connectPeer(ctx, other)
	if err != nil {
		return err
	}
	rpc, err := l.RPC()
	if err != nil {
		return err
	}

	capacity := int64(channelCapacity)

	return Eventually(ctx, "a channel", DefaultTimeout,
		func(ctx context.Context) error {
			_, err := rpc.OpenChannelSync(
				ctx, &lnrpc.OpenChannelRequest{
					NodePubkeyString:   key,
					LocalFundingAmount: capacity,
					PushSat:            int64(channelPush),
					SatPerVbyte:        channelFeeRate,
				},
			)

			return err
		})
}

// waitRoute waits until the node could pay the amount to the other: that the
// channel is active is not enough, its link has to take payments too.
func (l *Lnd) waitRoute(ctx context.Context, other *Lnd,
	amount btcutil.Amount) error {

	what := fmt.Sprintf("a route from %s to %s", l.config.Name,
		other.config.Name)

	return Eventually(ctx, what, DefaultTimeout,
		func(ctx context.Context) error {
			rpc, err := l.RPC()
			if err != nil {
				return err
			}
			otherRPC, err := other.RPC()
			if err != nil {
				return err
			}
			info, err := otherRPC.GetInfo(
				ctx, &lnrpc.GetInfoRequest{},
			)
			if err != nil {
				return err
			}
			_, err = rpc.QueryRoutes(ctx, &lnrpc.QueryRoutesRequest{
				PubKey: info.IdentityPubkey,
				Amt:    int64(amount),
			})

			return err
		})
}
