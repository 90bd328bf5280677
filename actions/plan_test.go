package actions_test

import (
	"slices"
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// plan plans a restore, which must change nothing.
func (s *story) plan(request actions.Request) actions.Plan {
	s.Helper()

	// All that deriving a key changes is that lnd lists its family, and
	// what is in place is made durable wherever it is looked at.
	harmless := []string{"node.DeriveKey", "disk.Sync", "disk.SyncDir"}
	before := make(map[string]int)
	for _, call := range effects {
		if !slices.Contains(harmless, call) {
			before[call] = s.world.Count(call)
		}
	}
	plan, err := actions.PlanRestore(s.Context(), s.world.Deps(), request)
	require.NoError(s, err)
	for call, count := range before {
		require.Equal(s, count, s.world.Count(call), call)
	}
	s.clean()

	return plan
}

// changes returns the states that a plan says would change something.
func changes(plan actions.Plan) []states.State {
	var changing []states.State
	for _, step := range plan.Steps {
		if step.Changes {
			changing = append(changing, step.State)
		}
	}

	return changing
}

// TestPlan shows that what a plan announces is what a restore does, and that
// after it only what cannot be asked is announced again.
func TestPlan(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	plan := s.plan(actions.Request{})
	s.untouched()
	require.Nil(t, plan.Obstacle)
	require.True(t, plan.ClosesGate)
	require.Equal(t, s.file, plan.Facts.Located.Path)
	require.Equal(t, []states.State{
		states.ImportToken,
		states.RecreateAddress, states.RecreateAddress,
		states.RecreateAddress,
		states.ScanDeposits, states.ScanDeposits,
	}, changes(plan))
	tip, err := s.world.Deps().Chain.BestBlock(t.Context())
	require.NoError(t, err)
	require.Equal(t, tip.Height, plan.Tip)

	var facts actions.Facts
	for _, state := range states.RestoreTable().Path {
		facts = s.done(state, facts)
	}
	require.Equal(t, facts.Birthday, plan.Facts.Birthday)
	require.Equal(t, facts.Generation, plan.Facts.Generation)
	var families []int32
	for _, family := range facts.Coverage.Families {
		families = append(families, family.Family)
	}
	require.ElementsMatch(t, families, plan.Families)

	plan = s.plan(actions.Request{})
	require.Nil(t, plan.Obstacle)
	require.False(t, plan.ClosesGate)
	require.Equal(t, []states.State{
		states.RecreateAddress, states.ScanDeposits,
	}, changes(plan))
}

// TestPlanSetAside shows that a plan tells of the file that would be moved, and
// leaves it.
func TestPlanSetAside(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.Tokens.Put([]byte("half a tok"))
	plan := s.plan(actions.Request{})
	require.Equal(t, states.ImportToken, changes(plan)[0])
	require.Equal(t, states.ImportToken, changes(plan)[1])
	s.requireToken([]byte("half a tok"))
}

// TestPlanObstacle shows that a plan names what a run would block on, and in
// which state.
func TestPlanObstacle(t *testing.T) {
	t.Parallel()

	created := twin.NewWorld().Chain.Time()
	for _, test := range []struct {
		name    string
		request actions.Request
		prepare func(*story)
	}{
		{"other seed", actions.Request{}, func(s *story) {
			s.world.Lnd.Replace("mallory")
		}},
		{"no such token", actions.Request{TokenID: "00"},
			func(*story) {}},
		{"pending", actions.Request{}, func(s *story) {
			s.world.Tokens.Put(
				twin.NewToken("bob", created, false),
			)
		}},
		{"row", actions.Request{}, func(s *story) {
			other := s.world.NewContent("bob", 0)
			row, err := other.Address.Parameters()
			require.NoError(t, err)
			s.world.Tokens.Put(s.content.Token)
			s.world.Rows.Put(row)
		}},
	} {
		s := newStory(t)
		test.prepare(s)
		plan := s.plan(test.request)
		require.NotNil(t, plan.Obstacle, test.name)

		// The run itself ends the same way.
		facts := actions.Facts{Request: test.request}
		for _, state := range states.RestoreTable().Path {
			_, after, err := s.act(state, facts)
			if err != nil {
				require.Equal(t, state, plan.At, test.name)
				requireBlock(t, err, plan.Obstacle.Reason)
				break
			}
			require.NotEqual(t, state, plan.At, test.name)
			facts = after
		}
	}
}

// TestPlanFails shows that a passing error is no plan.
func TestPlanFails(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	s.world.SetHook(twin.FailAt(
		twin.Point{Call: "node.DeriveKey"}, 1, errFault,
	))
	_, err := actions.PlanRestore(
		t.Context(), s.world.Deps(), actions.Request{},
	)
	require.ErrorIs(t, err, errFault)
}

// TestEveryEffectIsPlanned checks that a plan announces every state of the
// table that has an effect: one that it left out would change something that
// nobody was told of.
func TestEveryEffectIsPlanned(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	plan, err := actions.PlanRestore(
		t.Context(), s.world.Deps(), actions.Request{},
	)
	require.NoError(t, err)
	announced := make(map[states.State]bool)
	for _, step := range plan.Steps {
		announced[step.State] = announced[step.State] || step.Changes
	}
	table := states.RestoreTable()
	for _, state := range table.Path {
		require.Equal(t, table.Row(state).HasEffect(),
			announced[state], state)
	}
}
