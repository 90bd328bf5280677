package actions

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/states"
)

// Plan is what a restore would do if it were begun now.
type Plan struct {
	// Facts are what the states before the first effect find out.
	Facts Facts

	// Steps are what would be done, in order, as far as it is known.
	Steps []PlannedStep

	// Families are the key families that would be searched, and Tip is the
	// height that the search would reach now; zero if not known.
	Families []int32
	Tip      int32

	// ClosesGate says that the embedded daemon would be stopped for a
	// moment.
	ClosesGate bool

	// Obstacle is what would block the run, in the state At, or nil.
	Obstacle *BlockError
	At       states.State
}

// PlannedStep is one effect.
type PlannedStep struct {
	// State is the state that has it.
	State states.State

	// Sentence says what would be done, for a person.
	Sentence string

	// Changes says whether it would change anything; an effect that is
	// there already does not.
	Changes bool
}

// PlanRestore goes through a restore up to its first effect, and probes which
// of the effects are there already. It writes nothing and moves no counter of
// lnd, which may list a key family from then on that it had never used. What
// would block the run is part of the plan; an error is passing.
//
// That lnd's wallet watches the script already cannot be asked without
// importing it, so that this one effect is always announced.
func PlanRestore(ctx context.Context, deps Deps, request Request) (Plan,
	error) {

	r := newRun(deps, "")
	plan := Plan{Facts: Facts{Request: request}}

	for _, state := range states.RestoreTable().Path {
		work := r.planner(state)
		if work == nil {
			continue
		}

		err := work(ctx, &plan)
		switch {
		case errors.As(err, &plan.Obstacle):
			plan.At = state
			return plan, nil

		case err != nil:
			return plan, err
		}
	}

	return plan, nil
}

// planner returns what a state contributes to a plan, or nil. A state that has
// no effect is gone through as it is; the last one, which only judges what a
// scan found, has nothing to judge.
func (r *run) planner(state states.State) func(context.Context, *Plan) error {
	if work, ok := map[states.State]func(context.Context, *Plan) error{
		states.ImportToken:     r.planToken,
		states.RecreateAddress: r.planAddress,
		states.ScanDeposits:    r.planScan,
	}[state]; ok {
		return work
	}
	if state == states.Reconciled || states.RestoreTable().Row(
		state,
	).HasEffect() {

		return nil
	}

	return r.planStep(r.steps()[state])
}

// planStep turns a step that has no effect into a part of the plan.
func (r *run) planStep(work step) func(context.Context, *Plan) error {
	return func(ctx context.Context, plan *Plan) error {
		_, err := work(ctx, &plan.Facts)

		return err
	}
}

// announce adds an effect that is still to come.
func (p *Plan) announce(state states.State, sentence string, args ...any) {
	p.Steps = append(p.Steps, PlannedStep{
		State:    state,
		Sentence: fmt.Sprintf(sentence, args...),
		Changes:  true,
	})
}

// note adds something that changes nothing.
func (p *Plan) note(state states.State, sentence string, args ...any) {
	p.announce(state, sentence, args...)
	p.Steps[len(p.Steps)-1].Changes = false
}

// planToken probes the token file.
func (r *run) planToken(ctx context.Context, plan *Plan) error {
	content, err := r.open(ctx, plan.Facts.Located)
	if err != nil {
		return err
	}
	row, err := r.wantedRow(&plan.Facts)
	if err != nil {
		return err
	}
	probe, err := r.checkToken(ctx, sha256.Sum256(content.Token), row)
	if err != nil {
		return err
	}

	const state = states.ImportToken
	switch probe.Status {
	case generation.TokenPaid:
		plan.note(state, "the L402 token is in place already")
		return nil

	case generation.TokenUnreadable:
		plan.announce(state, "l402.token does not parse and would be "+
			"moved to set-aside/")
	}
	plan.announce(state, "l402.token would be written")
	plan.ClosesGate = true

	return nil
}

// planAddress probes lnd's key counter and the address row.
func (r *run) planAddress(ctx context.Context, plan *Plan) error {
	const state = states.RecreateAddress

	row, err := r.wantedRow(&plan.Facts)
	if err != nil {
		return err
	}
	there, err := r.checkRows(ctx, row)
	if err != nil {
		return err
	}

	locator := plan.Facts.Generation.locator()
	family := int32(locator.Family)
	_, next, err := r.account(ctx, family)
	if err != nil {
		return err
	}
	if wanted := locator.Index + 1; next < wanted {
		plan.announce(state, "%d keys of family %d would be derived, "+
			"so that lnd does not hand them out again",
			wanted-next, family)
	}
	plan.announce(state, "lnd's wallet would be told to watch %s, if it "+
		"does not", plan.Facts.Generation.Address)

	if there {
		plan.note(state, "the address is in the database already")
		return nil
	}
	plan.announce(state, "the address would be written to the database")
	plan.ClosesGate = true

	return nil
}

// planScan names what would be searched.
func (r *run) planScan(ctx context.Context, plan *Plan) error {
	const state = states.ScanDeposits

	tip, err := r.Chain.BestBlock(ctx)
	if err != nil {
		return err
	}
	plan.Tip = tip.Height

	wanted := plan.Facts.Generation
	legacy := wanted.locator()
	plan.Families = append(
		[]int32{int32(legacy.Family)}, wanted.growing()...,
	)
	plan.note(state, "blocks %d to %d would be searched for deposits",
		plan.Facts.Birthday, plan.Tip)

	_, next, err := r.account(ctx, int32(legacy.Family))
	if err != nil {
		return err
	}
	if target := legacy.Index + 1 + r.KeyMargin; next < target {
		plan.announce(state, "%d keys of family %d would be skipped: "+
			"swaps may have used them",
			target-max(next, legacy.Index+1), legacy.Family)
	}
	plan.announce(state, "the keys of families %d and %d that were used, "+
		"and %d more each, would be skipped", wanted.ReceiveFamily,
		wanted.ChangeFamily, r.LookAhead)

	return nil
}
