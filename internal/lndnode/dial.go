package lndnode

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/lightninglabs/lndclient"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc/connectivity"
)

// Await dials until there is a connection, which is the caller's to close. With
// synced it waits until lnd has caught up with its chain, too. onState is told
// after each try why it waits, and may be nil. It gives up at the end of the
// context only, whose cause it then returns.
func (n *Node) Await(ctx context.Context, synced bool,
	onState func(await.State)) (*Services, error) {

	var services *Services
	loop := await.Loop{Clock: n.cfg.Clock, OnState: onState}
	err := loop.Until(ctx, "lnd", func(ctx context.Context) error {
		var err error
		services, err = n.Dial(ctx, synced)

		return err
	})

	return services, err
}

// Dial looks at lnd and opens a connection, which is the caller's to close: one
// try of Await. The context bounds the dialling only.
func (n *Node) Dial(ctx context.Context, synced bool) (*Services, error) {
	info, err := n.check(ctx)
	if err != nil {
		return nil, err
	}
	if synced && !info.SyncedToChain {
		return nil, notSynced()
	}
	services, err := n.connect(ctx, synced)
	if err != nil {
		return nil, err
	}
	if err := n.pin(services.NodePubkey); err != nil {
		services.Close()
		return nil, err
	}

	return services, nil
}

// connect makes lndclient connect to an lnd that was just looked at. It returns
// at the end of the context, which lndclient does not in all its waits.
func (n *Node) connect(ctx context.Context, synced bool) (*Services, error) {
	pass, err := n.readPass()
	if err != nil {
		return nil, err
	}

	// The context ends what lndclient leaves waiting of a subscription.
	dialling, cancel := context.WithTimeout(ctx, n.cfg.RPCTimeout)
	config := &lndclient.LndServicesConfig{
		LndAddress: n.cfg.Host,
		Network:    lndclient.Network(n.cfg.Network),
		// A file that vanished would leak its connection.
		CustomMacaroonHex:       pass.hex(),
		TLSPath:                 n.cfg.TLSPath,
		CheckVersion:            n.cfg.MinVersion,
		CallerCtx:               dialling,
		RPCTimeout:              n.cfg.RPCTimeout,
		BlockUntilChainSynced:   synced,
		BlockUntilUnlocked:      true,
		BlockUntilChainNotifier: synced,
		Dialer:                  n.guardedDialer(),
	}

	type result struct {
		services *Services
		err      error
	}
	done := make(chan result, 1)
	go func() {
		defer cancel()
		services, err := lndclient.NewLndServices(config)
		done <- result{services, err}
	}()

	select {
	case result := <-done:
		return result.services, connectError(result.err)

	case <-ctx.Done():
		go func() {
			if late := <-done; late.err == nil {
				late.services.Close()
			}
		}()

		return nil, context.Cause(ctx)
	}
}

// connectError types an error of lndclient. What is permanent was found by the
// look before: the rest is a change since, or an lnd that is still starting.
func connectError(err error) error {
	if err == nil {
		return nil
	}

	return &states.TransientError{
		Reason: states.Starting, Detail: "connecting to lnd", Err: err,
	}
}

// guardedDialer opens the connections of services. gRPC opens a new one by
// itself when one breaks: then lnd is looked at again first, since another one
// may answer at its address.
func (n *Node) guardedDialer() lndclient.DialerFunc {
	var again atomic.Bool

	return func(ctx context.Context, address string) (net.Conn, error) {
		if again.Swap(true) {
			if err := n.Probe(ctx); err != nil {
				return nil, err
			}
		}

		return dial(ctx, address)
	}
}

// Keep keeps our own connection until the context ends, whose cause it returns:
// when lnd went away and came back, with another certificate or macaroon, it is
// made anew. Before the first connection it makes that one.
func (n *Node) Keep(ctx context.Context) error {
	for {
		services, err := n.Services()
		if err == nil {
			err = n.watch(ctx, services)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		log.Debugf("Renewing the connection to lnd: %v", err)
		n.share(nil)

		if err := n.Connect(ctx, nil); err != nil {
			return err
		}
		select {
		case n.renewed <- struct{}{}:
		default:
		}
	}
}

// errBroken says that our own connection was interrupted. gRPC would mend it by
// itself, and nobody would know that another wallet may answer now.
var errBroken = errors.New("the connection was interrupted")

// watch returns with an error when a connection does not serve any more, or at
// the end of the context.
func (n *Node) watch(ctx context.Context, services *Services) error {
	for {
		wait, cancel := context.WithTimeout(ctx, n.interval)
		broken := services.ClientConn.WaitForStateChange(
			wait, connectivity.Ready,
		)
		cancel()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)

		case broken:
			return errBroken
		}

		info, err := services.Client.GetInfo(ctx)
		if err != nil {
			return callError("GetInfo", err)
		}
		if err := n.accepts(info.IdentityPubkey); err != nil {
			return err
		}
	}
}
