package loopd

import (
	"context"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// awaitWallet waits while lnd is another one than the static address in the
// database was made with: swaps and deposits are of that one's wallet. That is
// asked at each start, since no memory of ours tells: the database may be
// shared, or have come from elsewhere. If it cannot be asked, the swap client
// starts.
func (d *Daemon) awaitWallet(ctx context.Context) error {
	wrong := false

	return d.untilReady(ctx, "lnd's wallet", func(
		ctx context.Context) error {

		err := d.checkWallet(ctx)
		reason, _ := states.PermanentReason(err)
		switch {
		case reason == states.WrongLnd:
			wrong = true
			d.node.Forget()

		case err != nil && !wrong:
			log.Warnf("Whether lnd has the wallet of the static "+
				"address is not known: %v", err)

			return nil
		}

		return err
	})
}

// checkWallet returns a permanent error if lnd does not have the client key of
// an address in the database.
func (d *Daemon) checkWallet(ctx context.Context) error {
	rows, err := d.database.All(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		owns, err := ownsKey(ctx, d.keys, row, d.deps.IndexBound)
		if err != nil {
			return err
		}
		if !owns {
			return &states.PermanentError{
				Reason: states.WrongLnd,
				Detail: "the static address in the database " +
					"was made with another lnd",
			}
		}
	}

	return nil
}

// ownsKey reports whether lnd derives the client key of a row: at its index,
// or, since another program may have written that one wrongly, at any other up
// to the bound.
func ownsKey(ctx context.Context, node actions.Node, row *script.Parameters,
	bound uint32) (bool, error) {

	key, err := node.DeriveKey(ctx, row.KeyLocator)
	if err != nil || key.IsEqual(row.ClientPubkey) {
		return err == nil, err
	}
	account, _, err := node.Account(ctx, int32(row.KeyLocator.Family))
	if err != nil {
		return false, err
	}
	_, found, err := staticaddr.FindKey(account, row.ClientPubkey, bound)

	return found, err
}
