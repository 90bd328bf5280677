package explore

import (
	"context"
	"encoding/hex"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/doctor"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

// stepFunc saves a step in a broken way.
type stepFunc func(context.Context, recoveryfsm.Run, recoveryfsm.Event) error

// brokenJournal is a journal that saves intents or steps in a broken way.
type brokenJournal struct {
	*store

	forgets bool
	step    stepFunc
}

// SaveIntent implements recoveryfsm.Journal.
func (j *brokenJournal) SaveIntent(ctx context.Context,
	run recoveryfsm.Run) error {

	if j.forgets {
		return nil
	}

	return j.store.SaveIntent(ctx, run)
}

// SaveStep implements recoveryfsm.Journal.
func (j *brokenJournal) SaveStep(ctx context.Context, run recoveryfsm.Run,
	event recoveryfsm.Event) error {

	if j.step != nil {
		return j.step(ctx, run, event)
	}

	return j.store.SaveStep(ctx, run, event)
}

// brokenStep returns a world whose journal saves steps in a broken way.
func brokenStep(name string,
	step func(*scene, *store) stepFunc) *Broken {

	return &Broken{
		Name: name, Scenario: "restore",
		journal: func(s *scene, right *store) recoveryfsm.Journal {
			return &brokenJournal{
				store: right, step: step(s, right),
			}
		},
	}
}

// brokenJournals are the worlds whose journal is broken.
func brokenJournals() []*Broken {
	return []*Broken{
		{
			Name: "intents are not saved", Scenario: "restore",
			journal: func(_ *scene,
				right *store) recoveryfsm.Journal {

				return &brokenJournal{
					store: right, forgets: true,
				}
			},
		},
		brokenStep("an event is lost", loseEvent),
		brokenStep("an event is stored twice", doubleEvent),
		brokenStep("a failed save is taken for done", loseStep),
		brokenStep("the result is not saved", loseResult),
		brokenStep("a secret is told in an event", tellSecret),
	}
}

// loseEvent saves a step without its event.
func loseEvent(_ *scene, right *store) stepFunc {
	return func(ctx context.Context, run recoveryfsm.Run,
		event recoveryfsm.Event) error {

		if event.To == states.ImportToken {
			return right.replace(ctx, run, event.Position())
		}

		return right.SaveStep(ctx, run, event)
	}
}

// doubleEvent saves an event twice.
func doubleEvent(_ *scene, right *store) stepFunc {
	return func(ctx context.Context, run recoveryfsm.Run,
		event recoveryfsm.Event) error {

		err := right.SaveStep(ctx, run, event)
		if err == nil && event.To == states.ImportToken {
			right.events[run.ID] = append(
				right.events[run.ID], event,
			)
		}

		return err
	}
}

// loseStep saves nothing and says that it did.
func loseStep(_ *scene, right *store) stepFunc {
	return func(ctx context.Context, run recoveryfsm.Run,
		event recoveryfsm.Event) error {

		if event.To == states.ScanDeposits {
			return nil
		}

		return right.SaveStep(ctx, run, event)
	}
}

// loseResult saves a step without the summary.
func loseResult(_ *scene, right *store) stepFunc {
	return func(ctx context.Context, run recoveryfsm.Run,
		event recoveryfsm.Event) error {

		run.Facts.Summary = nil

		return right.SaveStep(ctx, run, event)
	}
}

// tellSecret puts the preimage into an event.
func tellSecret(s *scene, right *store) stepFunc {
	return func(ctx context.Context, run recoveryfsm.Run,
		event recoveryfsm.Event) error {

		event.Detail = hex.EncodeToString(
			preimage(s.content.Token),
		)

		return right.SaveStep(ctx, run, event)
	}
}

// brokenActions are the worlds in which an action is broken.
func brokenActions() []*Broken {
	return []*Broken{
		{
			Name:     "a reorganisation is made up",
			Scenario: "restore", actions: inventReorg(),
		},
		{
			Name:     "the result tells the id of the run",
			Scenario: "restore", actions: tellRun,
		},
		{
			Name:     "a stop is taken for a passing error",
			Scenario: "otherseed", actions: passStop,
		},
		{
			Name:     "the coverage of a scan is not looked at",
			Scenario: "restore", actions: trustScan,
			deps: func(_ *scene, deps *actions.Deps) {
				deps.Scanner = &brokenScanner{
					Scanner: deps.Scanner,
					request: cutFamilies,
				}
			},
		},
		{
			Name:     "a foreign seed is not told",
			Scenario: "otherseed", actions: trustKey,
			deps: func(_ *scene, deps *actions.Deps) {
				deps.Backups = known().Backups
			},
		},
	}
}

// passStop tells every stop as an error that passes by itself.
func passStop(_ *scene, _ string, set map[states.State]actions.Action) {
	for state, right := range set {
		set[state] = func(ctx context.Context, facts actions.Facts) (
			actions.Outcome, error) {

			outcome, err := right(ctx, facts)
			if err != nil {
				err = errCall
			}

			return outcome, err
		}
	}
}

// trustScan takes any scan for a complete one.
func trustScan(s *scene, id string, set map[states.State]actions.Action) {
	right := set[states.Reconciled]
	set[states.Reconciled] = func(ctx context.Context,
		facts actions.Facts) (actions.Outcome, error) {

		outcome, err := right(ctx, facts)
		if err == nil {
			return outcome, nil
		}
		_, found := s.Scanner.Stored(id)
		outcome.Event = states.Done
		outcome.Facts.Summary = []byte(jsonText(actions.Summary{
			Outputs: doctor.Summarize(found),
		}))

		return outcome, nil
	}
}

// inventReorg leads a run back once.
func inventReorg() func(*scene, string, map[states.State]actions.Action) {
	return func(s *scene, _ string, set map[states.State]actions.Action) {
		right := set[states.Reconciled]
		set[states.Reconciled] = func(ctx context.Context,
			facts actions.Facts) (actions.Outcome, error) {

			if _, done := s.Disk.Read(markPath); !done {
				s.Disk.Write(markPath, []byte("once"))

				return actions.Outcome{
					Event: states.Reorged, Facts: facts,
				}, nil
			}

			return right(ctx, facts)
		}
	}
}

// tellRun puts the run's id into the summary.
func tellRun(_ *scene, id string, set map[states.State]actions.Action) {
	right := set[states.Reconciled]
	set[states.Reconciled] = func(ctx context.Context,
		facts actions.Facts) (actions.Outcome, error) {

		outcome, err := right(ctx, facts)
		if text := outcome.Facts.Summary; len(text) > 0 {
			outcome.Facts.Summary = append(
				[]byte(`{"run":"`+id+`",`), text[1:]...,
			)
		}

		return outcome, err
	}
}

// trustKey takes any backup for one of this seed.
func trustKey(_ *scene, _ string, set map[states.State]actions.Action) {
	right := set[states.VerifyNetwork]
	set[states.VerifyNetwork] = func(ctx context.Context,
		facts actions.Facts) (actions.Outcome, error) {

		outcome, err := right(ctx, facts)
		if err != nil {
			outcome.Event, outcome.Facts.Birthday = states.Done, 1
		}

		return outcome, nil
	}
}
