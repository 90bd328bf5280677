package lndview

import (
	"context"
	"math"
	"slices"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/lightningnetwork/lnd/lnwallet"
)

// importedAccount is the account in which lnd's wallet keeps imported scripts
// (waddrmgr.ImportedAddrAccountName).
const importedAccount = "imported"

// walletKit is lnd's wallet, completed.
type walletKit struct {
	lndclient.WalletKitClient

	view  *View
	inner *services
}

var _ lndclient.WalletKitClient = (*walletKit)(nil)

// ListUnspent returns lnd's list and every output the View stands for that it
// lacks, or an error.
func (w *walletKit) ListUnspent(ctx context.Context, minConfs, maxConfs int32,
	opts ...lndclient.ListUnspentOption) ([]*lnwallet.Utxo, error) {

	asked := newUnspentQuery(minConfs, maxConfs, opts)
	if w.view.silent() || !asked.concernsScripts() {
		return w.WalletKitClient.ListUnspent(
			ctx, minConfs, maxConfs, opts...,
		)
	}

	if err := w.view.take(ctx); err != nil {
		return nil, err
	}
	defer w.view.give()

	var utxos []*lnwallet.Utxo
	result, err := w.view.settled(ctx, w.inner, false,
		func(result *answer) error {
			if asked.account == "" && result.utxos != nil {
				utxos = asked.choose(result.utxos)

				return nil
			}

			var err error
			utxos, err = w.WalletKitClient.ListUnspent(
				ctx, minConfs, maxConfs, opts...,
			)

			return err
		})
	if err != nil {
		return nil, err
	}

	return w.complete(utxos, asked, result), nil
}

// complete adds to lnd's list what it lacks of an answer.
func (w *walletKit) complete(utxos []*lnwallet.Utxo, asked unspentQuery,
	result *answer) []*lnwallet.Utxo {

	answered := outPoints(utxos)
	for _, output := range result.unspent {
		confirmations := output.confirmations(result.tip.Height)
		known := answered[output.outPoint] && !w.view.has(reportsTwice)
		if known || !asked.wants(confirmations) {
			continue
		}
		utxos = append(utxos, &lnwallet.Utxo{
			AddressType:   lnwallet.TaprootPubkey,
			Value:         output.value,
			Confirmations: confirmations,
			PkScript:      output.pkScript,
			OutPoint:      output.outPoint,
		})
	}

	return utxos
}

// PublishTransaction publishes a transaction. The outputs it spends are hidden
// once lnd accepted it.
func (w *walletKit) PublishTransaction(ctx context.Context, tx *wire.MsgTx,
	label string) error {

	done := w.view.publishes(tx)
	defer done()
	err := w.WalletKitClient.PublishTransaction(ctx, tx, label)
	if err != nil {
		return err
	}
	w.view.published(ctx, tx)

	return nil
}

// unspentQuery is what a caller of ListUnspent asks for, in lnd's terms.
type unspentQuery struct {
	minConfs, maxConfs int64
	account            string
}

// newUnspentQuery reads the arguments of ListUnspent as lnd does.
func newUnspentQuery(minConfs, maxConfs int32,
	opts []lndclient.ListUnspentOption) unspentQuery {

	request := &walletrpc.ListUnspentRequest{
		MinConfs: minConfs,
		MaxConfs: maxConfs,
	}
	for _, opt := range opts {
		opt(request)
	}
	if request.MaxConfs == 0 && !request.UnconfirmedOnly {
		request.MaxConfs = math.MaxInt32
	}

	return unspentQuery{
		minConfs: int64(request.MinConfs),
		maxConfs: int64(request.MaxConfs),
		account:  request.Account,
	}
}

// concernsScripts says whether imported scripts are asked for.
func (q unspentQuery) concernsScripts() bool {
	return q.account == "" || q.account == importedAccount
}

// choose returns those of all outputs that are asked for, as lnd would.
func (q unspentQuery) choose(all []*lnwallet.Utxo) []*lnwallet.Utxo {
	return slices.DeleteFunc(all, func(utxo *lnwallet.Utxo) bool {
		return !q.wants(utxo.Confirmations)
	})
}

// wants says whether an output with a number of confirmations is asked for.
func (q unspentQuery) wants(confirmations int64) bool {
	return q.minConfs <= confirmations && confirmations <= q.maxConfs
}
