package explore

import (
	"context"
	"encoding/base64"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// mutants are the worlds with the mistakes that somebody could make in actions
// or recoveryfsm: one too few or too many, too early, too late, in the wrong
// place, not at all.
func mutants() []*Broken {
	all := counterMutants()
	all = append(all, choiceMutants()...)
	all = append(all, orderMutants()...)
	all = append(all, errorMutants()...)

	return append(all, memoryMutants()...)
}

// counterMutants move lnd's counters wrongly, or look in the wrong place.
func counterMutants() []*Broken {
	settings := func(name string, change func(*actions.Deps)) *Broken {
		return brokenPorts(name, "restore",
			func(_ *scene, deps *actions.Deps) { change(deps) })
	}

	return []*Broken{
		settings("the margin is ignored", func(deps *actions.Deps) {
			deps.KeyMargin = 0
		}),
		settings("the margin is one too short",
			func(deps *actions.Deps) { deps.KeyMargin-- }),
		settings("the margin is one too long",
			func(deps *actions.Deps) { deps.KeyMargin++ }),
		settings("the look-ahead is one too short",
			func(deps *actions.Deps) { deps.LookAhead-- }),
		settings("the look-ahead is one too long",
			func(deps *actions.Deps) { deps.LookAhead++ }),
		settings("a scan looks ahead but once",
			func(deps *actions.Deps) {
				deps.Scanner = &brokenScanner{
					Scanner: deps.Scanner,
					request: func(r *actions.ScanRequest) {
						r.LookAhead = lookAhead
					},
				}
			}),
		settings("a counter is read one too high",
			func(deps *actions.Deps) {
				deps.Node = &brokenNode{
					Node: deps.Node,
					account: func(next uint32) uint32 {
						return next + 1
					},
				}
			}),
		settings("the wrong family is moved on", swapFamilies),
		settings("the birthday is too late", func(*actions.Deps) {}).
			with(afterState(states.VerifyNetwork, func(
				outcome *actions.Outcome) {

				outcome.Facts.Birthday = height + 2
			})),
		settings("the key index is one too high",
			func(*actions.Deps) {}).
			with(afterState(states.VerifyNetwork, shiftIndex)),
	}
}

// with gives a broken world broken actions, too.
func (b *Broken) with(change func(*scene, string,
	map[states.State]actions.Action)) *Broken {

	b.actions = change

	return b
}

// in moves a broken world to another scenario.
func (b *Broken) in(scenario string) *Broken {
	b.Scenario = scenario

	return b
}

// mutant returns a world with a broken action.
func mutant(name, scenario string, change func(*scene, string,
	map[states.State]actions.Action)) *Broken {

	return &Broken{Name: name, Scenario: scenario, actions: change}
}

// changeFunc changes the actions of a run.
type changeFunc = func(*scene, string, map[states.State]actions.Action)

// wrapState puts an action around that of a state.
func wrapState(state states.State, wrap func(*scene, actions.Action,
	context.Context, actions.Facts) (actions.Outcome, error)) changeFunc {

	return func(s *scene, _ string, set map[states.State]actions.Action) {
		right := set[state]
		set[state] = func(ctx context.Context, facts actions.Facts) (
			actions.Outcome, error) {

			return wrap(s, right, ctx, facts)
		}
	}
}

// afterState changes the outcome of a state that did its work.
func afterState(state states.State,
	change func(*actions.Outcome)) changeFunc {

	return wrapState(state, func(_ *scene, right actions.Action,
		ctx context.Context, facts actions.Facts) (actions.Outcome,
		error) {

		outcome, err := right(ctx, facts)
		if err == nil {
			change(&outcome)
		}

		return outcome, err
	})
}

// shiftIndex moves the index of the client key.
func shiftIndex(outcome *actions.Outcome) {
	moved := *outcome.Facts.Generation
	moved.KeyIndex++
	outcome.Facts.Generation = &moved
}

// swapFamilies moves the change family on where the receive family is meant.
func swapFamilies(deps *actions.Deps) {
	right := deps.Node
	moved := uint32(0)
	deps.Node = &brokenNode{
		Node: right,
		advance: func(ctx context.Context, family int32) (uint32,
			error) {

			if family != staticaddr.ReceiveFamily {
				return right.AdvanceKey(ctx, family)
			}
			_, err := right.AdvanceKey(
				ctx, staticaddr.ChangeFamily,
			)
			moved++

			return moved - 1, err
		},
	}
}

// choiceMutants restore something else than what was asked for.
func choiceMutants() []*Broken {
	forget := func(s *scene, right actions.Action, ctx context.Context,
		facts actions.Facts) (actions.Outcome, error) {

		asked := facts.Request
		facts.Request = actions.Request{}
		outcome, err := right(ctx, facts)
		outcome.Facts.Request = asked

		return outcome, err
	}
	first := func(s *scene, right actions.Action, ctx context.Context,
		facts actions.Facts) (actions.Outcome, error) {

		facts.Request.BackupFile = s.file
		return right(ctx, facts)
	}

	return []*Broken{
		mutant("the token that was asked for is ignored", "tokenid",
			wrapState(states.LocateBackup, forget)),
		mutant("the file that was asked for is ignored", "file",
			wrapState(states.LocateBackup, forget)),
		mutant("the file is not judged", "wrongfile",
			wrapState(states.LocateBackup, forget)),
		mutant("a conflict is not seen", "conflict",
			wrapState(states.LocateBackup, first)),
		mutant("an unknown index is taken for zero", "older",
			afterState(states.Decrypt, func(
				outcome *actions.Outcome) {

				guessed := *outcome.Facts.Generation
				guessed.IndexUnknown = false
				guessed.KeyIndex = 0
				outcome.Facts.Generation = &guessed
			})),
		mutant("an unreadable place hides the others", "unreadable",
			wrapState(states.LocateBackup, func(_ *scene,
				_ actions.Action, _ context.Context,
				facts actions.Facts) (actions.Outcome, error) {

				return actions.Outcome{Facts: facts},
					&actions.BlockError{
						Reason: states.PlaceUnreadable,
					}
			})),
	}
}

// orderMutants do something too early, too late, or without looking first.
func orderMutants() []*Broken {
	return []*Broken{
		mutant("a key is derived before anything was verified",
			"restore", wrapState(states.LocateBackup, deriveEarly)),
		mutant("the script is imported while the token is placed",
			"restore", wrapState(states.ImportToken, importEarly)),
		brokenPorts("the gate is opened with the token alone in place",
			"restore", openEarly),
		brokenPorts("the row is written beside the swap client",
			"tokenalone", func(_ *scene, deps *actions.Deps) {
				deps.Gate = &brokenGate{deps.Gate, true}
			}),
		brokenPorts("the rows are not probed", "restore",
			func(_ *scene, deps *actions.Deps) {
				deps.Rows = &blindRows{Rows: deps.Rows}
			}),
		brokenStep("an intent is saved after the effect", intendLate).
			forgetting(),
		brokenPorts("spends are not published", "restore",
			func(_ *scene, deps *actions.Deps) {
				deps.Visibility = &spendless{deps.Visibility}
			}),
	}
}

// forgetting makes a broken journal lose intents, too.
func (b *Broken) forgetting() *Broken {
	right := b.journal
	b.journal = func(s *scene, kept *store) recoveryfsm.Journal {
		journal := right(s, kept).(*brokenJournal)
		journal.forgets = true

		return journal
	}

	return b
}

// intendLate saves the intent right before the step that tells its outcome.
func intendLate(_ *scene, right *store) stepFunc {
	return func(ctx context.Context, run recoveryfsm.Run,
		event recoveryfsm.Event) error {

		before, err := right.Run(ctx, run.ID)
		if err != nil {
			return err
		}
		before.Acting = true
		if err := right.SaveIntent(ctx, before); err != nil {
			return err
		}

		return right.SaveStep(ctx, run, event)
	}
}

// deriveEarly derives a key that the run needs later, before it looked at
// anything.
func deriveEarly(s *scene, right actions.Action, ctx context.Context,
	facts actions.Facts) (actions.Outcome, error) {

	if s.Lnd.Next(staticaddr.LegacyFamily) == 0 {
		_, err := s.Lnd.AdvanceKey(ctx, staticaddr.LegacyFamily)
		if err != nil {
			return actions.Outcome{Facts: facts}, err
		}
		facts.Effects.KeysAdvanced = map[int32]uint32{
			staticaddr.LegacyFamily: 1,
		}
	}

	return right(ctx, facts)
}

// importEarly imports the script one state too early.
func importEarly(s *scene, right actions.Action, ctx context.Context,
	facts actions.Facts) (actions.Outcome, error) {

	if err := s.Visibility.ImportIntent(ctx, s.address); err != nil {
		return actions.Outcome{Facts: facts}, err
	}

	return right(ctx, facts)
}

// openEarly lets the embedded daemon run between token and row.
func openEarly(_ *scene, deps *actions.Deps) {
	right, gate := deps.Tokens, deps.Gate
	deps.Tokens = &brokenTokens{
		Tokens: right,
		place: func(token []byte) error {
			err := right.Place(token)
			gate.Open()

			return err
		},
	}
}

// blindRows shows no row until this process has written one.
type blindRows struct {
	actions.Rows

	written bool
}

// All implements actions.Rows.
func (r *blindRows) All(ctx context.Context) ([]*script.Parameters, error) {
	rows, err := r.Rows.All(ctx)
	if !r.written {
		rows = nil
	}

	return rows, err
}

// Create implements actions.Rows.
func (r *blindRows) Create(ctx context.Context, row *script.Parameters) error {
	err := r.Rows.Create(ctx, row)
	r.written = r.written || err == nil

	return err
}

// spendless publishes outputs without their spends.
type spendless struct {
	actions.Visibility
}

// Publish implements actions.Visibility.
func (v *spendless) Publish(ctx context.Context, id string,
	result *chainscan.Result) error {

	all := *result
	all.Outputs = nil
	for _, output := range result.Outputs {
		output.Spend = nil
		all.Outputs = append(all.Outputs, output)
	}

	return v.Visibility.Publish(ctx, id, &all)
}

// errorMutants take one kind of error for the other.
func errorMutants() []*Broken {
	var all []*Broken
	for _, state := range states.RestoreTable().Path {
		all = append(all, mutant("what passes blocks in "+string(state),
			"restore", wrapState(state, blockAnyway)))
	}

	return append(all,
		mutant("a stop is retried in "+string(states.LocateBackup),
			"conflict", passStop),
		mutant("a place that cannot be read is retried for ever",
			"noplace", passStop),
	)
}

// blockAnyway turns every error into a stop.
func blockAnyway(_ *scene, right actions.Action, ctx context.Context,
	facts actions.Facts) (actions.Outcome, error) {

	outcome, err := right(ctx, facts)
	if err != nil && ctx.Err() == nil {
		err = &actions.BlockError{
			Reason: states.KeyNotDerivable, Err: err,
		}
	}

	return outcome, err
}

// memoryMutants forget what was done, or tell what must not be told.
func memoryMutants() []*Broken {
	return []*Broken{
		brokenStep("a cancelled run forgets what was done",
			forgetOn(states.Cancel)),
		mutant("a state forgets what the one before did", "restore",
			wrapState(states.RecreateAddress, func(_ *scene,
				right actions.Action, ctx context.Context,
				facts actions.Facts) (actions.Outcome, error) {

				facts.Effects = actions.Effects{}

				return right(ctx, facts)
			})),
		brokenStep("what was done is not told", forgetOn(states.Done)),
		brokenStep("an interrupted run does not say so",
			func(_ *scene, right *store) stepFunc {
				return changedStep(right, func(
					run *recoveryfsm.Run,
					_ recoveryfsm.Event) {

					run.Facts.Effects.Unsaved = false
				})
			}),
		brokenStep("what is superseded had changed something",
			supersedeAnyway).in("wrongfile"),
		brokenStep("a secret is told in base64",
			func(s *scene, right *store) stepFunc {
				text := base64.URLEncoding.EncodeToString(
					append([]byte("x"), s.content.Token...),
				)

				return changedStep(right, func(
					run *recoveryfsm.Run,
					_ recoveryfsm.Event) {

					run.LastError = text
				})
			}),
	}
}

// changedStep saves a run that was changed.
func changedStep(right *store, change func(*recoveryfsm.Run,
	recoveryfsm.Event)) stepFunc {

	return func(ctx context.Context, run recoveryfsm.Run,
		event recoveryfsm.Event) error {

		change(&run, event)

		return right.SaveStep(ctx, run, event)
	}
}

// forgetOn loses what a run did when it makes a step of a kind.
func forgetOn(kind states.Event) func(*scene, *store) stepFunc {
	return func(_ *scene, right *store) stepFunc {
		return changedStep(right, func(run *recoveryfsm.Run,
			event recoveryfsm.Event) {

			if event.Event == kind {
				run.Facts.Effects = actions.Effects{}
			}
		})
	}
}

// supersedeAnyway lets a run that gives way have placed a token.
func supersedeAnyway(_ *scene, right *store) stepFunc {
	return changedStep(right, func(run *recoveryfsm.Run,
		event recoveryfsm.Event) {

		if event.Reason == states.Superseded {
			run.Facts.Effects.TokenPlaced = true
		}
	})
}
