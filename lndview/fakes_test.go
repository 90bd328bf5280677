package lndview_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/lightningnetwork/lnd/lnwallet"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/lndview"
)

// errNoBlock is what the fake chain returns for a height above the tip.
var errNoBlock = errors.New("no block at that height")

// fakeChain is a chain of real blocks in memory. It keeps orphaned blocks, as a
// node does.
type fakeChain struct {
	mu    sync.Mutex
	best  []*wire.MsgBlock
	known map[chainhash.Hash][]byte
	nonce uint64

	// err, if set, is what reading a block returns; onBlock, if set, is
	// called first.
	err     error
	onBlock func(hash chainhash.Hash)

	// onTip, if set, is called before the tip is told.
	onTip func()

	// corrupt changes a block before it is handed out.
	corrupt func(raw []byte) []byte

	// reads counts the blocks handed out.
	reads int

	// ids and hashes are those of transactions and blocks, computed once.
	ids    map[*wire.MsgTx]chainhash.Hash
	hashes map[*wire.MsgBlock]chainhash.Hash
}

var _ chainscan.Source = (*fakeChain)(nil)

// newFakeChain returns a chain with a number of empty blocks.
func newFakeChain(blocks int) *fakeChain {
	c := &fakeChain{
		known:  make(map[chainhash.Hash][]byte),
		ids:    make(map[*wire.MsgTx]chainhash.Hash),
		hashes: make(map[*wire.MsgBlock]chainhash.Hash),
	}
	c.mineEmpty(blocks)

	return c
}

// mine appends a block with the given transactions, after a coinbase that pays
// the given outputs or none of ours.
func (c *fakeChain) mine(txs ...*wire.MsgTx) {
	c.mineTo(nil, txs...)
}

// mineEmpty appends empty blocks.
func (c *fakeChain) mineEmpty(count int) {
	for range count {
		c.mine()
	}
}

// mineTo appends a block whose coinbase pays a script.
func (c *fakeChain) mineTo(pkScript []byte, txs ...*wire.MsgTx) *wire.MsgTx {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.nonce++
	coinbase := wire.NewMsgTx(2)
	coinbase.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{Index: math.MaxUint32},
		SignatureScript: binary.LittleEndian.AppendUint64(
			[]byte{8}, c.nonce,
		),
	})
	if pkScript == nil {
		pkScript = []byte{0x6a}
	}
	coinbase.AddTxOut(wire.NewTxOut(5_000_000_000, pkScript))

	block := wire.NewMsgBlock(&wire.BlockHeader{
		Version: 1,
		Timestamp: time.Unix(1_700_000_000+int64(len(c.best))*600,
			0),
		Nonce: uint32(c.nonce),
	})
	if len(c.best) > 0 {
		block.Header.PrevBlock = c.best[len(c.best)-1].BlockHash()
	}
	block.Transactions = append([]*wire.MsgTx{coinbase}, txs...)

	var utils []*btcutil.Tx
	for _, tx := range block.Transactions {
		utils = append(utils, btcutil.NewTx(tx))
	}
	block.Header.MerkleRoot = blockchain.CalcMerkleRoot(utils, false)

	var raw bytes.Buffer
	if err := block.Serialize(&raw); err != nil {
		panic(err)
	}
	c.known[block.BlockHash()] = raw.Bytes()
	c.best = append(c.best, block)

	return coinbase
}

// disconnect takes blocks off the tip.
func (c *fakeChain) disconnect(count int) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.best = c.best[:len(c.best)-count]
}

// height returns the height of the tip.
func (c *fakeChain) height() int32 {
	return c.tip().Height
}

// tip returns the tip.
func (c *fakeChain) tip() chainscan.BlockStamp {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.stamp(len(c.best) - 1)
}

// stamp names the block at a height. The caller holds the lock.
func (c *fakeChain) stamp(height int) chainscan.BlockStamp {
	block := c.best[height]
	hash, ok := c.hashes[block]
	if !ok {
		hash = block.BlockHash()
		c.hashes[block] = hash
	}

	return chainscan.BlockStamp{Height: int32(height), Hash: hash}
}

// id returns the hash of a transaction of the chain. The caller holds the lock.
func (c *fakeChain) id(tx *wire.MsgTx) chainhash.Hash {
	id, ok := c.ids[tx]
	if !ok {
		id = tx.TxHash()
		c.ids[tx] = id
	}

	return id
}

// scan walks the whole chain for a script: the oracle of the tests.
func (c *fakeChain) scan(pkScript []byte) *chainscan.Result {
	c.mu.Lock()
	defer c.mu.Unlock()

	var (
		outputs = make(map[wire.OutPoint]*chainscan.Output)
		result  = &chainscan.Result{}
	)
	for height, block := range c.best {
		for _, tx := range block.Transactions {
			for i, in := range tx.TxIn {
				o, ok := outputs[in.PreviousOutPoint]
				if !ok {
					continue
				}
				o.Spend = &chainscan.Spend{
					TxID:       c.id(tx),
					InputIndex: uint32(i),
					Block:      c.stamp(height),
					SpendingTx: rawTx(tx),
				}
			}
			for i, out := range tx.TxOut {
				if !bytes.Equal(out.PkScript, pkScript) {
					continue
				}
				op := wire.OutPoint{
					Hash: c.id(tx), Index: uint32(i),
				}
				outputs[op] = &chainscan.Output{
					OutPoint:  op,
					PkScript:  pkScript,
					Value:     btcutil.Amount(out.Value),
					Block:     c.stamp(height),
					FundingTx: rawTx(tx),
				}
			}
		}
	}
	for _, output := range outputs {
		result.Outputs = append(result.Outputs, *output)
	}
	result.Coverage.Birthday = 1
	result.Coverage.Tip = c.stamp(len(c.best) - 1)

	return result
}

// Name is part of chainscan.Source.
func (c *fakeChain) Name() string {
	return "fake"
}

// BestBlock is part of chainscan.Source.
func (c *fakeChain) BestBlock(context.Context) (chainscan.BlockStamp, error) {
	c.mu.Lock()
	onTip := c.onTip
	c.mu.Unlock()
	if onTip != nil {
		onTip()
	}

	return c.tip(), nil
}

// BlockHash is part of chainscan.Source.
func (c *fakeChain) BlockHash(ctx context.Context, height int32) (
	chainhash.Hash, error) {

	c.mu.Lock()
	defer c.mu.Unlock()

	if height < 0 || int(height) >= len(c.best) {
		return chainhash.Hash{}, errNoBlock
	}

	return c.stamp(int(height)).Hash, ctx.Err()
}

// Block is part of chainscan.Source.
func (c *fakeChain) Block(ctx context.Context, hash chainhash.Hash) ([]byte,
	error) {

	c.mu.Lock()
	raw, err := c.known[hash], c.err
	c.reads++
	onBlock := c.onBlock
	if c.corrupt != nil {
		raw = c.corrupt(slices.Clone(raw))
	}
	c.mu.Unlock()

	if onBlock != nil {
		onBlock(hash)
	}
	if err != nil {
		return nil, err
	}

	return raw, ctx.Err()
}

// walletTx is a transaction that the fake lnd's wallet lists.
type walletTx struct {
	tx *wire.MsgTx

	// height is 0 while unconfirmed.
	height int32

	// own are the outputs the wallet holds as its own.
	own []int
}

// fakeLnd is lnd's wallet. It knows only what it is told.
type fakeLnd struct {
	mu    sync.Mutex
	chain *fakeChain

	// native are the unspent outputs the wallet lists, with their heights.
	native map[wire.OutPoint]nativeUtxo
	txs    []walletTx

	// unlisted makes the wallet accept transactions without listing them.
	unlisted bool

	// errs are the errors that methods return, by name; hooks are called
	// by methods before they answer.
	errs  map[string]error
	hooks map[string]func()

	signed []signRequest
}

// nativeUtxo is an unspent output that the wallet lists.
type nativeUtxo struct {
	value    btcutil.Amount
	pkScript []byte

	// height is 0 while unconfirmed.
	height int32
}

// signRequest is what the fake signer was asked to sign.
type signRequest struct {
	withLocator bool
	descriptor  *lndclient.SignDescriptor
}

// newFakeLnd returns an empty wallet.
func newFakeLnd(chain *fakeChain) *fakeLnd {
	return &fakeLnd{
		chain:  chain,
		native: make(map[wire.OutPoint]nativeUtxo),
		errs:   make(map[string]error),
		hooks:  make(map[string]func()),
	}
}

// services returns a fresh connection.
func (l *fakeLnd) services() *lndclient.GrpcLndServices {
	return &lndclient.GrpcLndServices{
		LndServices: lndclient.LndServices{
			WalletKit: &fakeWalletKit{fakeLnd: l},
			Client:    &fakeClient{fakeLnd: l},
			Signer:    &fakeSigner{fakeLnd: l},
			ChainKit:  &fakeChainKit{fakeLnd: l},
		},
	}
}

// enter calls the hook of a method and returns its error.
func (l *fakeLnd) enter(ctx context.Context, method string) error {
	l.mu.Lock()
	hook, err := l.hooks[method], l.errs[method]
	l.mu.Unlock()

	if hook != nil {
		hook()
	}
	if err != nil {
		return err
	}

	return ctx.Err()
}

// hook sets what a method does before it answers; nil for nothing.
func (l *fakeLnd) hook(method string, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.hooks[method] = do
}

// fail sets the error that a method returns; nil for none.
func (l *fakeLnd) fail(method string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.errs[method] = err
}

// list makes the wallet list a transaction.
func (l *fakeLnd) list(tx *wire.MsgTx, height int32, own ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.txs = append(l.txs, walletTx{tx: tx, height: height, own: own})
}

// drop makes the wallet forget a transaction.
func (l *fakeLnd) drop(tx *wire.MsgTx) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.txs = slices.DeleteFunc(l.txs, func(w walletTx) bool {
		return w.tx.TxHash() == tx.TxHash()
	})
}

type fakeWalletKit struct {
	lndclient.WalletKitClient
	*fakeLnd
}

// ListUnspent filters as lnd does.
func (w *fakeWalletKit) ListUnspent(ctx context.Context, minConfs,
	maxConfs int32, opts ...lndclient.ListUnspentOption) (
	[]*lnwallet.Utxo, error) {

	if err := w.enter(ctx, "ListUnspent"); err != nil {
		return nil, err
	}
	request := &walletrpc.ListUnspentRequest{
		MinConfs: minConfs, MaxConfs: maxConfs,
	}
	for _, opt := range opts {
		opt(request)
	}
	if request.MaxConfs == 0 && !request.UnconfirmedOnly {
		request.MaxConfs = math.MaxInt32
	}

	tip := w.chain.height()
	w.mu.Lock()
	defer w.mu.Unlock()

	var utxos []*lnwallet.Utxo
	for outPoint, native := range w.native {
		var confs int64
		if native.height > 0 {
			confs = int64(max(tip-native.height+1, 1))
		}
		if confs < int64(request.MinConfs) ||
			confs > int64(request.MaxConfs) ||
			request.Account == "default" {

			continue
		}
		utxos = append(utxos, &lnwallet.Utxo{
			AddressType:   lnwallet.TaprootPubkey,
			Value:         native.value,
			Confirmations: confs,
			PkScript:      native.pkScript,
			OutPoint:      outPoint,
		})
	}

	return utxos, nil
}

// PublishTransaction accepts everything.
func (w *fakeWalletKit) PublishTransaction(ctx context.Context,
	tx *wire.MsgTx, _ string) error {

	if err := w.enter(ctx, "PublishTransaction"); err != nil {
		return err
	}
	if !w.unlisted {
		w.list(tx, 0)
	}

	// The transaction is out, whether or not the caller is still there.
	_ = w.enter(ctx, "published")

	return nil
}

type fakeClient struct {
	lndclient.LightningClient
	*fakeLnd
}

// ListTransactions filters as lnd does.
func (c *fakeClient) ListTransactions(ctx context.Context, start, end int32,
	_ ...lndclient.ListTransactionsOption) ([]lndclient.Transaction,
	error) {

	if err := c.enter(ctx, "ListTransactions"); err != nil {
		return nil, err
	}
	if end == 0 {
		end = -1
	}

	tip := c.chain.height()
	c.mu.Lock()
	defer c.mu.Unlock()

	var txs []lndclient.Transaction
	for _, known := range c.txs {
		switch {
		case known.height == 0 && end >= 0:
			continue

		case known.height > 0 && known.height < start,
			known.height > 0 && end >= 0 && known.height > end:

			continue
		}

		tx := lndclient.Transaction{
			Tx:          known.tx,
			TxHash:      known.tx.TxHash().String(),
			BlockHeight: known.height,
		}
		if known.height > 0 {
			tx.Confirmations = tip - known.height + 1
		}
		for _, in := range known.tx.TxIn {
			outpoint := in.PreviousOutPoint.String()
			tx.PreviousOutpoints = append(
				tx.PreviousOutpoints,
				&lnrpc.PreviousOutPoint{Outpoint: outpoint},
			)
		}
		for i := range known.tx.TxOut {
			tx.OutputDetails = append(
				tx.OutputDetails, &lnrpc.OutputDetail{
					OutputIndex: int64(i),
					IsOurAddress: slices.Contains(
						known.own, i,
					),
				},
			)
		}
		txs = append(txs, tx)
	}

	return txs, nil
}

type fakeChainKit struct {
	lndclient.ChainKitClient
	*fakeLnd
}

// GetBestBlock returns the tip.
func (c *fakeChainKit) GetBestBlock(ctx context.Context) (chainhash.Hash,
	int32, error) {

	if err := c.enter(ctx, "GetBestBlock"); err != nil {
		return chainhash.Hash{}, 0, err
	}
	tip := c.chain.tip()

	return tip.Hash, tip.Height, nil
}

type fakeSigner struct {
	lndclient.SignerClient
	*fakeLnd
}

// SignOutputRaw returns a signature that names the input.
func (s *fakeSigner) SignOutputRaw(ctx context.Context, _ *wire.MsgTx,
	descriptors []*lndclient.SignDescriptor, _ []*wire.TxOut) ([][]byte,
	error) {

	return s.sign(ctx, "SignOutputRaw", descriptors)
}

// SignOutputRawKeyLocator returns a signature that names the input.
func (s *fakeSigner) SignOutputRawKeyLocator(ctx context.Context,
	_ *wire.MsgTx, descriptors []*lndclient.SignDescriptor,
	_ []*wire.TxOut) ([][]byte, error) {

	return s.sign(ctx, "SignOutputRawKeyLocator", descriptors)
}

// sign records what was asked for.
func (s *fakeSigner) sign(ctx context.Context, method string,
	descriptors []*lndclient.SignDescriptor) ([][]byte, error) {

	if err := s.enter(ctx, method); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	var signatures [][]byte
	for _, descriptor := range descriptors {
		s.signed = append(s.signed, signRequest{
			withLocator: method == "SignOutputRawKeyLocator",
			descriptor:  descriptor,
		})
		signatures = append(
			signatures, []byte{byte(descriptor.InputIndex)},
		)
	}

	return signatures, nil
}

// fakeRows is the embedded daemon's deposit table.
type fakeRows struct {
	mu   sync.Mutex
	rows []lndview.Deposit
	err  error
}

var _ lndview.Rows = (*fakeRows)(nil)

// LiveDeposits returns the rows.
func (r *fakeRows) LiveDeposits(context.Context) ([]lndview.Deposit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	return slices.Clone(r.rows), r.err
}

// brokenLedger is a ledger whose methods can be made to fail.
type brokenLedger struct {
	*lndview.MemoryLedger

	mu      sync.Mutex
	err     error
	loadErr error
}

// Load fails if told so.
func (l *brokenLedger) Load(ctx context.Context) (*lndview.Snapshot, error) {
	l.mu.Lock()
	err := l.loadErr
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}

	return l.MemoryLedger.Load(ctx)
}

// failLoad sets the error of Load.
func (l *brokenLedger) failLoad(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.loadErr = err
}

// Commit fails if told so.
func (l *brokenLedger) Commit(ctx context.Context,
	change lndview.Change) error {

	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	if err != nil {
		return err
	}

	return l.MemoryLedger.Commit(ctx, change)
}

// fail sets the error of Commit.
func (l *brokenLedger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.err = err
}

// rawTx serialises a transaction.
func rawTx(tx *wire.MsgTx) []byte {
	var buffer bytes.Buffer
	if err := tx.Serialize(&buffer); err != nil {
		panic(err)
	}

	return buffer.Bytes()
}
