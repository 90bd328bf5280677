package lndview

import (
	"context"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
)

// PublicationLife is the number of blocks for which a transaction that lnd
// accepted from us, but never listed, hides the outputs it spends.
const PublicationLife = 6

// published records that lnd accepted a transaction. It does not wait for the
// turn: somebody who publishes has a deadline. A publication that cannot be
// saved is kept in memory.
func (v *View) published(ctx context.Context, tx *wire.MsgTx) {
	if !v.concerns(tx) {
		return
	}

	publication := Publication{
		TxID:  tx.TxHash(),
		RawTx: serialize(tx),
	}
	for _, in := range tx.TxIn {
		publication.Inputs = append(
			publication.Inputs, in.PreviousOutPoint,
		)
	}

	v.inboxMu.Lock()
	v.inbox = append(v.inbox, publication)
	for _, in := range publication.Inputs {
		delete(v.shown, in)
	}
	v.inboxMu.Unlock()

	// The effect is there already, so it is saved even if the caller has
	// gone.
	err := v.cfg.Ledger.Commit(context.WithoutCancel(ctx), Change{
		Publications: []Publication{publication},
	})
	if err != nil {
		log.Warnf("Unable to save that transaction %v was published; "+
			"it is tried again with the next answer: %v",
			publication.TxID, err)
	}
}

// publishes notes that lnd is asked to publish a transaction, until the
// function that it returns is called. Its inputs count as unspent meanwhile if
// the last answer had them: one that is published again does not come back.
func (v *View) publishes(tx *wire.MsgTx) func() {
	v.inboxMu.Lock()
	defer v.inboxMu.Unlock()

	var inputs []wire.OutPoint
	for _, in := range tx.TxIn {
		if v.shown[in.PreviousOutPoint] {
			inputs = append(inputs, in.PreviousOutPoint)
			v.outgoing[in.PreviousOutPoint]++
		}
	}

	return func() {
		v.inboxMu.Lock()
		defer v.inboxMu.Unlock()

		for _, outPoint := range inputs {
			v.outgoing[outPoint]--
			if v.outgoing[outPoint] == 0 {
				delete(v.outgoing, outPoint)
			}
		}
	}
}

// show notes which outputs an answer has.
func (v *View) show(result *answer) {
	shown := maps.Clone(result.listed)
	for _, output := range result.unspent {
		shown[output.outPoint] = true
	}

	v.inboxMu.Lock()
	defer v.inboxMu.Unlock()

	for _, publication := range v.inbox {
		for _, in := range publication.Inputs {
			delete(shown, in)
		}
	}
	v.shown = shown
}

// publishing returns the outputs that lnd is being asked to spend.
func (v *View) publishing() map[wire.OutPoint]bool {
	v.inboxMu.Lock()
	defer v.inboxMu.Unlock()

	outPoints := make(map[wire.OutPoint]bool, len(v.outgoing))
	if v.has(absentIsGone) {
		return outPoints
	}
	for outPoint := range v.outgoing {
		outPoints[outPoint] = true
	}

	return outPoints
}

// waits says whether there is a spend of ours that is waited for.
func (v *View) waits() bool {
	v.inboxMu.Lock()
	defer v.inboxMu.Unlock()

	return len(v.inbox)+len(v.state.Load().Publications) > 0
}

// concerns says whether a transaction can spend an output that the View stands
// for. While rows of the database count, which it cannot know without waiting,
// every transaction can.
func (v *View) concerns(tx *wire.MsgTx) bool {
	state := v.state.Load()
	if !v.allCovered() {
		return true
	}
	for _, in := range tx.TxIn {
		if _, ok := state.Outputs[in.PreviousOutPoint]; ok {
			return true
		}
	}

	return false
}

// settlePublications takes new publications into account and forgets those that
// hide nothing any more. The caller holds the turn, and lnd's transactions are
// those at the tip.
func (v *View) settlePublications(ctx context.Context, tip chainscan.BlockStamp,
	wallet *walletTxs, candidates []standing) error {

	if err := v.drain(ctx); err != nil {
		return err
	}

	standsFor := make(map[wire.OutPoint]bool, len(candidates))
	for _, candidate := range candidates {
		standsFor[candidate.outPoint] = true
	}

	var (
		change Change
		state  = v.state.Load()
	)
	for _, publication := range state.Publications {
		next, keep := publication.age(state, tip, wallet, standsFor)
		switch {
		case !keep:
			change.Forget = append(change.Forget, publication.TxID)

		case next.Height != publication.Height ||
			next.Listed != publication.Listed:

			change.Publications = append(change.Publications, next)
		}
	}
	if len(change.Forget)+len(change.Publications) == 0 {
		return nil
	}

	return v.keep(ctx, change)
}

// drain moves new publications into the state.
func (v *View) drain(ctx context.Context) error {
	v.inboxMu.Lock()
	fresh := slices.Clone(v.inbox)
	v.inboxMu.Unlock()

	if len(fresh) == 0 {
		return nil
	}
	if err := v.keep(ctx, Change{Publications: fresh}); err != nil {
		return err
	}

	v.inboxMu.Lock()
	v.inbox = slices.Delete(v.inbox, 0, len(fresh))
	v.inboxMu.Unlock()

	return nil
}

// age returns the publication as it is at a tip, and whether it can still hide
// an output. See rule 3 of the package documentation.
func (p Publication) age(state *Snapshot, tip chainscan.BlockStamp,
	wallet *walletTxs, standsFor map[wire.OutPoint]bool) (Publication,
	bool) {

	if p.Height == 0 {
		p.Height = tip.Height
	}

	listed := wallet.txIDs[p.TxID]
	switch {
	// It spends nothing that we stand for, because it confirmed or was of
	// no concern from the beginning.
	case !slices.ContainsFunc(p.Inputs, func(in wire.OutPoint) bool {
		return standsFor[in]
	}):
		return p, false

	case conflicted(state, p.TxID, p.Inputs):
		return p, false

	// Abandoned, or refused at a rebroadcast.
	case p.Listed && !listed:
		return p, false

	case !listed && tip.Height-p.Height >= PublicationLife:
		return p, false
	}
	p.Listed = listed

	return p, true
}
