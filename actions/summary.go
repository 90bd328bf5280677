package actions

import (
	"cmp"
	"slices"

	"github.com/looprecovery/looprecovery/chainscan"
)

// newSummary returns the canonical result for a generation and its outputs.
func newSummary(generation *Generation, outputs []chainscan.Output) Summary {
	summary := Summary{
		TokenID:   generation.TokenID,
		Network:   generation.Network,
		Address:   generation.Address,
		KeyFamily: generation.KeyFamily,
		KeyIndex:  generation.KeyIndex,
		Expiry:    generation.Expiry,
		Outputs:   make([]SummaryOutput, 0, len(outputs)),
	}

	sorted := slices.Clone(outputs)
	slices.SortFunc(sorted, compareOutputs)
	for _, output := range sorted {
		summary.Outputs = append(
			summary.Outputs, newSummaryOutput(output),
		)
		if output.Spend == nil {
			summary.Unspent += int64(output.Value)
		}
	}

	return summary
}

// compareOutputs orders outputs by height, transaction id as it is displayed,
// and index.
func compareOutputs(a, b chainscan.Output) int {
	return cmp.Or(
		cmp.Compare(a.Block.Height, b.Block.Height),
		cmp.Compare(
			a.OutPoint.Hash.String(), b.OutPoint.Hash.String(),
		),
		cmp.Compare(a.OutPoint.Index, b.OutPoint.Index),
	)
}

// newSummaryOutput returns the part of an output that is the same for every
// run over one history.
func newSummaryOutput(output chainscan.Output) SummaryOutput {
	line := SummaryOutput{
		OutPoint:  output.OutPoint.String(),
		Value:     int64(output.Value),
		Height:    output.Block.Height,
		KeyFamily: output.Script.Family,
		KeyIndex:  output.Script.Index,
	}
	if output.Spend != nil {
		line.SpendTxID = output.Spend.TxID.String()
		line.SpendHeight = output.Spend.Block.Height
	}

	return line
}
