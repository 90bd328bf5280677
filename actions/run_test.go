package actions_test

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"testing"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// maxSteps bounds the number of actions of one driven run.
const maxSteps = 50

// drive runs a whole table as the engine does: facts are saved with every
// outcome, a passing error is tried again, and after a crash the last saved
// state is entered anew. Until the address is there again, the daemon may have
// started with its gate closed; from the scan on it is open.
func (s *story) drive(table states.Table, closed bool) actions.Facts {
	s.Helper()

	var (
		facts actions.Facts
		at    int
	)
	for range maxSteps {
		set := actions.Set(s.world.Deps(), runID)
		outcome, err := set[table.Path[at]](s.Context(), facts)
		if s.world.Crashed() {
			scanning := slices.Contains([]states.State{
				states.ScanDeposits, states.Reconciled,
			}, table.Path[at])
			s.world.Restart(closed && !scanning)

			continue
		}
		facts = saved(s.T, outcome.Facts)

		switch {
		case err != nil:
			require.ErrorIs(s, err, errFault)

		case outcome.Event == states.Reorged:
			at--

		case at == len(table.Path)-1:
			return facts

		default:
			at++
		}
	}
	require.Fail(s, "the run does not end")

	return facts
}

// end is all that can be seen of the world after a run.
type end struct {
	summary string
	token   [32]byte
	rows    []*script.Parameters
	next    [3]uint32
	watched bool
	blind   bool
	closed  bool
	outputs int
}

// end looks at the world after a run.
func (s *story) end(facts actions.Facts) end {
	s.Helper()
	s.clean()
	s.requirePublished()

	token, exists := s.world.Tokens.Get()
	require.True(s, exists)
	published, _ := s.world.Visibility.Published(runID)
	address := s.content.Address

	return end{
		summary: string(facts.Summary),
		token:   sha256.Sum256(token),
		rows:    s.world.Rows.Get(),
		next: [3]uint32{
			s.world.Lnd.Next(s.legacy()),
			s.world.Lnd.Next(address.ReceiveFamily),
			s.world.Lnd.Next(address.ChangeFamily),
		},
		watched: s.world.Lnd.Watches(s.pkScript()),
		blind:   s.world.Visibility.Blind(s.pkScript()),
		closed:  s.world.Gate.Closed(),
		outputs: len(published),
	}
}

// visits counts how often each point is passed.
type visits struct {
	mu     sync.Mutex
	counts map[twin.Point]int
}

// hook counts.
func (v *visits) hook(_ context.Context, at twin.Point) error {
	v.mu.Lock()
	defer v.mu.Unlock()

	v.counts[at]++

	return nil
}

// TestWholeRun runs both tables from a lost client to the end, undisturbed, and
// shows that both ways lead to the same result.
func TestWholeRun(t *testing.T) {
	t.Parallel()

	restored := newStory(t)
	facts := restored.drive(states.RestoreTable(), false)
	restore := restored.end(facts)
	require.Equal(t, len(restored.deposits), restore.outputs)
	require.False(t, restore.closed)
	require.True(t, restore.watched)
	restored.requireCounters()

	rescanned := newRescan(t)
	facts = rescanned.drive(states.RescanTable(), false)
	require.Equal(t, restore, rescanned.end(facts))
	require.Zero(t, rescanned.world.Count("gate.Close"))
}

// effects are the calls that change something. For all others it makes no
// difference on which side of the call a fault lies.
var effects = []string{
	"checkpoint.Commit", "disk.Chmod", "disk.CreateNew", "disk.Link",
	"disk.Mkdir", "disk.Remove", "disk.Rename", "disk.Sync",
	"disk.SyncDir", "disk.Write", "gate.Close", "gate.Open",
	"node.AdvanceKey", "node.DeriveKey", "node.ImportScript",
	"rows.Create", "scanner.Scan", "tokens.Place", "tokens.SetAside",
	"visibility.ImportDone", "visibility.ImportIntent",
	"visibility.Publish",
}

// TestEveryFault disturbs a whole run once at every point that it passes, the
// first and the last time it does: by the end of the process, and by an error
// on either side of an effect. Each time the run ends in the same place.
func TestEveryFault(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		name  string
		story func(*testing.T) *story
		table states.Table
	}{
		{"restore", newStory, states.RestoreTable()},
		{"rescan", newRescan, states.RescanTable()},
	} {
		s := test.story(t)
		visits := &visits{counts: make(map[twin.Point]int)}
		s.world.SetHook(visits.hook)
		wanted := s.end(s.drive(test.table, false))
		require.Greater(t, len(visits.counts), 30)

		for point, count := range visits.counts {
			if point.After &&
				!slices.Contains(effects, point.Call) {

				continue
			}

			for _, fault := range []error{
				errFault, twin.ErrCrashed,
			} {
				name := test.name + " " + point.String() +
					" " + fault.Error()
				t.Run(name, func(t *testing.T) {
					t.Parallel()

					disturb(t, test.story, test.table,
						point, count, fault, wanted)
				})
			}
		}
	}
}

// disturb runs a table with a fault at the first and at the last time that a
// point is passed.
func disturb(t *testing.T, newWorld func(*testing.T) *story,
	table states.Table, point twin.Point, count int, fault error,
	wanted end) {

	// Only a new process has a gate that it set itself, and for a rescan it
	// sets none.
	gates := []bool{false}
	if fault == twin.ErrCrashed && table.Kind == states.Restore {
		gates = append(gates, true)
	}

	for _, nth := range slices.Compact([]int{1, count}) {
		for _, closed := range gates {
			s := newWorld(t)
			s.world.SetHook(twin.FailAt(point, nth, fault))
			got := s.end(s.drive(table, closed))
			require.Equal(t, wanted, got, "time %d, gate %v", nth,
				closed)
		}
	}
}
