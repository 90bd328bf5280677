// Command explore tries every fault and every pair of faults at every boundary
// of a recovery, and shows that it would notice if a promise were broken.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/looprecovery/looprecovery/internal/testkit/explore"
)

// gcPercent is how much the heap may grow between two collections.
const gcPercent = 400

// maxShown is the largest number of failures that are shown of a scenario.
const maxShown = 10

// errFailed means that the exploration found something, which was printed.
var errFailed = errors.New("explore: a promise was broken, or a broken " +
	"world was not noticed")

func main() {
	scenario := flag.String("scenario", "", "run one schedule of this "+
		"scenario")
	faults := flag.String("faults", "", "with these faults")
	broken := flag.String("broken", "", "in the world with this part "+
		"broken")
	flag.Parse()

	// Very much garbage, very little that stays.
	debug.SetGCPercent(gcPercent)

	var err error
	if *scenario != "" {
		err = reproduce(*scenario, *broken, *faults)
	} else {
		err = all()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// reproduce runs one schedule and shows what it led to.
func reproduce(scenario, broken, faults string) error {
	findings, err := explore.Reproduce(scenario, broken, faults)
	if err != nil {
		return err
	}
	for _, finding := range findings {
		fmt.Println(finding)
	}
	if len(findings) > 0 {
		return errFailed
	}
	fmt.Println("explore: no violation")

	return nil
}

// all runs every schedule and every broken world.
func all() error {
	begin := time.Now()

	var schedules, boundaries, violations int
	for _, scenario := range explore.Scenarios() {
		report, err := explore.Explore(scenario)
		if err != nil {
			return err
		}
		show(report)
		schedules += report.Schedules()
		boundaries += report.Boundaries
		violations += len(report.Failures)
	}

	caught, runs := 0, 0
	worlds := explore.BrokenWorlds()
	for _, world := range worlds {
		failure, run := explore.Catch(world)
		runs += run
		if failure == nil {
			fmt.Printf("broken world %q: NOT NOTICED\n", world.Name)
			continue
		}
		caught++
		fmt.Printf("broken world %q: %v\n  reproduce: %s\n", world.Name,
			failure.Findings[0], failure.Reproduction())
	}

	fmt.Printf("explore: %d schedules over %d boundaries, %d violations, "+
		"%d of %d broken twins caught, %.0f s\n", schedules+runs,
		boundaries, violations, caught, len(worlds),
		time.Since(begin).Seconds())
	if violations > 0 || caught < len(worlds) {
		return errFailed
	}

	return nil
}

// show tells what exploring a scenario led to.
func show(report *explore.Report) {
	fmt.Printf("%s: %d boundaries, %d single faults, %d different states "+
		"after one", report.Scenario, report.Boundaries,
		report.Singles, report.States)
	if report.Pairs > 0 {
		fmt.Printf(", %d pairs: %d run, %d equal to one of them",
			report.Pairs, report.Run, report.Pairs-report.Run)
	}
	fmt.Printf("; %d schedules ended before their last fault\n",
		report.Unreached)

	for i, failure := range report.Failures {
		if i == maxShown {
			fmt.Printf("  and %d more\n",
				len(report.Failures)-maxShown)
			break
		}
		fmt.Printf("  %v\n  reproduce: %s\n", failure.Findings[0],
			failure.Reproduction())
	}
}
