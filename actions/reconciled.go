package actions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/states"
)

// reconciled checks that the result still stands, and records its summary. A
// reorganisation of the chain that undid part of it leads back to the scan.
func (r *run) reconciled(ctx context.Context, facts *Facts) (states.Event,
	error) {

	switch {
	case facts.Generation == nil:
		return "", errNoGeneration

	case facts.Coverage == nil:
		return "", errNoCoverage
	}

	summary, err := r.summarize(ctx, facts)
	if err != nil {
		return "", err
	}

	onChain, err := r.onBestChain(ctx, facts.Coverage.Tip)
	if err != nil {
		return "", err
	}
	if !onChain {
		facts.Coverage = nil
		facts.Summary = nil

		return states.Reorged, nil
	}

	// The outputs are read once more after the chain was looked at: a
	// summary must not change while it is checked.
	again, err := r.summarize(ctx, facts)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(summary, again) {
		return "", errors.New("the stored outputs changed while they " +
			"were summed up")
	}
	facts.Summary = summary
	failpoint.Hit(failpoint.ReconciledBeforeSummary)

	return states.Done, nil
}

// summarize computes the canonical summary from the stored outputs.
func (r *run) summarize(ctx context.Context, facts *Facts) (json.RawMessage,
	error) {

	outputs, err := r.Scanner.Result(ctx, r.id)
	if err != nil {
		return nil, err
	}

	err = checkCoverage(facts, outputs)
	if err != nil {
		return nil, err
	}

	return json.Marshal(newSummary(facts.Generation, outputs))
}

// onBestChain reports whether a block is part of the best chain.
func (r *run) onBestChain(ctx context.Context, block chainscan.BlockStamp) (
	bool, error) {

	best, err := r.Chain.BestBlock(ctx)
	if err != nil {
		return false, err
	}
	if best.Height < block.Height {
		return false, nil
	}

	hash, err := r.Chain.BlockHash(ctx, block.Height)
	if err != nil {
		return false, err
	}

	return hash == block.Hash, nil
}

// checkCoverage asserts what a finished scan has promised: every family of the
// generation closed its gap, and every stored output lies within what was
// tested and walked.
func checkCoverage(facts *Facts, outputs []chainscan.Output) error {
	tested := make(map[int32]chainscan.FamilyCoverage)
	for _, family := range facts.Coverage.Families {
		tested[family.Family] = family
	}

	if !tested[facts.Generation.KeyFamily].Fixed {
		return fmt.Errorf("family %d was not scanned",
			facts.Generation.KeyFamily)
	}

	for _, id := range facts.Generation.growing() {
		family := tested[id]
		if family.Tested < family.Used+facts.LookAhead {
			return fmt.Errorf("family %d was tested up to %d "+
				"only, with %d used and a look-ahead of %d", id,
				family.Tested, family.Used, facts.LookAhead)
		}
	}

	for _, output := range outputs {
		family := tested[output.Script.Family]
		if output.Script.Index >= family.Used ||
			output.Block.Height > facts.Coverage.Tip.Height {

			return fmt.Errorf("output %v lies beyond what was "+
				"scanned", output.OutPoint)
		}
	}

	return nil
}
