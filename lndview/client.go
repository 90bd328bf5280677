package lndview

import (
	"context"
	"encoding/hex"
	"math"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/chainscan"
)

// client is lnd, with the transactions of the outputs the View stands for.
type client struct {
	lndclient.LightningClient

	view  *View
	inner *services
}

var _ lndclient.LightningClient = (*client)(nil)

// ListTransactions returns lnd's list and, as far as it lacks them, the
// transactions that make or spend an output the View stands for, or an error.
func (c *client) ListTransactions(ctx context.Context, startHeight,
	endHeight int32, opts ...lndclient.ListTransactionsOption) (
	[]lndclient.Transaction, error) {

	asked := newTxQuery(startHeight, endHeight, opts)
	if c.view.silent() || !asked.concernsScripts() {
		return c.LightningClient.ListTransactions(
			ctx, startHeight, endHeight, opts...,
		)
	}
	if asked.paged {
		return nil, ErrPaged
	}

	return c.completed(ctx, asked, func() ([]lndclient.Transaction, error) {
		return c.LightningClient.ListTransactions(
			ctx, startHeight, endHeight, opts...,
		)
	})
}

// completed returns the transactions that ask returns and those that they lack.
func (c *client) completed(ctx context.Context, asked txQuery,
	ask func() ([]lndclient.Transaction, error)) ([]lndclient.Transaction,
	error) {

	if err := c.view.take(ctx); err != nil {
		return nil, err
	}
	defer c.view.give()

	var txs []lndclient.Transaction
	result, err := c.view.settled(ctx, c.inner, true,
		func(*answer) error {
			var err error
			txs, err = ask()

			return err
		})
	if err != nil {
		return nil, err
	}

	chainTxs, err := c.view.history(ctx, result)
	if err != nil {
		return nil, err
	}
	answered := make(map[string]bool, len(txs))
	for _, tx := range txs {
		answered[tx.TxHash] = true
	}
	for _, tx := range chainTxs {
		if answered[tx.txID.String()] ||
			!asked.wants(tx.block.Height) {

			continue
		}
		txs = append(txs, c.view.transaction(tx, result))
	}

	return txs, nil
}

// txQuery is what a caller of ListTransactions asks for, in lnd's terms.
type txQuery struct {
	low, high   int32
	unconfirmed bool
	account     string
	paged       bool
}

// newTxQuery reads the arguments of ListTransactions as lnd does: an end of 0
// is -1, and -1 is the mempool, above all blocks; the order of the two heights
// is the order of the answer only (wtxmgr.RangeTransactions).
func newTxQuery(start, end int32,
	opts []lndclient.ListTransactionsOption) txQuery {

	request := &lnrpc.GetTransactionsRequest{
		StartHeight: start,
		EndHeight:   end,
	}
	for _, opt := range opts {
		opt(request)
	}
	if request.EndHeight == 0 {
		request.EndHeight = -1
	}

	query := txQuery{
		low:         request.StartHeight,
		high:        request.EndHeight,
		unconfirmed: request.StartHeight < 0 || request.EndHeight < 0,
		account:     request.Account,
		paged: request.IndexOffset != 0 ||
			request.MaxTransactions != 0,
	}
	if query.low < 0 {
		query.low = math.MaxInt32
	}
	if query.high < 0 {
		query.high = math.MaxInt32
	}
	if query.low > query.high {
		query.low, query.high = query.high, query.low
	}

	return query
}

// concernsScripts says whether imported scripts are asked for.
func (q txQuery) concernsScripts() bool {
	return q.account == "" || q.account == importedAccount
}

// wants says whether a transaction at a height is asked for; 0 is unconfirmed.
func (q txQuery) wants(height int32) bool {
	if height == 0 {
		return q.unconfirmed
	}

	return q.low <= height && height <= q.high
}

// chainTx is a transaction that lnd's wallet does not list.
type chainTx struct {
	txID chainhash.Hash
	tx   *wire.MsgTx

	// block is the zero value for an unconfirmed transaction.
	block     chainscan.BlockStamp
	blockTime int64
}

// history returns every transaction that makes or spends an output the View
// stands for and that lnd's wallet does not list, once each.
func (v *View) history(ctx context.Context, result *answer) ([]chainTx, error) {
	h := history{
		seen: make(map[chainhash.Hash]bool),
		omit: result.wallet.txIDs,
	}
	for _, output := range result.state.Outputs {
		h.add(output.OutPoint.Hash, output.FundingTx, output.Block,
			output.BlockTime)
		if spend := output.Spend; spend != nil {
			h.add(spend.TxID, spend.SpendingTx, spend.Block,
				spend.BlockTime)
		}
	}
	for _, publication := range result.state.Publications {
		h.add(publication.TxID, publication.RawTx,
			chainscan.BlockStamp{}, 0)
	}
	if h.err != nil {
		return nil, h.err
	}

	for _, output := range result.unspent {
		txID := output.outPoint.Hash
		if !output.provisional || h.seen[txID] || h.omit[txID] {
			continue
		}
		tx, err := v.locate(ctx, output, result.tip.Height)
		if err != nil {
			return nil, err
		}
		h.seen[txID] = true
		h.txs = append(h.txs, tx)
	}

	return h.txs, nil
}

// history collects transactions.
type history struct {
	txs  []chainTx
	seen map[chainhash.Hash]bool
	omit map[chainhash.Hash]bool
	err  error
}

// add adds a transaction, unless it is there already.
func (h *history) add(txID chainhash.Hash, raw []byte,
	block chainscan.BlockStamp, blockTime int64) {

	if h.err != nil || h.seen[txID] || h.omit[txID] {
		return
	}
	h.seen[txID] = true

	tx, err := parseTx(raw, txID)
	if err != nil {
		h.err = err

		return
	}
	h.txs = append(h.txs, chainTx{
		txID: txID, tx: tx, block: block, blockTime: blockTime,
	})
}

// transaction returns a transaction as lnd would list it if its wallet had seen
// the outputs the View stands for.
func (v *View) transaction(tx chainTx, result *answer) lndclient.Transaction {
	listed := lndclient.Transaction{
		Tx:     tx.tx,
		TxHash: tx.txID.String(),
	}
	if tx.block.Height > 0 {
		listed.Timestamp = time.Unix(tx.blockTime, 0)
		listed.Confirmations = result.tip.Height - tx.block.Height + 1
		listed.BlockHash = tx.block.Hash.String()
		listed.BlockHeight = tx.block.Height
	}

	for _, in := range tx.tx.TxIn {
		spent, ours := result.state.Outputs[in.PreviousOutPoint]
		if ours {
			listed.Amount -= spent.Value
		}
		listed.PreviousOutpoints = append(
			listed.PreviousOutpoints, &lnrpc.PreviousOutPoint{
				Outpoint:    in.PreviousOutPoint.String(),
				IsOurOutput: ours,
			},
		)
	}
	for i, out := range tx.tx.TxOut {
		ours := result.state.Scripts[string(out.PkScript)].Covered()
		if ours {
			listed.Amount += btcutil.Amount(out.Value)
		}
		listed.OutputDetails = append(
			listed.OutputDetails,
			v.outputDetail(i, out, ours),
		)
	}

	return listed
}

// outputDetail describes one output as lnd does.
func (v *View) outputDetail(index int, out *wire.TxOut,
	ours bool) *lnrpc.OutputDetail {

	detail := &lnrpc.OutputDetail{
		PkScript:     hex.EncodeToString(out.PkScript),
		OutputIndex:  int64(index),
		Amount:       out.Value,
		IsOurAddress: ours,
	}

	class, addresses, _, err := txscript.ExtractPkScriptAddrs(
		out.PkScript, v.cfg.Params,
	)
	if err != nil {
		class = txscript.NonStandardTy
	}
	detail.OutputType = lnrpc.MarshallOutputType(class)
	if len(addresses) == 1 {
		detail.Address = addresses[0].EncodeAddress()
	}

	return detail
}
