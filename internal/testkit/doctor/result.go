package doctor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strings"

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
		found.add(I6, "%d outputs are in the summary, %d on the "+
			"chain, or they differ", len(summary.Outputs),
			len(e.Truth))
	}
	published, truth := inOrder(e.Published), inOrder(e.Truth)
	if !slices.EqualFunc(published, truth, sameOutput) {
		found.add(I6, "%d outputs were published, %d are on the "+
			"chain, or they differ", len(e.Published), len(e.Truth))
	}
	if !e.After.Scripts[string(e.Wanted.Address)] {
		found.add(I6, "lnd does not watch the address")
	}
	if len(e.After.Rows) == 0 {
		found.add(I6, "the address row is missing")
	}
	if !e.tokenInPlace() {
		found.add(I6, "the token of the generation is not in place")
	}

	coverage := e.facts().Coverage
	if coverage == nil {
		found.add(I7, "there is no coverage")
		return found
	}
	if !e.OnBestChain(coverage.Tip) {
		found.add(I7, "the tip is not on the best chain")
	}
	found = append(found, e.covered(coverage.Families)...)

	return found
}

// tokenInPlace reports whether the generation's token is where it belongs.
func (e *Evidence) tokenInPlace() bool {
	for name, data := range e.After.Files {
		if path.Base(name) == tokenName {
			return bytes.Equal(data, e.Wanted.Token)
		}
	}

	return false
}

// covered checks that the families of the generation were looked through, as
// far as they must be.
func (e *Evidence) covered(families []chainscan.FamilyCoverage) []Finding {
	var found findings
	for _, wanted := range []int32{
		e.Wanted.KeyFamily, e.Wanted.ReceiveFamily,
		e.Wanted.ChangeFamily,
	} {
		if !slices.ContainsFunc(families,
			func(family chainscan.FamilyCoverage) bool {
				return family.Family == wanted
			}) {

			found.add(I7, "family %d was not scanned", wanted)
		}
	}
	for _, family := range families {
		if !family.Fixed &&
			family.Tested < family.Used+2*e.Wanted.LookAhead {

			found.add(I7, "family %d was tested up to %d, used "+
				"up to %d", family.Family, family.Tested,
				family.Used)
		}
	}

	return found
}

// inOrder returns outputs in the order of a summary.
func inOrder(outputs []chainscan.Output) []chainscan.Output {
	sorted := slices.Clone(outputs)
	slices.SortFunc(sorted, func(a, b chainscan.Output) int {
		return cmp.Or(
			cmp.Compare(a.Block.Height, b.Block.Height),
			strings.Compare(
				a.OutPoint.Hash.String(),
				b.OutPoint.Hash.String(),
			),
			cmp.Compare(a.OutPoint.Index, b.OutPoint.Index),
		)
	})

	return sorted
}

// Summarize returns outputs as a summary has them, and in its order.
func Summarize(outputs []chainscan.Output) []actions.SummaryOutput {
	result := make([]actions.SummaryOutput, 0, len(outputs))
	for _, output := range inOrder(outputs) {
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
