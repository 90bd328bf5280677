package twin

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
)

// Truth walks the whole chain again and again, with ever more scripts, until no
// script of a family is used within its look-ahead that was not tested. It is
// the plainest scan there is, and what every other is compared with.
func (c *Chain) Truth(families []chainscan.Family,
	lookAhead uint32) []chainscan.Output {

	c.mu.Lock()
	defer c.mu.Unlock()

	frontier := make(map[int32]uint32)
	for {
		scripts := scriptsOf(families, frontier, lookAhead)
		outputs := c.walk(scripts)

		grown := false
		for _, output := range outputs {
			used := output.Script.Index + 1
			if used > frontier[output.Script.Family] {
				frontier[output.Script.Family] = used
				grown = true
			}
		}
		if !grown {
			return outputs
		}
	}
}

// scriptsOf derives the scripts of all families up to the look-ahead.
func scriptsOf(families []chainscan.Family, frontier map[int32]uint32,
	lookAhead uint32) map[string]chainscan.ScriptID {

	scripts := make(map[string]chainscan.ScriptID)
	for _, family := range families {
		from, to := uint32(0), frontier[family.ID()]+lookAhead
		if index, fixed := family.Fixed(); fixed {
			from, to = index, index+1
		}

		for index := from; index < to; index++ {
			pkScript, err := family.Script(index)
			if err != nil {
				panic(err)
			}
			scripts[string(pkScript)] = chainscan.ScriptID{
				Family: family.ID(),
				Index:  index,
			}
		}
	}

	return scripts
}

// walk returns all outputs that pay one of the scripts, with their spends.
func (c *Chain) walk(
	scripts map[string]chainscan.ScriptID) []chainscan.Output {

	found := make(map[wire.OutPoint]*chainscan.Output)
	for height, block := range c.best {
		stamp := chainscan.BlockStamp{
			Height: int32(height),
			Hash:   block.BlockHash(),
		}
		blockTime := block.Header.Timestamp.Unix()
		for _, tx := range block.Transactions {
			spendOutputs(found, tx, stamp, blockTime)
			findOutputs(found, scripts, tx, stamp, blockTime)
		}
	}

	outputs := make([]chainscan.Output, 0, len(found))
	for _, output := range found {
		outputs = append(outputs, *output)
	}
	slices.SortFunc(outputs, func(a, b chainscan.Output) int {
		return cmp.Or(
			cmp.Compare(a.Block.Height, b.Block.Height),
			bytes.Compare(a.OutPoint.Hash[:], b.OutPoint.Hash[:]),
			cmp.Compare(a.OutPoint.Index, b.OutPoint.Index),
		)
	})

	return outputs
}

// findOutputs adds the outputs of a transaction that pay one of the scripts.
func findOutputs(found map[wire.OutPoint]*chainscan.Output,
	scripts map[string]chainscan.ScriptID, tx *wire.MsgTx,
	block chainscan.BlockStamp, blockTime int64) {

	for index, txOut := range tx.TxOut {
		id, ok := scripts[string(txOut.PkScript)]
		if !ok {
			continue
		}

		outPoint := wire.OutPoint{
			Hash:  tx.TxHash(),
			Index: uint32(index),
		}
		found[outPoint] = &chainscan.Output{
			OutPoint:  outPoint,
			Script:    id,
			PkScript:  txOut.PkScript,
			Value:     btcutil.Amount(txOut.Value),
			Block:     block,
			BlockTime: blockTime,
			FundingTx: serialize(tx),
		}
	}
}

// spendOutputs notes which of the outputs a transaction spends.
func spendOutputs(found map[wire.OutPoint]*chainscan.Output, tx *wire.MsgTx,
	block chainscan.BlockStamp, blockTime int64) {

	for index, txIn := range tx.TxIn {
		output, ok := found[txIn.PreviousOutPoint]
		if !ok {
			continue
		}

		output.Spend = &chainscan.Spend{
			TxID:       tx.TxHash(),
			InputIndex: uint32(index),
			Block:      block,
			BlockTime:  blockTime,
			SpendingTx: serialize(tx),
		}
	}
}

// serialize returns the bytes of a transaction with its witness.
func serialize(tx *wire.MsgTx) []byte {
	var raw bytes.Buffer
	err := tx.Serialize(&raw)
	if err != nil {
		panic(err)
	}

	return raw.Bytes()
}
