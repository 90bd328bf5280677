package actions

import (
	"context"
	"fmt"

	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// findIndex completes a generation from a backup of the older format, which
// holds the client key but not its index: the key is looked for among the keys
// of its family, derived locally.
func (r *run) findIndex(ctx context.Context, generation *Generation) error {
	if !generation.IndexUnknown {
		return nil
	}

	client, err := decodeKey(generation.ClientKey)
	if err != nil {
		return err
	}

	account, _, err := r.account(ctx, generation.KeyFamily)
	if err != nil {
		return err
	}

	index, found, err := staticaddr.FindKey(
		account, client, r.IndexBound,
	)
	switch {
	case err != nil:
		return err

	case !found:
		return &BlockError{
			Reason: states.KeyNotDerivable,
			Detail: fmt.Sprintf("key family %d, searched up to "+
				"index %d", generation.KeyFamily,
				r.IndexBound),
		}
	}
	generation.KeyIndex = index
	generation.IndexUnknown = false

	return nil
}
