package actions

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/states"
)

// recreateAddress makes the generation's address known to lnd and to upstream's
// database. Its three effects are probed each on its own: lnd's key counter,
// lnd's watch on the script, and the address row. It ends by opening the gate.
func (r *run) recreateAddress(ctx context.Context, facts *Facts) (states.Event,
	error) {

	if facts.Birthday == 0 {
		err := r.adopt(ctx, facts)
		if err != nil {
			return "", err
		}
	}

	row, err := r.wantedRow(facts)
	if err != nil {
		return "", err
	}

	// A row that is in the way blocks before lnd is touched.
	_, err = r.checkRows(ctx, row)
	if err != nil {
		return "", err
	}

	locator := facts.Generation.locator()
	err = r.advanceKeys(
		ctx, facts, int32(locator.Family), locator.Index+1,
	)
	if err != nil {
		return "", err
	}
	failpoint.Hit(failpoint.RecreateAddressAfterAdvance)

	err = r.watchScript(ctx, facts)
	if err != nil {
		return "", err
	}

	err = r.createRow(ctx, facts, row)
	if err != nil {
		return "", err
	}
	r.Gate.Open()

	return states.Done, nil
}

// watchScript makes lnd's wallet watch the address. That the import was new is
// remembered from before it was made: from then on the wallet may be blind for
// the script.
func (r *run) watchScript(ctx context.Context, facts *Facts) error {
	descriptor, err := facts.Generation.Descriptor()
	if err != nil {
		return err
	}

	address, err := descriptor.Script(descriptor.ClientKey)
	if err != nil {
		return err
	}

	pkScript, err := address.StaticAddressScript()
	if err != nil {
		return err
	}

	err = r.Visibility.ImportIntent(ctx, pkScript)
	if err != nil {
		return err
	}

	isNew, err := r.Node.ImportScript(ctx, address)
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.RecreateAddressAfterImport)
	facts.Effects.ScriptImported = facts.Effects.ScriptImported || isNew

	return r.Visibility.ImportDone(ctx, pkScript, isNew)
}

// createRow inserts the address row if it is not there, and reads it back. The
// gate is closed before the row is written; until then the embedded daemon
// could have made an address of its own.
func (r *run) createRow(ctx context.Context, facts *Facts,
	row *script.Parameters) error {

	there, err := r.checkRows(ctx, row)
	if err != nil || there {
		return err
	}

	err = r.Gate.Close(ctx)
	if err != nil {
		return err
	}

	there, err = r.checkRows(ctx, row)
	if err != nil || there {
		return err
	}

	err = r.Rows.Create(ctx, row)
	if err != nil {
		return err
	}
	facts.Effects.RowCreated = true
	failpoint.Hit(failpoint.RecreateAddressAfterRow)

	there, err = r.checkRows(ctx, row)
	if err == nil && !there {
		err = errors.New("the address row is not there after it was " +
			"written")
	}

	return err
}

// checkRows reports whether the wanted row is in the database. Any other row
// blocks: upstream allows one static address only.
func (r *run) checkRows(ctx context.Context, wanted *script.Parameters) (bool,
	error) {

	rows, err := r.Rows.All(ctx)
	if err != nil {
		return false, err
	}

	for _, row := range rows {
		if sameRow(row, wanted) {
			continue
		}

		address, err := encodeAddress(row.PkScript, r.Node.Params())
		if err != nil {
			return false, err
		}

		return false, &BlockError{
			Reason: states.AddressConflict,
			Detail: address,
		}
	}

	if len(rows) > 1 {
		return false, &BlockError{
			Reason: states.AddressConflict,
			Detail: fmt.Sprintf("%d rows of one address",
				len(rows)),
		}
	}

	return len(rows) == 1, nil
}

// sameRow compares two address rows in all fields but InitiationHeight, which
// other software sets to the height of a restore.
func sameRow(a, b *script.Parameters) bool {
	return a.ClientPubkey.IsEqual(b.ClientPubkey) &&
		a.ServerPubkey.IsEqual(b.ServerPubkey) &&
		a.Expiry == b.Expiry &&
		bytes.Equal(a.PkScript, b.PkScript) &&
		a.KeyLocator == b.KeyLocator &&
		a.ProtocolVersion == b.ProtocolVersion
}
