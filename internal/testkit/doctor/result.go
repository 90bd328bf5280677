package doctor

import (
	"encoding/json"
	"slices"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
)

// complete checks I6 and I7 for a run that was reconciled.
func complete(e *Evidence) []Finding {
	var found findings

	var summary actions.Summary
	err := json.Unmarshal(e.facts().Summary, &summary)
	if err != nil {
		found.add(I6, "the summary does not parse")
		return found
	}
	if !slices.Equal(summary.Outputs, Summarize(e.Truth)) {
		found.add(I6, "%d outputs are in the summary, %d on the chain, "+
			"or they differ", len(summary.Outputs), len(e.Truth))
	}
	if !slices.EqualFunc(e.Published, e.Truth, sameOutput) {
		found.add(I6, "%d outputs were published, %d are on the "+
			"chain, or they differ", len(e.Published), len(e.Truth))
	}
	if !e.After.Scripts[string(e.Address)] {
		found.add(I6, "lnd does not watch the address")
	}
	if len(e.After.Rows) == 0 {
		found.add(I6, "the address row is missing")
	}

	coverage := e.facts().Coverage
	if coverage == nil {
		found.add(I7, "there is no coverage")
		return found
	}
	if !e.OnBestChain(coverage.Tip) {
		found.add(I7, "the tip is not on the best chain")
	}
	for _, wanted := range e.families() {
		if !slices.ContainsFunc(coverage.Families,
			func(family chainscan.FamilyCoverage) bool {
				return family.Family == wanted
			}) {

			found.add(I7, "family %d was not scanned", wanted)
		}
	}
	for _, family := range coverage.Families {
		if !family.Fixed &&
			family.Tested < family.Used+e.LookAhead {

			found.add(I7, "family %d was tested up to %d, used "+
				"up to %d", family.Family, family.Tested,
				family.Used)
		}
	}

	return found
}

// families returns the key families of the judged run's generation.
func (e *Evidence) families() []int32 {
	gen := e.facts().Generation
	if gen == nil {
		return nil
	}

	return []int32{gen.KeyFamily, gen.ReceiveFamily, gen.ChangeFamily}
}

// Summarize returns outputs as a summary has them.
func Summarize(outputs []chainscan.Output) []actions.SummaryOutput {
	result := make([]actions.SummaryOutput, 0, len(outputs))
	for _, output := range outputs {
		shown := actions.SummaryOutput{
			OutPoint:  output.OutPoint.String(),
			Value:     int64(output.Value),
			Height:    output.Block.Height,
			KeyFamily: output.Script.Family,
			KeyIndex:  output.Script.Index,
		}
		if output.Spend != nil {
			shown.SpendTxID = output.Spend.TxID.String()
			shown.SpendHeight = output.Spend.Block.Height
		}
		result = append(result, shown)
	}

	return result
}

// sameOutput compares two outputs in what decides about them.
func sameOutput(a, b chainscan.Output) bool {
	if (a.Spend == nil) != (b.Spend == nil) {
		return false
	}
	if a.Spend != nil && (a.Spend.TxID != b.Spend.TxID ||
		a.Spend.Block != b.Spend.Block) {

		return false
	}

	return a.OutPoint == b.OutPoint && a.Script == b.Script &&
		a.Value == b.Value && a.Block == b.Block
}
