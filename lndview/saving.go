package lndview

import (
	"context"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// saving is how the state stands to the ledger.
type saving struct {
	// loaded says that the ledger was read.
	loaded bool

	// behind says that the ledger lacks changes that the state has.
	behind bool

	// forgotten are publications that left the state since then.
	forgotten map[chainhash.Hash]bool
}

// reload reads the ledger, if that has not succeeded yet. Until it does no
// script is covered. The caller holds the turn.
func (v *View) reload(ctx context.Context) error {
	if v.saving.loaded {
		return nil
	}

	snapshot, err := v.cfg.Ledger.Load(ctx)
	if err != nil {
		err = &LedgerError{Err: err}
		v.trouble(err)

		return err
	}

	// What was learned meanwhile are publications, which are saved with
	// the next answer.
	learned := slices.Collect(maps.Values(v.state.Load().Publications))
	v.inboxMu.Lock()
	v.inbox = append(v.inbox, learned...)
	v.inboxMu.Unlock()

	v.saving.loaded = true
	v.state.Store(snapshot)
	v.trouble(nil)

	return nil
}

// mend brings state and ledger together again, if one lacks something and the
// ledger works. An answer is right in either case, so that an error is noted
// only. The caller holds the turn.
func (v *View) mend(ctx context.Context) {
	if err := v.reload(ctx); err != nil || !v.saving.behind {
		return
	}
	_ = v.save(ctx, Change{}, v.state.Load())
}

// commit stores a change in the ledger and then in the state, or in neither. It
// is for what must not be forgotten. The caller holds the turn.
func (v *View) commit(ctx context.Context, change Change) error {
	if err := v.reload(ctx); err != nil {
		return err
	}
	next, err := v.applied(change)
	if err != nil {
		return err
	}
	if err := v.save(ctx, change, next); err != nil {
		return err
	}
	v.state.Store(next)

	return nil
}

// keep stores a change in the state, and in the ledger if that can be written.
// It is for what the chain and lnd tell again after a restart: a ledger in
// trouble must not keep the embedded daemon from its answers. The caller holds
// the turn.
func (v *View) keep(ctx context.Context, change Change) error {
	next, err := v.applied(change)
	if err != nil {
		return err
	}
	if v.saving.loaded {
		err := v.save(ctx, change, next)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			return v.remember(change)
		}
	}
	v.state.Store(next)

	return nil
}

// remember stores a change in the state alone.
func (v *View) remember(change Change) error {
	next, err := v.applied(change)
	if err != nil {
		return err
	}
	v.fellBehind(change)
	v.state.Store(next)

	return nil
}

// applied returns the state with a change.
func (v *View) applied(change Change) (*Snapshot, error) {
	next := v.state.Load().Clone()

	return next, next.Apply(change)
}

// save stores a change in the ledger, or all of the state that it leads to if
// the ledger lacks an earlier one.
func (v *View) save(ctx context.Context, change Change, next *Snapshot) error {
	if v.saving.behind {
		for _, txID := range change.Forget {
			v.saving.forgotten[txID] = true
		}
		change = next.whole(v.saving.forgotten)
	}
	err := v.cfg.Ledger.Commit(ctx, change)
	if err != nil {
		err = &LedgerError{Err: err}
		v.trouble(err)

		return err
	}
	v.saving.behind, v.saving.forgotten = false, nil
	v.trouble(nil)

	return nil
}

// fellBehind notes that the ledger lacks a change.
func (v *View) fellBehind(change Change) {
	if v.saving.forgotten == nil {
		v.saving.forgotten = make(map[chainhash.Hash]bool)
	}
	v.saving.behind = true
	for _, txID := range change.Forget {
		v.saving.forgotten[txID] = true
	}
}

// trouble notes, and logs once, that the ledger cannot be read or written, or,
// with nil, that it can again.
func (v *View) trouble(err error) {
	var now *error
	if err != nil {
		now = &err
	}
	before := v.troubled.Swap(now)
	switch {
	case err != nil && before == nil:
		log.Errorf("What lnd's wallet cannot see is kept in memory "+
			"until the ledger works again: %v", err)

	case err == nil && before != nil:
		log.Infof("The ledger works again")
	}
}

// whole returns the change that makes a ledger, whatever it holds of the same
// scripts, hold this snapshot.
func (s *Snapshot) whole(forgotten map[chainhash.Hash]bool) Change {
	change := Change{
		ClearTrail:   true,
		Outputs:      slices.Collect(maps.Values(s.Outputs)),
		Blocks:       s.Trail,
		Scripts:      slices.Collect(maps.Values(s.Scripts)),
		Publications: slices.Collect(maps.Values(s.Publications)),
		Named:        !s.Unproven,
	}
	for _, script := range s.Scripts {
		change.Replace = append(change.Replace, script.PkScript)
	}
	for txID := range forgotten {
		if _, ok := s.Publications[txID]; !ok {
			change.Forget = append(change.Forget, txID)
		}
	}

	return change
}
