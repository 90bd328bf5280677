package lndnode

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/clock"
	"github.com/lightningnetwork/lnd/lncfg"
	"github.com/lightningnetwork/lnd/lnrpc/verrpc"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// lndPort is lnd's default RPC port.
	lndPort = "10009"

	// defaultRPCTimeout bounds a call if the configuration does not.
	defaultRPCTimeout = time.Minute

	// keepInterval is how often a connection that seems well is tried. One
	// that breaks is noticed at once.
	keepInterval = 10 * time.Second
)

// defaultTLSPath is where lndclient looks for lnd's certificate if no path is
// configured.
var defaultTLSPath = filepath.Join(
	btcutil.AppDataDir("lnd", false), "tls.cert",
)

// Services are a connection to lnd. Whoever got one by Dial or Await closes it.
type Services = lndclient.GrpcLndServices

// Config says which lnd is meant.
type Config struct {
	// Host is lnd's RPC address, as --lnd.host gives it.
	Host string

	// TLSPath is the file of lnd's certificate; lnd's own default if
	// empty.
	TLSPath string

	// MacaroonPath is the file of the one macaroon for all calls.
	MacaroonPath string

	// RPCTimeout bounds a call.
	RPCTimeout time.Duration

	// Network is the network as loopd spells it.
	Network string

	// MinVersion is the oldest lnd that will do, with the parts that it
	// must be built with.
	MinVersion *verrpc.Version

	// Identity is the only identity key that is accepted. If it is nil the
	// first lnd that is connected to gives it.
	Identity *[33]byte

	// Clock gives the time; the real one if nil.
	Clock clock.Clock
}

// Node is the lnd of this daemon. Its methods can be used concurrently.
type Node struct {
	cfg    Config
	params *chaincfg.Params

	// health is what the newest look found. It logs each change once,
	// whoever looked.
	health await.Account

	// interval is keepInterval, unless a test has changed it.
	interval time.Duration

	mu sync.Mutex

	// shared is our own connection, or nil while there is none.
	shared *Services

	// identity is the only identity key that is accepted, once it is known.
	identity *[33]byte

	// wanting are the missing permissions that were last warned of.
	wanting string

	// renewed has one element if our own connection was made anew since
	// that was last looked at.
	renewed chan struct{}
}

// New returns a node that is not connected yet. It reads no file.
func New(cfg Config) (*Node, error) {
	params, err := lndclient.Network(cfg.Network).ChainParams()
	if err != nil {
		return nil, err
	}
	if cfg.TLSPath == "" {
		cfg.TLSPath = defaultTLSPath
	}
	cfg.TLSPath = lncfg.CleanAndExpandPath(cfg.TLSPath)
	cfg.MacaroonPath = lncfg.CleanAndExpandPath(cfg.MacaroonPath)
	if cfg.RPCTimeout <= 0 {
		cfg.RPCTimeout = defaultRPCTimeout
	}

	return &Node{
		cfg:      cfg,
		params:   params,
		interval: keepInterval,
		identity: cfg.Identity,
		renewed:  make(chan struct{}, 1),
		health: await.Account{
			Clock: cfg.Clock, Log: log, Name: "lnd",
		},
	}, nil
}

// Params returns the parameters of the network.
func (n *Node) Params() *chaincfg.Params {
	return n.params
}

// State is what the newest look at lnd found: without an error if all was well.
func (n *Node) State() await.State {
	return n.health.State()
}

// Services returns our own connection, which is not the caller's to close.
// While there is none the error wraps ErrNotReady and the reason why.
func (n *Node) Services() (*Services, error) {
	n.mu.Lock()
	defer n.mu.Unlock()

	if n.shared != nil {
		return n.shared, nil
	}
	if err := n.State().Err; err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotReady, err)
	}

	return nil, &states.TransientError{
		Reason: states.LndDown, Detail: n.cfg.Host, Err: ErrNotReady,
	}
}

// Renewed receives when our own connection broke and was made anew: lnd may
// have been restarted, or rebuilt from its seed, meanwhile.
func (n *Node) Renewed() <-chan struct{} {
	return n.renewed
}

// Pinned returns the only identity key that is accepted, or false as long as no
// lnd was connected to.
func (n *Node) Pinned() ([33]byte, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()

	if n.identity == nil {
		return [33]byte{}, false
	}

	return *n.identity, true
}

// Forget lets the next lnd that is dialled be another one, which is held to
// from then on. It is called when this one turned out to be the wrong one.
func (n *Node) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.identity = n.cfg.Identity
}

// pin accepts an identity key from now on, and no other.
func (n *Node) pin(identity [33]byte) error {
	if err := n.accepts(identity); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.identity = &identity

	return nil
}

// accepts returns nil if an identity key is the one that is pinned, or none is.
func (n *Node) accepts(identity [33]byte) error {
	pinned, ok := n.Pinned()
	if !ok || pinned == identity {
		return nil
	}

	return &states.PermanentError{
		Reason: states.WrongLnd,
		Detail: fmt.Sprintf("%s at %s instead of %s",
			hex.EncodeToString(identity[:]), n.cfg.Host,
			hex.EncodeToString(pinned[:])),
	}
}

// share replaces our own connection, by none if it is nil. It does not wait for
// the old one's end: that takes until the last of its subscriptions was read.
func (n *Node) share(services *Services) {
	n.mu.Lock()
	before := n.shared
	n.shared = services
	n.mu.Unlock()

	if before != nil {
		go before.Close()
	}
}

// Close ends our own connection.
func (n *Node) Close() {
	n.share(nil)
}

// Connect returns when our own connection is up. onState is told why it waits.
func (n *Node) Connect(ctx context.Context, onState func(await.State)) error {
	services, err := n.Await(ctx, false, onState)
	if err != nil {
		return err
	}
	n.share(services)

	return nil
}
