package actions

import (
	"context"
	"errors"
	"fmt"

	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// scanDeposits walks the chain from the birthday to the tip, hands what it
// found to the embedded daemon, and moves lnd's key counters past every key
// that is known to have been used. Each of the three can be done again.
func (r *run) scanDeposits(ctx context.Context, facts *Facts) (states.Event,
	error) {

	if facts.Generation == nil {
		return "", errNoGeneration
	}

	families, err := r.families(ctx, facts.Generation)
	if err != nil {
		return "", err
	}

	result, err := r.Scanner.Scan(ctx, r.id, ScanRequest{
		Birthday:  facts.Birthday,
		Families:  families,
		LookAhead: scanLookAhead(r.LookAhead),
	})
	if err != nil {
		return "", scanError(err)
	}

	err = r.Visibility.Publish(ctx, r.id, result)
	if err != nil {
		return "", err
	}
	failpoint.Hit(failpoint.ScanDepositsAfterPublish)

	err = r.advanceFamilies(ctx, facts, result.Coverage)
	if err != nil {
		return "", err
	}

	facts.Coverage = &result.Coverage
	facts.LookAhead = r.LookAhead

	return states.Done, nil
}

// scanLookAhead returns the number of scripts that are tested beyond the last
// used one. It is twice the look-ahead: a restore moves lnd's counters past the
// highest used index by one look-ahead, and the next restore must still see a
// deposit to any of the keys that lnd hands out from there on.
func scanLookAhead(lookAhead uint32) uint32 {
	return 2 * lookAhead
}

// families returns the scripts of a generation: its one static address, and the
// receive and change addresses of the multi-address scheme.
func (r *run) families(ctx context.Context, generation *Generation) (
	[]chainscan.Family, error) {

	descriptor, err := generation.Descriptor()
	if err != nil {
		return nil, err
	}

	families := []chainscan.Family{staticaddr.NewFixedFamily(descriptor)}
	for _, family := range generation.growing() {
		account, _, err := r.account(ctx, family)
		if err != nil {
			return nil, err
		}

		families = append(families, staticaddr.NewFamily(
			descriptor, family, account,
		))
	}

	return families, nil
}

// growing returns the families of a generation that grow with use.
func (g *Generation) growing() []int32 {
	return []int32{g.ReceiveFamily, g.ChangeFamily}
}

// advanceFamilies moves lnd's counters so that a rebuilt lnd hands out no key
// again: those of the growing families past the highest used index and the
// look-ahead, that of the legacy family past the restored index and a margin.
func (r *run) advanceFamilies(ctx context.Context, facts *Facts,
	coverage chainscan.Coverage) error {

	legacy := facts.Generation.locator()
	err := r.advanceKeys(
		ctx, facts, int32(legacy.Family), legacy.Index+1+r.KeyMargin,
	)
	if err != nil {
		return err
	}

	for _, family := range coverage.Families {
		if family.Fixed {
			continue
		}

		err := r.advanceKeys(
			ctx, facts, family.Family, family.Used+r.LookAhead,
		)
		if err != nil {
			return err
		}
	}

	return nil
}

// scanError turns a missing block into a stop: the node will not get it by
// itself. Every other error is passing.
func scanError(err error) error {
	var unavailable *chainscan.UnavailableError
	if !errors.As(err, &unavailable) {
		return err
	}

	return &BlockError{
		Reason: states.BlocksUnavailable,
		Detail: fmt.Sprintf("height %d, hash %v",
			unavailable.Block.Height, unavailable.Block.Hash),
		Err: unavailable.Err,
	}
}
