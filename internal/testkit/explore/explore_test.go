package explore

import (
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryfsm/journaltest"
	"github.com/stretchr/testify/require"
)

// TestStore runs the suite of journals against the one of the exploration: what
// it shows of recoveries is only worth something if that is right.
func TestStore(t *testing.T) {
	journaltest.Run(t, func(*testing.T) journaltest.Store {
		kept := newStore()
		same := func(*testing.T) recoveryfsm.Journal { return kept }

		return journaltest.Store{Open: same, Reopen: same}
	})
}

// TestSingleFaults tries every single fault of every scenario. The pairs are
// the matter of `make explore`.
func TestSingleFaults(t *testing.T) {
	for _, scenario := range Scenarios() {
		scenario.Pairs = false
		report, err := Explore(scenario)
		require.NoError(t, err)
		for _, failure := range report.Failures {
			t.Errorf("%v\n%s", failure.Findings,
				failure.Reproduction())
		}
		require.Greater(t, report.Singles, 30, scenario.Name)
	}
}

// TestBroken checks that every broken world is noticed, and that the command
// which is printed shows it again.
func TestBroken(t *testing.T) {
	worlds := BrokenWorlds()
	require.GreaterOrEqual(t, len(worlds), 60)

	names := make(map[string]bool)
	for _, world := range worlds {
		require.False(t, names[world.Name], "two are called %q",
			world.Name)
		names[world.Name] = true

		failure, _ := Catch(world)
		require.NotNil(t, failure, world.Name)

		command := failure.Reproduction()
		_, faults, _ := strings.Cut(command, " -faults ")
		findings, err := Reproduce(world.Scenario, world.Name, faults)
		require.NoError(t, err)
		require.NotEmpty(t, findings, command)
	}
}

// TestReproduceRefuses checks that what cannot be run is not taken for a
// schedule without a violation.
func TestReproduceRefuses(t *testing.T) {
	for _, args := range [][3]string{
		{"nowhere", "", ""}, {"restore", "nothing", ""},
		{"restore", "", "crash"}, {"restore", "", "crash@x:y#1"},
		{"restore", "", "crash@after:y#z"},
	} {
		_, err := Reproduce(args[0], args[1], args[2])
		require.Error(t, err, "%v", args)
	}
}

// TestFaultsRoundTrip checks that a fault is read as it is printed.
func TestFaultsRoundTrip(t *testing.T) {
	scenario := Scenarios()[0]
	for _, fault := range run(scenario, nil, nil).trace.faults() {
		parsed, err := ParseFaults(fault.String())
		require.NoError(t, err)
		require.Equal(t, []Fault{fault}, parsed)
	}
}
