package actions

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/states"
)

// run holds what the actions of one run share. It keeps nothing else.
type run struct {
	Deps

	// id is the id of the run.
	id string
}

// step does the work of one state. It changes the facts as it goes, so that
// what did happen is reported even if it ends with an error.
type step func(ctx context.Context, facts *Facts) (states.Event, error)

// A state was entered without what an earlier one records. No table allows
// that.
var (
	errNoLocated    = errors.New("no backup file was located")
	errNoGeneration = errors.New("no generation is known")
	errNoCoverage   = errors.New("no scan has been finished")
)

// newRun returns a run with the defaults of the settings filled in.
func newRun(deps Deps, id string) *run {
	if deps.LookAhead == 0 {
		deps.LookAhead = chainscan.DefaultLookAhead
	}
	if deps.IndexBound == 0 {
		deps.IndexBound = DefaultIndexBound
	}

	return &run{Deps: deps, id: id}
}

// steps returns the work of every working state.
func (r *run) steps() map[states.State]step {
	return map[states.State]step{
		states.LocateBackup:    r.locateBackup,
		states.Decrypt:         r.decrypt,
		states.VerifyNetwork:   r.verifyNetwork,
		states.ImportToken:     r.importToken,
		states.RecreateAddress: r.recreateAddress,
		states.ScanDeposits:    r.scanDeposits,
		states.Reconciled:      r.reconciled,
	}
}

// Set returns the action of every working state, for one run.
func Set(deps Deps, runID string) map[states.State]Action {
	r := newRun(deps, runID)
	set := make(map[states.State]Action)
	for state, work := range r.steps() {
		set[state] = r.action(work)
	}

	return set
}

// action turns a step into an action. Every state talks to lnd, so that every
// action begins by making sure that it is the lnd of this run.
func (r *run) action(work step) Action {
	return func(ctx context.Context, facts Facts) (Outcome, error) {
		err := r.checkNode(ctx, &facts)
		if err != nil {
			return Outcome{Facts: facts}, err
		}

		event, err := work(ctx, &facts)
		if err != nil {
			forgetNode(&facts, err)

			return Outcome{Facts: facts}, err
		}

		return Outcome{Event: event, Facts: facts}, nil
	}
}

// forgetNode lets a run that is stopped before it has verified its lnd go on
// with another one: nothing was done with this one, and that it is the wrong
// one may be the very reason of the stop.
func forgetNode(facts *Facts, err error) {
	var block *BlockError
	if facts.Birthday == 0 && errors.As(err, &block) {
		facts.Node = ""
	}
}

// checkNode records the identity of lnd at the first contact of a run, and
// blocks the run if a later one finds another lnd. An lnd that was rebuilt from
// the same seed has the same identity.
func (r *run) checkNode(ctx context.Context, facts *Facts) error {
	identity, err := r.Node.Identity(ctx)
	if err != nil {
		return err
	}

	node := hex.EncodeToString(identity[:])
	switch facts.Node {
	case "":
		facts.Node = node

	case node:

	default:
		return &BlockError{
			Reason: states.WrongLnd,
			Detail: "began with " + facts.Node + ", found " + node,
		}
	}

	return nil
}
