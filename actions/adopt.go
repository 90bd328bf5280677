package actions

import (
	"context"
	"fmt"

	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// adopt takes the generation of a rescan from what is in place, the paid token
// and the one address row. It needs no backup, and makes the checks that
// VerifyNetwork makes in a restore.
func (r *run) adopt(ctx context.Context, facts *Facts) error {
	found, descriptor, err := r.generationInPlace(ctx)
	if err != nil {
		return err
	}

	err = r.checkNetwork(ctx, found.Network)
	if err != nil {
		return err
	}

	err = r.checkClientKey(ctx, descriptor)
	if err != nil {
		return err
	}

	birthday, err := r.birthday(ctx, found)
	if err != nil {
		return err
	}

	facts.Generation = found
	facts.Birthday = birthday

	return nil
}

// generationInPlace returns the generation that token file and address row make
// up.
func (r *run) generationInPlace(ctx context.Context) (*Generation,
	staticaddr.Descriptor, error) {

	var none staticaddr.Descriptor

	probe, err := r.Tokens.Probe()
	if err != nil {
		return nil, none, err
	}
	if probe.Status != generation.TokenPaid {
		return nil, none, &BlockError{
			Reason: states.NothingToRescan,
			Detail: "no paid token in l402.token",
		}
	}

	rows, err := r.Rows.All(ctx)
	switch {
	case err != nil:
		return nil, none, err

	case len(rows) == 0:
		return nil, none, &BlockError{
			Reason: states.NothingToRescan,
			Detail: "no address in the database",
		}

	case len(rows) > 1:
		return nil, none, &BlockError{
			Reason: states.AddressConflict,
			Detail: fmt.Sprintf("%d address rows", len(rows)),
		}
	}

	descriptor := staticaddr.FromParameters(rows[0])
	found, err := newGeneration(
		r.Network, probe.Token.ID, probe.Token.Created, descriptor,
		r.Node.Params(),
	)

	return found, descriptor, err
}
