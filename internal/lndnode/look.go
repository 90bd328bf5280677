package lndnode

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/verrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/lightningnetwork/lnd/lnwallet"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// stateTimeout bounds reaching lnd and asking for its state, which
	// needs no wallet.
	stateTimeout = 5 * time.Second

	// lookTimeout bounds each further call of a look.
	lookTimeout = 15 * time.Second

	// maxAnswerSize bounds an answer to a look, in bytes: the list of the
	// accounts is the largest.
	maxAnswerSize = 64 << 20

	// methodListAccounts is the call that a look makes if it may.
	methodListAccounts = "/walletrpc.WalletKit/ListAccounts"
)

// look is one look at lnd, on a connection of its own.
type look struct {
	node      *Node
	transport *transport
	conn      *grpc.ClientConn
	pass      *pass
}

// Probe looks whether lnd answers, is unlocked, lets us in, is of our network
// and is the one that it was.
func (n *Node) Probe(ctx context.Context) error {
	_, err := n.look(ctx, (*look).probe)

	return err
}

// Check looks whether lnd is all that we need: what Probe asks for, and whether
// it is new enough, permits what the embedded daemon cannot start without, and
// has a taproot account. Changes of what it finds are logged.
func (n *Node) Check(ctx context.Context) error {
	_, err := n.check(ctx)

	return err
}

// check is Check, and returns what lnd says of itself.
func (n *Node) check(ctx context.Context) (*lnrpc.GetInfoResponse, error) {
	info, err := n.look(ctx, (*look).check)
	if err == nil || ctx.Err() == nil {
		n.health.Note(err)
	}

	return info, err
}

// look opens the connection of a look, and closes it again.
func (n *Node) look(ctx context.Context, ask func(*look, context.Context) (
	*lnrpc.GetInfoResponse, error)) (*lnrpc.GetInfoResponse, error) {

	trust, err := n.readTrust()
	if err != nil {
		return nil, err
	}
	l := &look{node: n, transport: newTransport(trust)}
	l.conn, err = grpc.NewClient(
		"passthrough:///"+n.cfg.Host,
		grpc.WithTransportCredentials(l.transport),
		grpc.WithContextDialer(l.transport.dial),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxAnswerSize),
		),
	)
	if err != nil {
		return nil, &states.PermanentError{
			Reason: states.LndUnreachable, Detail: n.cfg.Host,
			Err: err,
		}
	}
	defer l.conn.Close()

	return ask(l, ctx)
}

// probe is Probe.
func (l *look) probe(ctx context.Context) (*lnrpc.GetInfoResponse, error) {
	if err := l.active(ctx); err != nil {
		return nil, err
	}

	// A wallet that was not made yet has no macaroon.
	var err error
	if l.pass, err = l.node.readPass(); err != nil {
		return nil, err
	}
	info, err := l.info(ctx)
	if err != nil {
		return nil, err
	}

	return info, l.fits(info)
}

// check is Check.
func (l *look) check(ctx context.Context) (*lnrpc.GetInfoResponse, error) {
	info, err := l.probe(ctx)
	if err != nil {
		return nil, err
	}
	for _, ask := range []func(context.Context) error{
		l.permitted, l.newEnough, l.hasTaproot,
	} {
		if err := ask(ctx); err != nil {
			return nil, err
		}
	}

	return info, nil
}

// active returns nil if lnd's RPC server can be used. It needs no macaroon.
func (l *look) active(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()

	state, err := lnrpc.NewStateClient(l.conn).GetState(
		ctx, &lnrpc.GetStateRequest{},
	)
	if err != nil {
		return l.unreachable(err)
	}

	switch state.State {
	case lnrpc.WalletState_RPC_ACTIVE, lnrpc.WalletState_SERVER_ACTIVE:
		return nil

	case lnrpc.WalletState_LOCKED, lnrpc.WalletState_NON_EXISTING:
		return &states.TransientError{
			Reason: states.LndLocked, Detail: l.node.cfg.Host,
		}

	default:
		return &states.TransientError{
			Reason: states.Starting, Detail: "lnd is starting",
		}
	}
}

// unreachable types an error of the first call.
func (l *look) unreachable(err error) error {
	host := l.node.cfg.Host
	if status.Code(err) == codes.Unimplemented {
		return &states.PermanentError{
			Reason: states.LndUnsuitable,
			Detail: "no lnd, or a very old one, answers at " + host,
			Err:    err,
		}
	}
	if seen := l.transport.last(); seen != nil {
		if _, ok := states.PermanentReason(seen); ok {
			return fmt.Errorf("%s: %w", host, seen)
		}
		err = seen
	}

	return &states.TransientError{
		Reason: states.LndDown, Detail: host, Err: err,
	}
}

// call makes a call with the macaroon and a deadline.
func call[Q, A any](ctx context.Context, l *look,
	method func(context.Context, Q, ...grpc.CallOption) (A, error),
	request Q) (A, error) {

	ctx, cancel := context.WithTimeout(ctx, min(
		lookTimeout, l.node.cfg.RPCTimeout,
	))
	defer cancel()
	if l.pass != nil {
		ctx = l.pass.with(ctx)
	}

	return method(ctx, request)
}

// info asks lnd who it is. An error of lnd without a code of its own can mean
// anything; so another method is asked whose answer cannot fail.
func (l *look) info(ctx context.Context) (*lnrpc.GetInfoResponse, error) {
	client := lnrpc.NewLightningClient(l.conn)
	info, err := call(ctx, l, client.GetInfo, &lnrpc.GetInfoRequest{})
	if err == nil || isPassing(err) || status.Code(err) ==
		codes.Unimplemented {

		return info, callError("GetInfo", err)
	}

	_, second := call(
		ctx, l, client.ListPermissions, &lnrpc.ListPermissionsRequest{},
	)
	if second == nil || isPassing(second) {
		return nil, callError("GetInfo", err)
	}
	// Was it unlocked all the time?
	if err := l.active(ctx); err != nil {
		return nil, err
	}
	if ops, ok := l.pass.ops(); ok {
		if missing := lacks(ops, needed); missing != "" {
			return nil, l.pass.refused(" lacks "+missing, nil)
		}
	}

	return nil, l.pass.refused("", fmt.Errorf("%w: %w", errNotAccepted,
		err))
}

// fits returns nil if this lnd is of our network and the one that it was.
func (l *look) fits(info *lnrpc.GetInfoResponse) error {
	network := l.node.cfg.Network
	if len(info.Chains) == 0 || info.Chains[0].Network != network {
		return &states.PermanentError{
			Reason: states.LndUnsuitable,
			Detail: fmt.Sprintf("lnd is on %v, loopd on %s",
				chainNames(info.Chains), network),
		}
	}

	key, err := hex.DecodeString(info.IdentityPubkey)
	if err != nil || len(key) != 33 {
		return &states.PermanentError{
			Reason: states.LndUnsuitable,
			Detail: "lnd does not tell its identity key", Err: err,
		}
	}

	return l.node.accepts([33]byte(key))
}

// chainNames returns the networks of lnd's chains.
func chainNames(chains []*lnrpc.Chain) []string {
	var names []string
	for _, chain := range chains {
		names = append(names, chain.Network)
	}

	return names
}

// permitted returns nil if the macaroon permits what the embedded daemon cannot
// start without. lnd accepted it for one call, so that it is genuine and says
// itself what it permits.
func (l *look) permitted(ctx context.Context) error {
	ops, ok := l.pass.ops()
	if !ok {
		return nil
	}
	missing := lacks(ops, needed)
	l.node.warnLacking(lacks(ops, wanted))
	if missing == "" || l.withoutPass(ctx) {
		return nil
	}

	return l.pass.refused(" lacks "+missing, nil)
}

// withoutPass reports whether lnd asks nobody for a macaroon (--no-macaroons).
func (l *look) withoutPass(ctx context.Context) bool {
	bare := *l
	bare.pass = nil
	_, err := call(
		ctx, &bare, lnrpc.NewLightningClient(l.conn).GetInfo,
		&lnrpc.GetInfoRequest{},
	)

	return err == nil
}

// warnLacking says, once, what will fail later.
func (n *Node) warnLacking(missing string) {
	n.mu.Lock()
	defer n.mu.Unlock()

	if missing != "" && missing != n.wanting {
		log.Warnf("lnd's macaroon %s lacks %s: some calls, or a "+
			"recovery, will fail", n.cfg.MacaroonPath, missing)
	}
	n.wanting = missing
}

// newEnough returns nil if lnd is not too old and was built with all parts.
func (l *look) newEnough(ctx context.Context) error {
	least := l.node.cfg.MinVersion
	if least == nil {
		return nil
	}
	version, err := call(
		ctx, l, verrpc.NewVersionerClient(l.conn).GetVersion,
		&verrpc.VersionRequest{},
	)
	if err != nil {
		return callError("GetVersion", err)
	}

	err = lndclient.AssertVersionCompatible(version, least)
	if err != nil {
		return &states.PermanentError{
			Reason: states.LndUnsuitable,
			Detail: fmt.Sprintf("lnd is of version %s, and %s is "+
				"needed", version.Version,
				lndclient.VersionString(least)),
			Err: err,
		}
	}
	for _, tag := range least.BuildTags {
		if !slices.Contains(version.BuildTags, tag) {
			return &states.PermanentError{
				Reason: states.LndUnsuitable,
				Detail: "lnd was built without " + tag,
				Err:    lndclient.ErrBuildTagsMissing,
			}
		}
	}

	return nil
}

// hasTaproot returns nil if lnd has an account for taproot addresses, which
// the sweeps of deposits pay to.
func (l *look) hasTaproot(ctx context.Context) error {
	if ops, ok := l.pass.ops(); ok && !permits(
		ops, permission{entity: "onchain", action: "read"},
		methodListAccounts,
	) {

		return nil
	}
	accounts, err := call(
		ctx, l, walletrpc.NewWalletKitClient(l.conn).ListAccounts,
		&walletrpc.ListAccountsRequest{},
	)
	if err != nil {
		return callError("ListAccounts", err)
	}
	_, err = findTaproot(accounts.Accounts)

	return err
}

// findTaproot returns the account that lnd's taproot addresses are of.
func findTaproot(accounts []*walletrpc.Account) (*walletrpc.Account, error) {
	for _, account := range accounts {
		if account.Name == lnwallet.DefaultAccountName &&
			account.AddressType ==
				walletrpc.AddressType_TAPROOT_PUBKEY {

			return account, nil
		}
	}

	return nil, &states.PermanentError{
		Reason: states.LndUnsuitable,
		Detail: "lnd's wallet has no taproot account",
	}
}
