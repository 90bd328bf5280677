package loopd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightninglabs/lndclient"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightningnetwork/lnd/lncfg"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const (
	// lndPollInterval is how often a locked or absent lnd is asked again.
	lndPollInterval = time.Second

	// lndProbeTimeout bounds one question for lnd's state.
	lndProbeTimeout = 5 * time.Second

	// maxDialFailures is how often in a row an lnd whose RPC server is
	// active can refuse our connection before that counts as a mistake in
	// the configuration: a wrong macaroon, another network, too old.
	maxDialFailures = 30

	// lndPort is lnd's default RPC port.
	lndPort = "10009"
)

// defaultLndTLSPath is where lndclient looks for lnd's certificate if no path
// is configured.
var defaultLndTLSPath = filepath.Join(
	btcutil.AppDataDir("lnd", false), "tls.cert",
)

// errLndNotReady is returned by every port while there is no connection to an
// unlocked lnd. It is passing.
var errLndNotReady = errors.New("lnd is not reachable or locked")

// lndNode is our own connection to lnd, which outlives the embedded daemon's.
type lndNode struct {
	cfg *Config

	// services is the connection, once lnd was unlocked.
	services atomic.Pointer[lndclient.GrpcLndServices]
}

// newLndNode returns a node that is not connected yet.
func newLndNode(cfg *Config) *lndNode {
	return &lndNode{cfg: cfg}
}

// get returns the connection, or errLndNotReady.
func (n *lndNode) get() (*lndclient.GrpcLndServices, error) {
	services := n.services.Load()
	if services == nil {
		return nil, errLndNotReady
	}

	return services, nil
}

// probe says why lnd cannot be used now: states.LndDown, states.LndLocked, or
// the empty reason if its RPC server is active. It needs no macaroon.
func (n *lndNode) probe(ctx context.Context) states.Reason {
	ctx, cancel := context.WithTimeout(ctx, lndProbeTimeout)
	defer cancel()

	creds, err := credentials.NewClientTLSFromFile(
		lncfg.CleanAndExpandPath(n.tlsPath()), "",
	)
	if err != nil {
		return states.LndDown
	}

	conn, err := grpc.NewClient(
		"passthrough:///"+n.cfg.Lnd.Host,
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(lncfg.ClientAddressDialer(lndPort)),
	)
	if err != nil {
		return states.LndDown
	}
	defer conn.Close()

	state, err := lnrpc.NewStateClient(conn).GetState(
		ctx, &lnrpc.GetStateRequest{},
	)
	if err != nil {
		return states.LndDown
	}

	switch state.State {
	case lnrpc.WalletState_RPC_ACTIVE, lnrpc.WalletState_SERVER_ACTIVE:
		return ""

	default:
		return states.LndLocked
	}
}

// tlsPath returns where lnd's certificate is, as lndclient would look for it.
func (n *lndNode) tlsPath() string {
	if n.cfg.Lnd.TLSPath != "" {
		return n.cfg.Lnd.TLSPath
	}

	return defaultLndTLSPath
}

// connect blocks until lnd is unlocked and returns after our own connection is
// up. onReason is told each time why it still waits.
func (n *lndNode) connect(ctx context.Context,
	onReason func(states.Reason)) error {

	services, err := n.await(ctx, false, onReason)
	if err != nil {
		return err
	}
	n.services.Store(services)

	return nil
}

// await dials lnd until it answers. It gives up at the end of the context, or
// if an active lnd keeps refusing the connection.
func (n *lndNode) await(ctx context.Context, synced bool,
	onReason func(states.Reason)) (*lndclient.GrpcLndServices, error) {

	failures := 0
	for {
		reason := n.probe(ctx)
		if reason == "" {
			services, err := n.dial(ctx, synced)
			switch {
			case ctx.Err() != nil:
				if err == nil {
					services.Close()
				}
				return nil, context.Cause(ctx)

			case err == nil:
				return services, nil
			}

			log.Warnf("Unable to connect to lnd: %v", err)
			reason = states.LndDown
			if failures++; failures == maxDialFailures {
				return nil, err
			}
		} else {
			failures = 0
		}
		onReason(reason)

		if err := pause(ctx, lndPollInterval); err != nil {
			return nil, err
		}
	}
}

// refresh replaces our own connection if lnd does not take it any more, as
// after it was rebuilt with another certificate or macaroon.
func (n *lndNode) refresh(ctx context.Context) {
	services, err := n.get()
	if err != nil {
		return
	}
	if _, err := services.Client.GetInfo(ctx); err == nil {
		return
	}

	fresh, err := n.dial(ctx, false)
	if err != nil {
		log.Warnf("Unable to renew the connection to lnd: %v", err)
		return
	}
	n.services.Store(fresh)
	services.Close()
}

// dial opens a connection to lnd, and waits until lnd is synced if asked to.
// The context bounds the dialling only.
func (n *lndNode) dial(ctx context.Context, synced bool) (
	*lndclient.GrpcLndServices, error) {

	services, err := lndclient.NewLndServices(
		&lndclient.LndServicesConfig{
			LndAddress:              n.cfg.Lnd.Host,
			Network:                 lndclient.Network(n.cfg.Network),
			CustomMacaroonPath:      n.cfg.Lnd.MacaroonPath,
			TLSPath:                 n.cfg.Lnd.TLSPath,
			CheckVersion:            upstream.LoopMinRequiredLndVersion,
			CallerCtx:               ctx,
			RPCTimeout:              n.cfg.Lnd.RPCTimeout,
			BlockUntilChainSynced:   synced,
			BlockUntilUnlocked:      true,
			BlockUntilChainNotifier: synced,
		},
	)
	if err != nil {
		return nil, fmt.Errorf("lnd: %w", err)
	}

	return services, nil
}

// close ends our own connection.
func (n *lndNode) close() {
	if services := n.services.Swap(nil); services != nil {
		services.Close()
	}
}

// pause waits for the given time or the end of the context.
func pause(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil

	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
