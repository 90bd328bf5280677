package actions

import (
	"context"
	"errors"
	"fmt"

	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// verifyNetwork makes sure that the backup, lnd's seed and lnd's chain belong
// together, and fixes the birthday of the scan. It has no effect.
func (r *run) verifyNetwork(ctx context.Context, facts *Facts) (states.Event,
	error) {

	if facts.Generation == nil {
		return "", errNoGeneration
	}

	// The facts share their pointers with the caller's.
	generation := *facts.Generation

	birthday, err := r.verify(ctx, &generation)
	if err != nil {
		return "", named(facts.Located, err)
	}

	facts.Generation = &generation
	facts.Birthday = birthday

	return states.Done, nil
}

// verify makes the checks, completes the generation and returns the birthday.
func (r *run) verify(ctx context.Context, generation *Generation) (int32,
	error) {

	err := r.checkNetwork(ctx, generation.Network)
	if err != nil {
		return 0, err
	}

	err = r.findIndex(ctx, generation)
	if err != nil {
		return 0, err
	}

	descriptor, err := generation.Descriptor()
	if err != nil {
		return 0, err
	}

	err = r.checkClientKey(ctx, descriptor)
	if err != nil {
		return 0, err
	}

	return r.birthday(ctx, generation)
}

// named adds the file that is restored to what a stop is about: the next file
// may be the right one.
func named(located *Located, err error) error {
	var block *BlockError
	if located == nil || !errors.As(err, &block) {
		return err
	}
	about := *block
	about.Detail = located.Path + ": " + block.Detail

	return &about
}

// checkNetwork makes sure that a generation of the named network is at home on
// the chain that lnd follows.
func (r *run) checkNetwork(ctx context.Context, network string) error {
	if network != r.Network {
		return &BlockError{
			Reason: states.OtherNetwork,
			Detail: fmt.Sprintf("the backup is of %s, loopd runs "+
				"on %s", network, r.Network),
		}
	}

	genesis, err := r.Chain.BlockHash(ctx, 0)
	if err != nil {
		return err
	}

	if wanted := *r.Node.Params().GenesisHash; genesis != wanted {
		return &BlockError{
			Reason: states.OtherGenesis,
			Detail: fmt.Sprintf("genesis block %v instead of %v",
				genesis, wanted),
		}
	}

	return nil
}

// checkClientKey makes sure that lnd derives the client key of a generation. A
// call that fails is no answer: it is passing and never taken for another seed.
func (r *run) checkClientKey(ctx context.Context,
	descriptor staticaddr.Descriptor) error {

	locator := descriptor.ClientLocator
	key, err := r.Node.DeriveKey(ctx, locator)
	if err != nil {
		return err
	}

	if !key.IsEqual(descriptor.ClientKey) {
		return &BlockError{
			Reason: states.KeyNotDerivable,
			Detail: fmt.Sprintf("key family %d, index %d",
				locator.Family, locator.Index),
		}
	}

	return nil
}
