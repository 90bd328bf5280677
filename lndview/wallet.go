package lndview

import (
	"bytes"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
)

// spender is a transaction of lnd's wallet.
type spender struct {
	txID   chainhash.Hash
	inputs []wire.OutPoint
}

// walletTxs is what the transactions of lnd's wallet tell.
type walletTxs struct {
	// txIDs are the transactions.
	txIDs map[chainhash.Hash]bool

	// spends are the transactions that spend an outpoint.
	spends map[wire.OutPoint][]*spender

	// own are the outputs that lnd's wallet holds as its own.
	own map[wire.OutPoint]bool
}

// newWalletTxs reads lnd's list of transactions.
func newWalletTxs(txs []lndclient.Transaction) (*walletTxs, error) {
	w := &walletTxs{
		txIDs:  make(map[chainhash.Hash]bool, len(txs)),
		spends: make(map[wire.OutPoint][]*spender),
		own:    make(map[wire.OutPoint]bool),
	}
	for _, tx := range txs {
		if tx.Tx == nil {
			return nil, fmt.Errorf("lnd lists transaction %v "+
				"without its bytes; nothing was reported",
				tx.TxHash)
		}

		s := &spender{txID: tx.Tx.TxHash()}
		w.txIDs[s.txID] = true
		for _, in := range tx.Tx.TxIn {
			s.inputs = append(s.inputs, in.PreviousOutPoint)
			w.spends[in.PreviousOutPoint] = append(
				w.spends[in.PreviousOutPoint], s,
			)
		}
		for _, output := range tx.OutputDetails {
			if output.IsOurAddress {
				w.own[wire.OutPoint{
					Hash:  s.txID,
					Index: uint32(output.OutputIndex),
				}] = true
			}
		}
	}

	return w, nil
}

// owns says whether lnd's wallet holds an output as its own, spent or not.
func (w *walletTxs) owns(outPoint wire.OutPoint) bool {
	return w.own[outPoint]
}

// spenders returns the transactions of lnd's wallet that spend an outpoint.
func (w *walletTxs) spenders(outPoint wire.OutPoint) []*spender {
	return w.spends[outPoint]
}

// conflicted says whether a transaction can no longer confirm, because another
// one that spends one of its inputs is in a block.
func conflicted(state *Snapshot, txID chainhash.Hash,
	inputs []wire.OutPoint) bool {

	for _, input := range inputs {
		spend := state.Outputs[input].Spend
		if spend != nil && spend.TxID != txID {
			return true
		}
	}

	return false
}

// parseTx decodes a transaction and checks that it has the expected hash.
func parseTx(raw []byte, txID chainhash.Hash) (*wire.MsgTx, error) {
	var tx wire.MsgTx
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("%w: transaction %v: %w", ErrBroken,
			txID, err)
	}
	if tx.TxHash() != txID {
		return nil, fmt.Errorf("%w: transaction %v stored as %v",
			ErrBroken, tx.TxHash(), txID)
	}

	return &tx, nil
}
