package regtest

import "context"

// StartClient starts one more lnd with coins and a channel to the server, so
// that a loopd beside it can buy a token. A story that loses its lnd takes one
// of its own.
func (n *Network) StartClient(ctx context.Context, name string) (*Lnd, error) {
	lnd, err := n.StartLnd(ctx, LndConfig{Name: name})
	if err != nil {
		return nil, err
	}

	return lnd, n.fund(ctx, lnd)
}

// fund gives an lnd coins and opens a channel with them.
func (n *Network) fund(ctx context.Context, lnd *Lnd) error {
	for range clientCoins {
		address, err := lnd.NewAddress(ctx)
		if err != nil {
			return err
		}
		if _, err := n.Btcd.Fund(address, clientFunds); err != nil {
			return err
		}
	}
	if _, err := n.Mine(ctx, 1); err != nil {
		return err
	}
	err := lnd.WaitBalance(ctx, clientCoins*clientFunds)
	if err != nil {
		return err
	}
	if err := lnd.openChannel(ctx, n.Server); err != nil {
		return err
	}
	if _, err := n.Mine(ctx, 3); err != nil {
		return err
	}

	return n.WaitPayable(ctx, lnd)
}

// WaitPayable waits until the lnd could pay for a token, which an lnd that was
// restarted can when its peer is connected again.
func (n *Network) WaitPayable(ctx context.Context, lnd *Lnd) error {
	return lnd.waitRoute(ctx, n.Server, l402Price)
}
