package lndview

import (
	"bytes"
	"context"
	"errors"

	"github.com/looprecovery/looprecovery/chainscan"
)

// publishTrail is the number of blocks below the tip of a published scan whose
// hashes are read, so that the last common block of a reorg is found soon.
const publishTrail = 20

// ImportIntent is saved before a script is imported: from now until ImportDone
// the wallet counts as blind for it. If it cannot be saved the error is a
// *LedgerError: the script must not be imported then, and the wallet counts as
// blind for it all the same, since whether lnd watches it is not known.
func (v *View) ImportIntent(ctx context.Context, pkScript []byte) error {
	return v.intent(ctx, pkScript, false)
}

// RecoveryIntent is ImportIntent for a recovery: the wallet counts as blind for
// the script until a scan has ended, whatever comes of the import. That the
// wallet knows the script may be the work of an earlier recovery, after which
// the ledger was lost together with the rest of the directory.
func (v *View) RecoveryIntent(ctx context.Context, pkScript []byte) error {
	return v.intent(ctx, pkScript, true)
}

// intent saves the intent to import a script.
func (v *View) intent(ctx context.Context, pkScript []byte,
	blind bool) error {

	if err := v.take(ctx); err != nil {
		return err
	}
	defer v.give()

	script := v.script(pkScript)

	// An intent without an outcome: the import may have been carried out,
	// and then the next one will find the script known.
	begun := script.Pending && !v.saving.unintended[string(pkScript)]
	if begun || blind {
		script.Blind = true
	}
	script.Pending = true
	change := Change{Scripts: []Script{script}}

	err := v.commit(ctx, change)
	var unsaved *LedgerError
	switch {
	case err == nil:
		delete(v.saving.unintended, string(pkScript))

	case errors.As(err, &unsaved) && ctx.Err() == nil:
		err = errors.Join(err, v.unintended(change, begun))
	}

	return err
}

// unintended notes that an intent to import could not be saved. Unless an
// earlier one was begun the script was not imported by us.
func (v *View) unintended(intent Change, begun bool) error {
	if v.saving.unintended == nil {
		v.saving.unintended = make(map[string]bool)
	}
	if !begun {
		key := string(intent.Scripts[0].PkScript)
		v.saving.unintended[key] = true
	}

	return v.remember(intent)
}

// ImportDone records whether the script was new to the wallet.
func (v *View) ImportDone(ctx context.Context, pkScript []byte,
	isNew bool) error {

	if err := v.take(ctx); err != nil {
		return err
	}
	defer v.give()

	script := v.script(pkScript)
	script.Pending = false
	script.Blind = script.Blind || isNew
	if isNew && !script.Covered() {
		log.Warnf("lnd's wallet is blind for the static address %x "+
			"until a scan has ended", pkScript)
	}

	return v.commit(ctx, Change{Scripts: []Script{script}})
}

// Distrust is called at each start with the scripts of the addresses in place,
// before the embedded daemon is given its services. If a ledger before this one
// was lost, lnd's wallet counts as blind for these scripts from now on, until a
// scan has ended, and for no other; otherwise nothing changes.
func (v *View) Distrust(ctx context.Context, scripts [][]byte) error {
	if err := v.take(ctx); err != nil {
		return err
	}
	defer v.give()

	if err := v.reload(ctx); err != nil {
		return err
	}
	state := v.state.Load()
	if !state.Unproven {
		return nil
	}

	change := Change{Named: true}
	for _, pkScript := range scripts {
		script := v.script(pkScript)
		if script.Covered() {
			continue
		}
		script.Blind = true
		change.Scripts = append(change.Scripts, script)
	}

	return v.commit(ctx, change)
}

// script returns the record of a script, or a new one.
func (v *View) script(pkScript []byte) Script {
	script, ok := v.state.Load().Scripts[string(pkScript)]
	if !ok {
		script.PkScript = bytes.Clone(pkScript)
	}

	return script
}

// Publish takes over the outcome of a finished scan, outputs and spends
// together, and ends the blindness for the given scripts. All of them must have
// been tested by the scan. A script for which lnd's own answer stands is left
// alone. To publish the same run again changes nothing.
func (v *View) Publish(ctx context.Context, runID string, scripts [][]byte,
	result *chainscan.Result) error {

	if len(scripts) == 0 || runID == "" || result == nil {
		return ErrNoScripts
	}
	if err := v.take(ctx); err != nil {
		return err
	}
	defer v.give()

	covered := v.blindScripts(scripts, runID)
	if len(covered) == 0 {
		return nil
	}

	change := v.publication(ctx, covered, result)
	if err := v.commit(ctx, change); err != nil {
		return err
	}
	log.Infof("Scan %v proved %d outputs of %d scripts at block %d", runID,
		len(change.Outputs), len(covered), result.Coverage.Tip.Height)

	return nil
}

// blindScripts returns those of the given scripts that lnd's wallet is blind
// for and that the run has not covered yet, with the run entered.
func (v *View) blindScripts(scripts [][]byte, runID string) []Script {
	var blind []Script
	for _, pkScript := range scripts {
		script := v.script(pkScript)
		if !v.state.Load().speaks(pkScript) || script.Run == runID {
			continue
		}
		script.Blind, script.Run = true, runID
		blind = append(blind, script)
	}

	return blind
}

// publication returns the change that a finished scan makes. All covered
// scripts share one cursor. If the scan tells them all, its tip becomes the
// cursor; otherwise the cursor is the lower one of the two, and the blocks
// above it are walked again for all.
func (v *View) publication(ctx context.Context, covered []Script,
	result *chainscan.Result) Change {

	var (
		tip    = result.Coverage.Tip
		top    = tip.Height
		state  = v.state.Load()
		change = Change{Scripts: covered}
	)
	for i := range covered {
		covered[i].Birthday = result.Coverage.Birthday
		change.Replace = append(change.Replace, covered[i].PkScript)
	}

	cursor, followed := state.Cursor()
	switch {
	case !followed || !othersCovered(state, covered):
		change.ClearTrail = true
		change.Blocks = v.ancestors(ctx, tip)

	case cursor.Height <= tip.Height:
		top = cursor.Height

	default:
		change.RollbackTo = &tip
	}

	for _, script := range covered {
		change.Outputs = append(
			change.Outputs, outputsUpTo(result, script, top)...,
		)
	}

	return change
}

// othersCovered says whether a script outside the given ones is covered.
func othersCovered(state *Snapshot, scripts []Script) bool {
	given := make(map[string]bool, len(scripts))
	for _, script := range scripts {
		given[string(script.PkScript)] = true
	}
	for pkScript, script := range state.Scripts {
		if script.Covered() && !given[pkScript] {
			return true
		}
	}

	return false
}

// outputsUpTo returns the outputs of one script, as they were at a height.
func outputsUpTo(result *chainscan.Result, script Script,
	top int32) []chainscan.Output {

	var outputs []chainscan.Output
	for _, output := range result.Outputs {
		if output.Block.Height > top ||
			!bytes.Equal(output.PkScript, script.PkScript) {

			continue
		}
		if output.Spend != nil && output.Spend.Block.Height > top {
			output.Spend = nil
		}
		outputs = append(outputs, output)
	}

	return outputs
}

// ancestors returns the last blocks up to a block, ascending. If the block left
// the best chain, or the node does not answer, it is the block alone.
func (v *View) ancestors(ctx context.Context,
	tip chainscan.BlockStamp) []chainscan.BlockStamp {

	alone := []chainscan.BlockStamp{tip}
	first := max(tip.Height-publishTrail+1, 0)

	// The heights are read upwards: if the block itself is still on the
	// best chain when it is read last, so were its ancestors.
	var blocks []chainscan.BlockStamp
	for height := first; height <= tip.Height; height++ {
		hash, err := v.cfg.Chain.BlockHash(ctx, height)
		if err != nil {
			return alone
		}
		blocks = append(blocks, chainscan.BlockStamp{
			Height: height, Hash: hash,
		})
	}
	if blocks[len(blocks)-1] != tip {
		return alone
	}

	return blocks
}
