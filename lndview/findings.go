package lndview

import (
	"bytes"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
)

// findings collects what consecutive blocks tell about covered scripts.
type findings struct {
	state *Snapshot

	// ids are the key locators of the covered scripts, as far as the scan
	// named them with an output.
	ids map[string]chainscan.ScriptID

	// changed are outputs that are new or whose spend is new.
	changed map[wire.OutPoint]chainscan.Output

	// forget are publications that confirmed or can no longer confirm.
	forget map[chainhash.Hash]bool

	// pending are the unconfirmed publications by the outpoints they spend.
	pending map[wire.OutPoint][]chainhash.Hash

	blocks []chainscan.BlockStamp
}

// newFindings returns empty findings on top of a state.
func newFindings(state *Snapshot) *findings {
	f := &findings{
		state:   state,
		ids:     make(map[string]chainscan.ScriptID),
		changed: make(map[wire.OutPoint]chainscan.Output),
		forget:  make(map[chainhash.Hash]bool),
		pending: make(map[wire.OutPoint][]chainhash.Hash),
	}
	for _, output := range state.Outputs {
		f.ids[string(output.PkScript)] = output.Script
	}
	for txID, publication := range state.Publications {
		for _, input := range publication.Inputs {
			f.pending[input] = append(f.pending[input], txID)
		}
	}

	return f
}

// walk reads one block.
func (f *findings) walk(b block) {
	for _, tx := range b.msg.Transactions {
		f.readInputs(b, tx)
		f.readOutputs(b, tx)
	}
	f.blocks = append(f.blocks, b.stamp)
}

// readInputs records the spends that a transaction makes.
func (f *findings) readInputs(b block, tx *wire.MsgTx) {
	for i, in := range tx.TxIn {
		// The publication that confirms, and any that it conflicts
		// with, have nothing more to hide.
		for _, txID := range f.pending[in.PreviousOutPoint] {
			f.forget[txID] = true
		}

		output, ok := f.output(in.PreviousOutPoint)
		if !ok {
			continue
		}
		output.Spend = &chainscan.Spend{
			TxID:       tx.TxHash(),
			InputIndex: uint32(i),
			Block:      b.stamp,
			BlockTime:  b.msg.Header.Timestamp.Unix(),
			SpendingTx: serialize(tx),
		}
		f.changed[output.OutPoint] = output
	}
}

// readOutputs records the outputs to covered scripts that a transaction makes.
func (f *findings) readOutputs(b block, tx *wire.MsgTx) {
	for i, out := range tx.TxOut {
		script, ok := f.state.Scripts[string(out.PkScript)]
		if !ok || !script.Covered() {
			continue
		}

		outPoint := wire.OutPoint{Hash: tx.TxHash(), Index: uint32(i)}
		if _, known := f.output(outPoint); known {
			continue
		}
		f.changed[outPoint] = chainscan.Output{
			OutPoint:  outPoint,
			Script:    f.ids[string(out.PkScript)],
			PkScript:  script.PkScript,
			Value:     btcutil.Amount(out.Value),
			Block:     b.stamp,
			BlockTime: b.msg.Header.Timestamp.Unix(),
			FundingTx: serialize(tx),
		}
	}
}

// output returns a known output, with its spend as found so far.
func (f *findings) output(outPoint wire.OutPoint) (chainscan.Output, bool) {
	if output, ok := f.changed[outPoint]; ok {
		return output, true
	}
	output, ok := f.state.Outputs[outPoint]

	return output, ok
}

// change returns what was found as a change of the ledger.
func (f *findings) change() Change {
	change := Change{Blocks: f.blocks}
	for _, output := range f.changed {
		change.Outputs = append(change.Outputs, output)
	}
	for txID := range f.forget {
		change.Forget = append(change.Forget, txID)
	}

	return change
}

// serialize returns a transaction with its witness.
func serialize(tx *wire.MsgTx) []byte {
	var raw bytes.Buffer
	raw.Grow(tx.SerializeSize())

	// A buffer does not fail.
	_ = tx.Serialize(&raw)

	return raw.Bytes()
}
