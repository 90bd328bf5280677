package regtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/btcutil"
)

const (
	// clientFunds is what the client's wallet is given, in each of
	// clientCoins outputs.
	clientFunds btcutil.Amount = 5_000_000

	// clientCoins is the number of outputs the client's wallet is given.
	clientCoins = 2
)

// Binaries are the programs that a network may run.
var Binaries = []string{
	"btcd", "lnd", "lncli", "loop", "loop-upstream", LoopdBinary,
	FailpointBinary, UpstreamBinary,
}

// CheckBinaries returns an error that names what is missing of the given
// programs in binDir and how to make it.
func CheckBinaries(binDir string, names ...string) error {
	var missing []string
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(binDir, name)); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s lacks %v; run 'make build-itest'", binDir,
			missing)
	}

	return nil
}

// Config says how a network is made.
type Config struct {
	// BinDir holds the programs, see Binaries.
	BinDir string

	// BaseDir is an empty directory for everything the nodes write. The
	// caller removes it after Stop.
	BaseDir string

	// LogDir takes one log of each node.
	LogDir string

	// Expiry is the relative timeout of static addresses, in blocks. The
	// default is DefaultExpiry.
	Expiry uint32

	// NoChannel leaves out the funding of the client's wallet and the
	// channel to the server, for networks in which nobody buys a token.
	NoChannel bool
}

// Network is a btcd, the client's and the server's lnd with a channel between
// them, and the stand-in swap server.
type Network struct {
	// Btcd is the node that everybody follows.
	Btcd *Btcd

	// Client is the lnd of the person who runs loopd. A story that
	// replaces it sets the field.
	Client *Lnd

	// Server is the lnd of the swap server.
	Server *Lnd

	// Swap is the stand-in swap server.
	Swap *SwapServer

	config Config

	mu     sync.Mutex
	btcds  []*Btcd
	lnds   []*Lnd
	loopds []*Loopd
}

// NewNetwork starts a network. A network that cannot be started leaves nothing
// running.
func NewNetwork(ctx context.Context, config Config) (*Network, error) {
	n := &Network{config: config}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Stop())
	}

	return n, nil
}

// start starts the nodes in the order of their dependence.
func (n *Network) start(ctx context.Context) error {
	err := CheckBinaries(n.config.BinDir, "btcd", "lnd")
	if err != nil {
		return err
	}
	n.Btcd, err = n.StartBtcd(ctx, "btcd")
	if err != nil {
		return err
	}
	if _, err := n.Btcd.Mine(ctx, initialHeight); err != nil {
		return err
	}
	if err := n.startLnds(ctx); err != nil {
		return err
	}
	n.Swap, err = newSwapServer(
		filepath.Join(n.config.BaseDir, "swapserver"), n.Server,
		n.config.Expiry,
	)
	if err != nil {
		return err
	}
	if err := n.Swap.Start(); err != nil {
		return err
	}
	if n.config.NoChannel {
		return nil
	}

	return n.fund(ctx, n.Client)
}

// startLnds starts the two lnds side by side: each is busy for seconds with
// making its wallet.
func (n *Network) startLnds(ctx context.Context) error {
	var (
		wg        sync.WaitGroup
		clientErr error
		serverErr error
	)
	wg.Go(func() {
		n.Client, clientErr = n.StartLnd(ctx, LndConfig{
			Name: "lnd-client",
		})
	})
	wg.Go(func() {
		n.Server, serverErr = n.StartLnd(ctx, LndConfig{
			Name: "lnd-server",
		})
	})
	wg.Wait()

	return errors.Join(clientErr, serverErr)
}

// StartBtcd starts one more btcd with an empty chain. It is connected to
// nobody, see Btcd.Connect.
func (n *Network) StartBtcd(ctx context.Context, name string) (*Btcd, error) {
	btcd, err := startBtcd(
		ctx, name, n.config.BinDir,
		filepath.Join(n.config.BaseDir, name), n.config.LogDir,
	)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.btcds = append(n.btcds, btcd)
	n.mu.Unlock()

	return btcd, nil
}

// StartLnd starts one more lnd with a wallet of its own, or, if the
// configuration has words, with theirs. The name has to be new.
func (n *Network) StartLnd(ctx context.Context, config LndConfig) (*Lnd,
	error) {

	return n.StartLndOn(ctx, n.Btcd, config)
}

// StartLndOn starts one more lnd that follows the given btcd.
func (n *Network) StartLndOn(ctx context.Context, btcd *Btcd,
	config LndConfig) (*Lnd, error) {

	lnd, err := newLnd(
		config, n.config.BinDir, n.config.BaseDir, n.config.LogDir,
		btcd,
	)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.lnds = append(n.lnds, lnd)
	n.mu.Unlock()

	return lnd, lnd.create(ctx)
}

// NewLoopd describes a loopd of this network and starts nothing.
func (n *Network) NewLoopd(config LoopdConfig) (*Loopd, error) {
	if config.Lnd == nil {
		config.Lnd = n.Client
	}
	loopd, err := newLoopd(
		config, n.config.BinDir, n.config.BaseDir, n.config.LogDir,
		n.Swap,
	)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.loopds = append(n.loopds, loopd)
	n.mu.Unlock()

	return loopd, nil
}

// StartLoopd starts a loopd and waits until the embedded daemon answers.
func (n *Network) StartLoopd(ctx context.Context, config LoopdConfig) (*Loopd,
	error) {

	loopd, err := n.NewLoopd(config)
	if err != nil {
		return nil, err
	}

	return loopd, loopd.Start(ctx)
}

// Mine mines n blocks and waits until every running lnd that follows the
// network's btcd has seen them. It returns the new height.
func (n *Network) Mine(ctx context.Context, blocks uint32) (int32, error) {
	height, err := n.Btcd.Mine(ctx, blocks)
	if err != nil {
		return 0, err
	}

	return height, n.WaitSynced(ctx)
}

// WaitSynced waits until every running lnd that follows the network's btcd has
// seen its tip.
func (n *Network) WaitSynced(ctx context.Context) error {
	n.mu.Lock()
	lnds := slices.Clone(n.lnds)
	n.mu.Unlock()

	for _, lnd := range lnds {
		if !lnd.Running() || lnd.btcd != n.Btcd {
			continue
		}
		if err := lnd.WaitSynced(ctx); err != nil {
			return err
		}
	}

	return nil
}

// Stop ends every process of the network and the stand-in.
func (n *Network) Stop() error {
	n.mu.Lock()
	defer n.mu.Unlock()

	var errs []error
	for _, loopd := range n.loopds {
		errs = append(errs, loopd.Stop())
	}
	if n.Swap != nil {
		n.Swap.Stop()
	}
	for _, lnd := range n.lnds {
		errs = append(errs, lnd.Stop())
	}
	for _, btcd := range n.btcds {
		errs = append(errs, btcd.stop())
	}

	return errors.Join(errs...)
}
