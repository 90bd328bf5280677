package explore

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/looprecovery/looprecovery/internal/testkit/doctor"
)

// Report is what exploring a scenario led to.
type Report struct {
	// Scenario is the scenario's name.
	Scenario string

	// Boundaries is the number of boundaries of an undisturbed recovery.
	Boundaries int

	// Singles is the number of schedules with one fault; all were run.
	Singles int

	// Pairs is the number of schedules with two faults, Run of which were
	// run; the others are equal to one of these.
	Pairs, Run int

	// States is the number of different things that a first fault leaves.
	States int

	// Unreached is the number of schedules that were run and in which a
	// fault did not happen, since the recovery did not pass there.
	Unreached int

	// Failures are the schedules that broke a promise.
	Failures []Failure
}

// Schedules returns the number of schedules that were run, the undisturbed one
// among them.
func (r *Report) Schedules() int {
	return 1 + r.Singles + r.Run
}

// Failure is a schedule that broke a promise.
type Failure struct {
	Scenario string
	Broken   string
	Faults   []Fault
	Findings []doctor.Finding
}

// Reproduction returns the command that shows a failure again.
func (f Failure) Reproduction() string {
	command := "go run ./internal/testkit/explore/cmd/explore -scenario " +
		f.Scenario
	if f.Broken != "" {
		command += fmt.Sprintf(" -broken %q", f.Broken)
	}
	if len(f.Faults) > 0 {
		names := make([]string, len(f.Faults))
		for i, fault := range f.Faults {
			names[i] = fault.String()
		}
		command += " -faults " + strings.Join(names, ",")
	}

	return command
}

// Explore runs every schedule of a scenario. An error means that the
// exploration itself cannot be trusted.
func Explore(scenario Scenario) (*Report, error) {
	plain := run(scenario, nil, nil)
	report := &Report{
		Scenario: scenario.Name, Boundaries: plain.trace.count(),
	}
	report.add(Failure{Scenario: scenario.Name, Findings: plain.Findings})
	if len(report.Failures) > 0 {
		return report, nil
	}

	singles := plain.trace.faults()
	report.Singles = len(singles)
	results := inParallel(singles, func(fault Fault) Result {
		return judged(scenario, nil, plain, []Fault{fault})
	})
	left := make(map[stateID]bool)
	for i, result := range results {
		report.note(scenario, []Fault{singles[i]}, result)
		for _, state := range result.states {
			left[state] = true
		}
	}
	report.States = len(left)
	report.lose(scenario, plain, losses(singles))
	if !scenario.Pairs {
		return report, nil
	}
	singles, results = firsts(plain, singles, results)

	return report, report.pairs(
		scenario, plain, singles, results, classes(results),
	)
}

// firsts returns the first faults of the pairs, with their results.
func firsts(plain Result, singles []Fault, results []Result) ([]Fault,
	[]Result) {

	wanted := make(map[Fault]bool)
	for _, fault := range plain.trace.thin().faults() {
		wanted[fault] = true
	}

	var (
		faults []Fault
		kept   []Result
	)
	for i, fault := range singles {
		if wanted[fault] {
			faults = append(faults, fault)
			kept = append(kept, results[i])
		}
	}

	return faults, kept
}

// classes returns the numbers of those results that left the same.
func classes(results []Result) map[stateID][]int {
	same := make(map[stateID][]int)
	for i, result := range results {
		if len(result.states) == 1 {
			id := result.states[0]
			same[id] = append(same[id], i)
		}
	}

	return same
}

// pairs runs the schedules with two faults: every second fault that lies
// between the first one and what that left; and every one that lies behind,
// after one first fault of each class of those that left the same. It fails if
// two of a class go on differently.
func (r *Report) pairs(scenario Scenario, plain Result, singles []Fault,
	results []Result, classes map[stateID][]int) error {

	for _, members := range classes {
		again(scenario, plain, singles, results, members)
	}

	var pairs [][]Fault
	covered := 0
	for i, result := range results {
		behind := result.trace.thin().faults()
		within := result.window.thin().faults()
		r.Pairs += len(within) + len(behind)
		covered += len(within)
		if len(result.states) == 0 {
			covered += len(behind)
			within = append(within, behind...)
		}
		for _, second := range within {
			pairs = append(pairs, []Fault{singles[i], second})
		}
	}

	for _, members := range classes {
		first := members[0]
		for _, member := range members {
			text := difference(
				results[first].trace, results[member].trace,
			)
			if text == "" {
				continue
			}

			return fmt.Errorf("%s and %s left the same and went "+
				"on differently:\n%s", singles[first],
				singles[member], text)
		}

		seconds := results[first].trace.thin().faults()
		covered += len(members) * len(seconds)
		for _, second := range seconds {
			pairs = append(pairs, []Fault{singles[first], second})
		}
	}
	if covered != r.Pairs {
		return fmt.Errorf("%d of %d pairs are covered", covered,
			r.Pairs)
	}

	r.Run = len(pairs)
	results = inParallel(pairs, func(faults []Fault) Result {
		return judged(scenario, nil, plain, faults)
	})
	for i, result := range results {
		r.note(scenario, pairs[i], result)
	}

	return nil
}

// maxAgain is how often the schedules of a class are run again.
const maxAgain = 3

// again runs those schedules again that left the same as others and went on
// differently, for as long as they do. A scan saves its cursor every second,
// too: on a busy machine that comes into a schedule that mostly takes
// milliseconds. What still differs then is told by pairs.
func again(scenario Scenario, plain Result, singles []Fault, results []Result,
	members []int) {

	for range maxAgain {
		differ := slices.ContainsFunc(members, func(member int) bool {
			return difference(results[members[0]].trace,
				results[member].trace) != ""
		})
		if !differ {
			return
		}
		for _, member := range members {
			result := judged(
				scenario, nil, plain, singles[member:member+1],
			)
			if slices.Equal(result.states,
				results[member].states) {

				results[member] = result
			}
		}
	}
}

// judged runs a schedule, in a broken world if one is given, and compares its
// end with that of the undisturbed one.
func judged(scenario Scenario, broken *Broken, plain Result,
	faults []Fault) Result {

	result := run(scenario, broken, faults)
	if scenario.Blocks == "" && result.Summary != plain.Summary {
		result.Findings = append(result.Findings, doctor.Finding{
			Invariant: "end",
			Detail:    "the summary is not the undisturbed one",
		})
	}

	return result
}

// note keeps what a schedule led to.
func (r *Report) note(scenario Scenario, faults []Fault, result Result) {
	if result.unreached > 0 {
		r.Unreached++
	}
	r.add(Failure{
		Scenario: scenario.Name, Faults: faults,
		Findings: result.Findings,
	})
}

// add keeps a failure, if it is one.
func (r *Report) add(failure Failure) {
	if len(failure.Findings) > 0 {
		r.Failures = append(r.Failures, failure)
	}
}

// difference names the places that only one of two traces has, or has more
// often.
func difference(a, b trace) string {
	var lines []string
	for at := range a {
		if len(a[at]) != len(b[at]) {
			lines = append(lines, fmt.Sprintf("%v: %d and %d", at,
				len(a[at]), len(b[at])))
		}
	}
	for at := range b {
		if _, ok := a[at]; !ok {
			lines = append(lines, fmt.Sprintf("%v: 0 and %d", at,
				len(b[at])))
		}
	}
	slices.Sort(lines)

	return strings.Join(lines, "\n")
}

// workersPerCPU is the number of schedules under way for each processor: a scan
// waits for a moment after an error of its source.
const workersPerCPU = 8

// inParallel calls a function for each element, on all processors, and returns
// the results in the order of the elements.
func inParallel[E, R any](elements []E, call func(E) R) []R {
	results := make([]R, len(elements))
	next := make(chan int)
	var workers sync.WaitGroup
	for range workersPerCPU * runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				results[i] = call(elements[i])
			}
		})
	}
	for i := range elements {
		next <- i
	}
	close(next)
	workers.Wait()

	return results
}
