package lndview

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/chainscan"
)

// Config is everything a View needs.
type Config struct {
	// Ledger keeps what the View knows.
	Ledger Ledger

	// Rows reads the embedded daemon's deposits.
	Rows Rows

	// Chain yields the blocks of lnd's own chain. It outlives the
	// decorated services.
	Chain chainscan.Source

	// Params are the parameters of the network.
	Params *chaincfg.Params
}

// View answers for lnd's wallet where that is blind. Its methods may be called
// from several goroutines at once; answers are computed one at a time.
type View struct {
	cfg Config

	// mutant is the fault that a test has put in, or 0.
	mutant mutant

	// turn holds a token while nobody computes an answer or changes the
	// state. A mutex would not let a waiting call be cancelled.
	turn chan struct{}

	// state is the content of the ledger. A snapshot in it never changes;
	// it is replaced by the holder of the turn.
	state atomic.Pointer[Snapshot]

	// saving is how the ledger stands. It belongs to the holder of the
	// turn.
	saving saving

	// troubled is why the ledger cannot be read or written, nil if it can.
	troubled atomic.Pointer[error]

	// keys are the known client keys by compressed public key. The map
	// never changes; it is replaced.
	keys atomic.Pointer[map[[33]byte]keychain.KeyLocator]

	// inner are the services that were decorated last.
	inner atomic.Pointer[services]

	// provisional is the number of provisional rows of the last answer,
	// and lagging why the chain was not followed to its tip, nil if it was.
	provisional atomic.Int32
	lagging     atomic.Pointer[error]

	// places are the output scripts of the addresses in place, nil as long
	// as nobody has named them.
	places atomic.Pointer[[][]byte]

	// located are funding transactions of provisional rows that were
	// found. It belongs to the holder of the turn.
	located map[wire.OutPoint]chainTx

	// inboxMu guards inbox: publications that the state does not hold yet;
	// and outgoing: how often an output is spent by transactions that lnd
	// is being asked to publish; and shown: the outputs of the last answer
	// that no accepted transaction spends.
	inboxMu  sync.Mutex
	inbox    []Publication
	outgoing map[wire.OutPoint]int
	shown    map[wire.OutPoint]bool
}

// services are the undecorated services of one connection.
type services struct {
	wallet   lndclient.WalletKitClient
	client   lndclient.LightningClient
	signer   lndclient.SignerClient
	chainKit lndclient.ChainKitClient
}

// New returns a View with what its ledger holds. While that cannot be read,
// nothing is proven.
func New(ctx context.Context, cfg Config) (*View, error) {
	switch {
	case cfg.Ledger == nil || cfg.Rows == nil || cfg.Chain == nil ||
		cfg.Params == nil:

		return nil, errors.New("lndview: incomplete configuration")
	}

	v := &View{
		cfg:     cfg,
		turn:    make(chan struct{}, 1),
		located: make(map[wire.OutPoint]chainTx),

		outgoing: make(map[wire.OutPoint]int),
	}
	v.state.Store(NewSnapshot().Doubted())
	v.keys.Store(&map[[33]byte]keychain.KeyLocator{})

	// What fails is told, and tried again with each answer.
	_ = v.reload(ctx)
	v.turn <- struct{}{}

	return v, nil
}

// SetKeys replaces the client keys for which the signer adds the key locator.
func (v *View) SetKeys(keys []keychain.KeyDescriptor) {
	locators := make(map[[33]byte]keychain.KeyLocator, len(keys))
	for _, key := range keys {
		if key.PubKey != nil {
			locators[keyBytes(key.PubKey)] = key.KeyLocator
		}
	}
	v.keys.Store(&locators)
}

// Decorate replaces the wallet, the client and the signer of a fresh connection
// by decorated ones. It is called once for each connection, before the embedded
// daemon is given it.
func (v *View) Decorate(lnd *lndclient.GrpcLndServices) {
	if _, done := lnd.WalletKit.(*walletKit); done {
		return
	}

	inner := &services{
		wallet:   lnd.WalletKit,
		client:   lnd.Client,
		signer:   lnd.Signer,
		chainKit: lnd.ChainKit,
	}
	v.inner.Store(inner)

	lnd.WalletKit = &walletKit{
		WalletKitClient: inner.wallet,
		view:            v,
		inner:           inner,
	}
	lnd.Client = &client{
		LightningClient: inner.client,
		view:            v,
		inner:           inner,
	}
	lnd.Signer = &signer{
		SignerClient: inner.signer,
		view:         v,
	}
}

// take waits for the turn. The caller returns it with give.
func (v *View) take(ctx context.Context) error {
	select {
	case <-v.turn:
		return nil

	case <-ctx.Done():
		return ctx.Err()
	}
}

// give returns the turn.
func (v *View) give() {
	v.turn <- struct{}{}
}
