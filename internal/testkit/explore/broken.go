package explore

import (
	"fmt"
	"slices"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/testkit/doctor"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

// Broken is a world with one part that breaks a promise. It shows that the
// exploration would notice.
type Broken struct {
	// Name says what is broken.
	Name string

	// Scenario is the name of the scenario that shows it.
	Scenario string

	// journal, deps, actions and checkpoint, if set, put the broken part in
	// the place of, or before, the right one.
	journal    func(*scene, *store) recoveryfsm.Journal
	deps       func(*scene, *actions.Deps)
	actions    func(*scene, string, map[states.State]actions.Action)
	checkpoint func(chainscan.Checkpoint) chainscan.Checkpoint
}

// BrokenWorlds returns all worlds with a broken part.
func BrokenWorlds() []*Broken {
	return slices.Concat(
		brokenJournals(), brokenActions(), brokenFiles(), brokenLnds(),
		brokenScans(), brokenGates(), mutants(),
	)
}

// Catch tries the schedules of a broken world, none and one fault, until one
// shows that something is broken, and returns that and the number of schedules
// run.
func Catch(broken *Broken) (*Failure, int) {
	scenario, ok := scenarioNamed(broken.Scenario)
	if !ok {
		panic("no scenario " + broken.Scenario)
	}
	plain := run(scenario, nil, nil)

	whole := judged(scenario, broken, plain, nil)
	count := 1
	if len(whole.Findings) > 0 {
		return broken.failure(nil, whole), count
	}
	for _, fault := range whole.trace.faults() {
		faults := []Fault{fault}
		result := judged(scenario, broken, plain, faults)
		count++
		if len(result.Findings) > 0 {
			return broken.failure(faults, result), count
		}
	}

	return nil, count
}

// failure returns a schedule that shows that something is broken.
func (b *Broken) failure(faults []Fault, result Result) *Failure {
	return &Failure{
		Scenario: b.Scenario, Broken: b.Name, Faults: faults,
		Findings: result.Findings,
	}
}

// Reproduce runs one schedule, in a broken world if one is named, and returns
// what it led to.
func Reproduce(scenario, broken, faults string) ([]doctor.Finding, error) {
	chosen, ok := scenarioNamed(scenario)
	if !ok {
		return nil, fmt.Errorf("no scenario %q", scenario)
	}
	var world *Broken
	for _, candidate := range BrokenWorlds() {
		if candidate.Name == broken {
			world = candidate
		}
	}
	if broken != "" && world == nil {
		return nil, fmt.Errorf("no broken world %q", broken)
	}
	var parsed []Fault
	if faults != "" {
		var err error
		parsed, err = ParseFaults(faults)
		if err != nil {
			return nil, err
		}
	}

	plain := run(chosen, nil, nil)

	return judged(chosen, world, plain, parsed).Findings, nil
}

// scenarioNamed returns a scenario by its name.
func scenarioNamed(name string) (Scenario, bool) {
	for _, scenario := range Scenarios() {
		if scenario.Name == name {
			return scenario, true
		}
	}

	return Scenario{}, false
}
