package itest

import (
	"cmp"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// scanExpiry is the timeout of the static addresses of these stories:
	// short, so that the story can spend from them without the server.
	scanExpiry = 12

	// scanFee is what each transaction of the stories pays, in satoshis.
	scanFee = 5_000
)

// owned is a static address of the client.
type owned struct {
	locator  keychain.KeyLocator
	key      keychain.KeyDescriptor
	address  *script.StaticAddress
	pkScript []byte
}

// coin is an output that pays such an address.
type coin struct {
	*owned
	outpoint wire.OutPoint
	value    int64
}

// scanWorld is a story of a daemon that scans, with the keys to all that it can
// find.
type scanWorld struct {
	*story

	loopd *regtest.Loopd
	proxy *regtest.LndProxy
	lnd   *lndclient.GrpcLndServices
	row   *script.Parameters

	// scripts are the addresses that the oracle knows, by output script.
	scripts map[string]*owned

	// legacy is the address that upstream knows, too.
	legacy *owned
}

// newScanWorld makes a daemon with an address behind a proxy, and stops it
// again.
func newScanWorld(s *story) *scanWorld {
	s.Helper()

	w := &scanWorld{story: s, scripts: make(map[string]*owned)}
	w.loopd, w.proxy = s.newProxied()
	s.start(w.loopd)
	s.newAddress(w.loopd)
	s.stop(w.loopd)
	rows := s.addressRows(w.loopd)
	require.Len(s, rows, 1)
	w.row = rows[0]

	var err error
	w.lnd, err = s.Client.Services(s.Context())
	require.NoError(s, err)
	s.Cleanup(w.lnd.Close)
	w.legacy = w.own(
		int32(w.row.KeyLocator.Family), w.row.KeyLocator.Index,
	)
	require.Equal(s, w.row.PkScript, w.legacy.pkScript)

	return w
}

// own makes the static address of a key of lnd, which lnd itself derives: not
// the way in which the scan does.
func (w *scanWorld) own(family int32, index uint32) *owned {
	w.Helper()

	locator := keychain.KeyLocator{
		Family: keychain.KeyFamily(family), Index: index,
	}
	key, err := w.lnd.WalletKit.DeriveKey(w.Context(), &locator)
	require.NoError(w, err)
	address, err := script.NewStaticAddress(
		input.MuSig2Version100RC2, int64(w.row.Expiry), key.PubKey,
		w.row.ServerPubkey,
	)
	require.NoError(w, err)
	pkScript, err := address.StaticAddressScript()
	require.NoError(w, err)
	o := &owned{
		locator: locator, key: *key, address: address,
		pkScript: pkScript,
	}
	w.scripts[string(pkScript)] = o

	return o
}

// fund pays to addresses in one transaction of a node's miner, the amount to
// the first one and ever one satoshi more to the next ones.
func (w *scanWorld) fund(node *regtest.Btcd, amount int64,
	to ...*owned) []coin {

	w.Helper()

	var (
		outputs []*wire.TxOut
		coins   []coin
	)
	for i, o := range to {
		value := amount + int64(i)
		outputs = append(outputs, wire.NewTxOut(value, o.pkScript))
		coins = append(coins, coin{owned: o, value: value})
	}
	txid, err := node.Pay(outputs...)
	require.NoError(w, err)
	for i := range coins {
		coins[i].outpoint = *wire.NewOutPoint(txid, uint32(i))
	}

	return coins
}

// spend makes a transaction that spends timed out coins without the server and
// leaves the fee.
func (w *scanWorld) spend(fee int64, coins ...coin) *wire.MsgTx {
	w.Helper()

	var (
		tx          = wire.NewMsgTx(2)
		spent       []*wire.TxOut
		descriptors []*lndclient.SignDescriptor
		value       int64
	)
	for i, c := range coins {
		tx.AddTxIn(&wire.TxIn{
			PreviousOutPoint: c.outpoint, Sequence: w.row.Expiry,
		})
		spent = append(spent, wire.NewTxOut(c.value, c.pkScript))
		descriptors = append(descriptors, &lndclient.SignDescriptor{
			KeyDesc:       c.key,
			WitnessScript: c.address.TimeoutLeaf.Script,
			Output:        spent[i],
			HashType:      txscript.SigHashDefault,
			SignMethod:    input.TaprootScriptSpendSignMethod,
			InputIndex:    i,
		})
		value += c.value
	}
	tx.AddTxOut(wire.NewTxOut(value-fee, stranger()))

	signatures, err := w.lnd.Signer.SignOutputRawKeyLocator(
		w.Context(), tx, descriptors, spent,
	)
	require.NoError(w, err)
	for i, c := range coins {
		tx.TxIn[i].Witness, err = c.address.GenTimeoutWitness(
			signatures[i],
		)
		require.NoError(w, err)
	}

	return tx
}

// rescan begins a scan of the running daemon.
func (w *scanWorld) rescan() {
	w.Helper()

	conn, err := w.loopd.Dial()
	require.NoError(w, err)
	defer conn.Close()
	_, err = recoveryrpc.NewRecoveryClient(conn).StartRecovery(
		w.Context(), &recoveryrpc.StartRecoveryRequest{
			Kind: string(states.Rescan),
		},
	)
	require.NoError(w, err)
}

// truth walks the best chain by itself, block by block, and returns what a
// recovery must say of it.
func (w *scanWorld) truth() []actions.SummaryOutput {
	w.Helper()

	found := make(map[wire.OutPoint]*actions.SummaryOutput)
	err := w.Btcd.EachBlock(0, func(height int32, block *btcutil.Block) {
		for _, tx := range block.Transactions() {
			w.search(found, tx, height)
		}
	})
	require.NoError(w, err)

	outputs := make([]actions.SummaryOutput, 0, len(found))
	for _, output := range found {
		outputs = append(outputs, *output)
	}
	slices.SortFunc(outputs, func(a, b actions.SummaryOutput) int {
		return cmp.Or(
			cmp.Compare(a.Height, b.Height),
			compareOutPoints(a.OutPoint, b.OutPoint),
		)
	})

	return outputs
}

// search adds what one transaction pays and spends.
func (w *scanWorld) search(found map[wire.OutPoint]*actions.SummaryOutput,
	tx *btcutil.Tx, height int32) {

	for _, in := range tx.MsgTx().TxIn {
		if output := found[in.PreviousOutPoint]; output != nil {
			output.SpendTxID = tx.Hash().String()
			output.SpendHeight = height
		}
	}
	for i, out := range tx.MsgTx().TxOut {
		o := w.scripts[string(out.PkScript)]
		if o == nil {
			continue
		}
		outpoint := *wire.NewOutPoint(tx.Hash(), uint32(i))
		found[outpoint] = &actions.SummaryOutput{
			OutPoint: outpoint.String(), Value: out.Value,
			Height:    height,
			KeyFamily: int32(o.locator.Family),
			KeyIndex:  o.locator.Index,
		}
	}
}

// compareOutPoints orders outpoints by transaction and then by number.
func compareOutPoints(a, b string) int {
	first, errA := wire.NewOutPointFromString(a)
	second, errB := wire.NewOutPointFromString(b)
	if errA != nil || errB != nil {
		return cmp.Compare(a, b)
	}

	return cmp.Or(
		cmp.Compare(first.Hash.String(), second.Hash.String()),
		cmp.Compare(first.Index, second.Index),
	)
}

// requireTruth checks that a run that has ended says of the best chain what is
// true of it, and returns that.
func (w *scanWorld) requireTruth(
	run *recoveryrpc.Run) []actions.SummaryOutput {

	w.Helper()

	best, err := w.Btcd.Client().GetBestBlockHash()
	require.NoError(w, err)
	require.Equal(w, best.String(), run.Coverage.TipHash)

	var unspent int64
	truth, summary := w.truth(), w.summary(run)
	for _, output := range truth {
		if output.SpendTxID == "" {
			unspent += output.Value
		}
	}
	require.Equal(w, truth, summary.Outputs)
	require.Equal(w, unspent, summary.Unspent)

	return truth
}
