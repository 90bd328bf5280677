package lndview_test

import (
	"testing"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/staticaddr/loopin"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/require"
)

// available asks upstream's own check whether deposits can be looped in.
func (h *harness) available(outPoints ...wire.OutPoint) (
	map[wire.OutPoint]*wire.TxOut, error) {

	return loopin.NewLndTxOutChecker(h.seen.Client).GetTxOuts(
		h.t.Context(), outPoints,
	)
}

// TestLoopInCheck checks that upstream's check before a loop-in finds exactly
// the deposits that can be spent.
func TestLoopInCheck(t *testing.T) {
	h := newBlind(t)
	unspent, spent := h.deposit(1_000), h.deposit(2_000)
	published, abandoned := h.deposit(3_000), h.deposit(4_000)
	h.chain.mine(h.spend(spent))
	h.scanned("run")

	h.lnd.unlisted = true
	h.publish(h.spend(published))
	h.lnd.unlisted = false
	gone := h.spend(abandoned)
	h.publish(gone)
	h.sees(unspent)
	h.lnd.drop(gone)

	found, err := h.available(unspent, spent, published, abandoned)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.EqualValues(t, 1_000, found[unspent].Value)
	require.Equal(t, static, found[unspent].PkScript)
	require.EqualValues(t, 4_000, found[abandoned].Value)
}

// TestLoopInCheckBlind checks that a swap in flight is not cancelled because
// lnd was rebuilt: the deposit's transaction is looked up near the height that
// the database names, and without it the answer is an error.
func TestLoopInCheckBlind(t *testing.T) {
	h := newBlind(t)
	deposit := h.deposit(1_000)
	height := int64(h.chain.height())
	h.chain.mineEmpty(50)
	h.row(deposit, 1_000, height-20)

	found, err := h.available(deposit)
	require.NoError(t, err)
	require.EqualValues(t, 1_000, found[deposit].Value)

	// It is not looked up twice, but again after its block is gone.
	reads := h.chain.reads
	_, err = h.available(deposit)
	require.NoError(t, err)
	require.Equal(t, reads, h.chain.reads)

	h.chain.disconnect(51)
	h.chain.mineEmpty(60)
	_, err = h.available(deposit)
	var missing *lndview.FundingError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, deposit, missing.OutPoint)

	// An unconfirmed one is nowhere to be found.
	h = newBlind(t)
	h.row(deposit, 1_000, 0)
	_, err = h.available(deposit)
	require.ErrorAs(t, err, &missing)
}

// TestTransactionRange checks that transactions are added as lnd would list
// them: within the heights asked for, and once.
func TestTransactionRange(t *testing.T) {
	h := newBlind(t)
	tx := h.pay(1_000)
	h.chain.mine(tx)
	low := h.chain.height()
	deposit := wire.OutPoint{Hash: tx.TxHash()}
	h.chain.mineEmpty(3)
	spend := h.spend(deposit)
	h.chain.mine(spend)
	high := h.chain.height()

	young := h.pay(2_000)
	h.chain.mine(young)
	h.scanned("run")
	h.lnd.unlisted = true
	pending := h.spend(wire.OutPoint{Hash: young.TxHash()})
	h.publish(pending)
	h.sees()

	all := []*wire.MsgTx{tx, spend, young, pending}
	for name, test := range map[string]struct {
		start, end int32
		wanted     []*wire.MsgTx
	}{
		"all":       {0, -1, all},
		"default":   {0, 0, all},
		"backwards": {-1, low, all},
		"mempool":   {-1, -1, []*wire.MsgTx{pending}},
		"first":     {low, low, []*wire.MsgTx{tx}},
		"between":   {low + 1, high - 1, nil},
		"confirmed": {low, high, []*wire.MsgTx{tx, spend}},
		"reversed":  {high, low, []*wire.MsgTx{tx, spend}},
	} {
		t.Run(name, func(t *testing.T) {
			wanted := []string{}
			for _, tx := range test.wanted {
				wanted = append(wanted, tx.TxHash().String())
			}
			h.lists(wanted, test.start, test.end)
		})
	}

	// What lnd lists by itself is not added, whatever range is asked for.
	h.lnd.list(spend, high)
	h.lists([]string{tx.TxHash().String()}, low, low)
	h.lists([]string{
		tx.TxHash().String(), spend.TxHash().String(),
	}, low, high)
}

// TestTransactionOnce checks that a transaction that made two deposits is added
// once, proven or not.
func TestTransactionOnce(t *testing.T) {
	h := newBlind(t)
	tx := h.pay(1_000, 2_000)
	h.chain.mine(tx)
	for i, value := range []int64{1_000, 2_000} {
		h.row(wire.OutPoint{Hash: tx.TxHash(), Index: uint32(i)},
			value, int64(h.chain.height()))
	}

	h.lists([]string{tx.TxHash().String()}, 0, -1)
	h.scanned("run")
	h.lists([]string{tx.TxHash().String()}, 0, -1)
}

// lists checks the transactions of a range.
func (h *harness) lists(wanted []string, start, end int32) {
	h.t.Helper()

	txs, err := h.seen.Client.ListTransactions(h.t.Context(), start, end)
	require.NoError(h.t, err)
	found := []string{}
	for _, tx := range txs {
		require.Equal(h.t, tx.TxHash, tx.Tx.TxHash().String())
		found = append(found, tx.TxHash)
	}
	require.ElementsMatch(h.t, wanted, found)
}

// TestTransactionFields checks what is said of an added transaction.
func TestTransactionFields(t *testing.T) {
	h := newBlind(t)
	tx := h.pay(1_000)
	tx.AddTxOut(wire.NewTxOut(7, []byte{0x51}))
	h.chain.mine(tx)
	funded := h.chain.tip()
	spend := h.spend(wire.OutPoint{Hash: tx.TxHash()})
	h.chain.mine(spend)
	h.scanned("run")

	txs, err := h.seen.Client.ListTransactions(
		t.Context(), funded.Height, funded.Height,
	)
	require.NoError(t, err)
	require.Len(t, txs, 1)
	require.EqualValues(t, 1_000, txs[0].Amount)
	require.EqualValues(t, 2, txs[0].Confirmations)
	require.Equal(t, funded.Height, txs[0].BlockHeight)
	require.Equal(t, funded.Hash.String(), txs[0].BlockHash)
	require.Len(t, txs[0].OutputDetails, 2)
	require.True(t, txs[0].OutputDetails[0].IsOurAddress)
	require.Equal(
		t, lnrpc.OutputScriptType_SCRIPT_TYPE_WITNESS_V1_TAPROOT,
		txs[0].OutputDetails[0].OutputType,
	)
	require.Regexp(t, "^bcrt1p", txs[0].OutputDetails[0].Address)
	require.False(t, txs[0].OutputDetails[1].IsOurAddress)

	txs, err = h.seen.Client.ListTransactions(
		t.Context(), funded.Height+1, -1,
	)
	require.NoError(t, err)
	require.Len(t, txs, 1)
	require.EqualValues(t, -1_000, txs[0].Amount)
	require.True(t, txs[0].PreviousOutpoints[0].IsOurOutput)
}

// TestTransactionOptions checks accounts and pages.
func TestTransactionOptions(t *testing.T) {
	h := newBlind(t)
	h.deposit(1_000)
	h.scanned("run")
	ctx := t.Context()

	txs, err := h.seen.Client.ListTransactions(
		ctx, 0, -1, lndclient.WithTransactionsAccount("default"),
	)
	require.NoError(t, err)
	require.Empty(t, txs)

	page := func(r *lnrpc.GetTransactionsRequest) { r.MaxTransactions = 1 }
	_, err = h.seen.Client.ListTransactions(ctx, 0, -1, page)
	require.ErrorIs(t, err, lndview.ErrPaged)
}
