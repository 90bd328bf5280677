package states

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// tables are all tables of this binary.
func tables() []Table {
	return []Table{RestoreTable(), RescanTable()}
}

// TestPath checks that Done leads along the path and ends at its end, and that
// nothing leads back but a reorganisation.
func TestPath(t *testing.T) {
	for _, table := range tables() {
		require.Equal(t, []State{table.Path[0]},
			table.Transitions[Start][Begin])

		for i, state := range table.Path {
			last := i == len(table.Path)-1
			require.Equal(t, last, table.Ends(state, Done))
			if !last {
				require.True(t, table.Allows(
					state, Done, table.Path[i+1],
				))
			}
			require.Equal(t, last,
				table.Allows(state, Reorged, ScanDeposits))
		}
		require.Equal(t, Reconciled, table.Path[len(table.Path)-1])
	}
}

// TestEveryStop checks that every working state can be blocked, resumed,
// cancelled and taken up again, and that only the end of a run has no way out.
func TestEveryStop(t *testing.T) {
	for _, table := range tables() {
		for _, state := range table.Path {
			require.True(t, table.Allows(state, Block, Blocked))
			require.True(t, table.Allows(Blocked, Resume, state))
			require.True(t, table.Allows(state, Resume, state))
			require.True(t, table.Allows(state, Cancel, Cancelled))
		}
		require.True(t, table.Allows(Start, Resume, Start))
		require.True(t, table.Allows(Start, Cancel, Cancelled))
		require.True(t, table.Allows(Blocked, Cancel, Cancelled))
		require.Len(t, table.Transitions[Blocked][Resume],
			len(table.Path))

		for state, events := range table.Transitions {
			require.Equal(t, state == Cancelled, len(events) == 0)
		}
	}
}

// TestClosed checks that every state is reachable, and that no transition leads
// to a state that the table does not have.
func TestClosed(t *testing.T) {
	for _, table := range tables() {
		reached := map[State]bool{Start: true}
		for queue := []State{Start}; len(queue) > 0; queue = queue[1:] {
			for _, targets := range table.Transitions[queue[0]] {
				for _, to := range targets {
					require.Contains(
						t, table.Transitions, to,
					)
					if !reached[to] {
						reached[to] = true
						queue = append(queue, to)
					}
				}
			}
		}
		require.Len(t, reached, len(table.Transitions))
		require.Len(t, table.order(), len(table.Transitions))
	}
}

// TestSingleTargets checks that an event leads to one state, except that a
// blocked run goes back to where it was: the engine relies on it.
func TestSingleTargets(t *testing.T) {
	for _, table := range tables() {
		for state, events := range table.Transitions {
			for event, targets := range events {
				if state == Blocked && event == Resume {
					continue
				}
				require.Len(t, targets, 1)
			}
		}
	}
}

// TestLookup checks that only known definitions are found.
func TestLookup(t *testing.T) {
	for _, table := range tables() {
		found, ok := Lookup(table.Kind, table.Version)
		require.True(t, ok)
		require.Equal(t, table, found)

		current, ok := Current(table.Kind)
		require.True(t, ok)
		require.Equal(t, table, current)

		for _, version := range []uint32{0, table.Version + 1} {
			_, ok = Lookup(table.Kind, version)
			require.False(t, ok)
		}
	}
	_, ok := Lookup("parking", 1)
	require.False(t, ok)
	_, ok = Current("parking")
	require.False(t, ok)
}

// TestReleasedTables compares each table with the file that was written when
// its version was made. A run of that version can be in any journal: a table
// that has to change needs a new version, and the old one stays.
func TestReleasedTables(t *testing.T) {
	for _, table := range tables() {
		name := fmt.Sprintf("%s-v%d.json", table.Kind, table.Version)
		released, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)

		text, err := json.MarshalIndent(table, "", "  ")
		require.NoError(t, err)
		require.Equal(t, string(released), string(text)+"\n", name)
	}
}

// TestDiagram checks that the published page is the one of the tables.
func TestDiagram(t *testing.T) {
	page, err := os.ReadFile(
		filepath.Join("..", "docs", "state-machine.md"),
	)
	require.NoError(t, err)
	require.Equal(t, Diagram(), string(page))

	for _, state := range RestoreTable().Path {
		require.Contains(t, string(page), string(state)+" --> ")
	}
}
