package lndview

import (
	"bytes"
	"context"
	"slices"

	"github.com/looprecovery/looprecovery/chainscan"
)

// publishTrail is the number of blocks below the tip of a published scan whose
// hashes are read, so that the last common block of a reorg is found soon.
const publishTrail = 20

// InPlace names the scripts of the addresses in place. It is called at each
// start and each reconnect to lnd, before or while the embedded daemon is given
// its services. That lnd's wallet sees all that was ever paid to a script is
// proven by a scan from the birthday alone, and not by any memory of ours:
// until then every live row that lnd neither lists nor owns is provisional.
func (v *View) InPlace(ctx context.Context, scripts [][]byte) error {
	if err := v.take(ctx); err != nil {
		return err
	}
	defer v.give()

	places := slices.Clone(scripts)
	v.places.Store(&places)
	if err := v.reload(ctx); err != nil {
		return err
	}
	if !v.state.Load().Unproven {
		return nil
	}

	return v.commit(ctx, Change{Named: true})
}

// AddPlace names the script of an address that is about to be put in place.
func (v *View) AddPlace(ctx context.Context, pkScript []byte) error {
	if err := v.take(ctx); err != nil {
		return err
	}
	defer v.give()

	var places [][]byte
	if known := v.places.Load(); known != nil {
		places = slices.Clone(*known)
	}
	if !slices.ContainsFunc(places, func(place []byte) bool {
		return bytes.Equal(place, pkScript)
	}) {
		places = append(places, bytes.Clone(pkScript))
	}
	v.places.Store(&places)

	return nil
}

// Unproven returns the scripts in place that no scan has covered.
func (v *View) Unproven() [][]byte {
	places := v.places.Load()
	if places == nil {
		return nil
	}

	var unproven [][]byte
	state := v.state.Load()
	for _, pkScript := range *places {
		if !state.Scripts[string(pkScript)].Covered() {
			unproven = append(unproven, pkScript)
		}
	}

	return unproven
}

// allCovered says whether every address in place is known to be covered.
func (v *View) allCovered() bool {
	if v.has(trustsMemory) {
		return true
	}

	return v.places.Load() != nil && len(v.Unproven()) == 0
}

// lag notes why the chain is not followed to its tip, or with nil that it is.
func (v *View) lag(err error) {
	if err == nil {
		v.lagging.Store(nil)

		return
	}
	v.lagging.Store(&err)
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
// together, and covers the given scripts. All of them must have been tested by
// the scan. To publish the same run again changes nothing.
func (v *View) Publish(ctx context.Context, runID string, scripts [][]byte,
	result *chainscan.Result) error {

	if len(scripts) == 0 || runID == "" || result == nil {
		return ErrNoScripts
	}
	if err := v.take(ctx); err != nil {
		return err
	}
	defer v.give()

	covered := v.newlyCovered(scripts, runID)
	if len(covered) == 0 {
		return nil
	}

	// What is lost of it is proven again.
	_ = v.reload(ctx)
	change := v.publication(ctx, covered, result)
	if err := v.keep(ctx, change); err != nil {
		return err
	}
	log.Infof("Scan %v proved %d outputs of %d scripts at block %d", runID,
		len(change.Outputs), len(covered), result.Coverage.Tip.Height)

	return nil
}

// newlyCovered returns those of the given scripts that the run has not covered
// yet, with the run entered.
func (v *View) newlyCovered(scripts [][]byte, runID string) []Script {
	var covered []Script
	for _, pkScript := range scripts {
		script := v.script(pkScript)
		if script.Run == runID {
			continue
		}
		script.Blind, script.Pending, script.Run = true, false, runID
		covered = append(covered, script)
	}

	return covered
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
