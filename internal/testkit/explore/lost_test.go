package explore

import (
	"testing"

	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/stretchr/testify/require"
)

// TestJournalLost checks that the loss of the journal is tried on both sides of
// every save and of every effect, and that it is one: the next process begins
// with nothing, and whoever begins again comes to the same end.
func TestJournalLost(t *testing.T) {
	for _, scenario := range Scenarios() {
		if scenario.Blocks != "" {
			continue
		}
		plain := run(scenario, nil, nil)
		faults := losses(plain.trace.faults())
		require.Greater(t, len(faults), 20)
		for _, fault := range faults {
			result := run(scenario, nil, []Fault{fault})
			require.Empty(t, result.Findings, fault)
			require.Equal(t, plain.Summary, result.Summary)
			require.Zero(t, result.unreached)
		}
	}
}

// TestJournalLostForgets checks that nothing of the journal is left behind.
func TestJournalLostForgets(t *testing.T) {
	scenario := Scenarios()[0]
	s := &schedule{
		scenario: scenario, scene: scenario.build(),
		store: newStore(), clock: newClock(),
		visits: make(map[twin.Point]int), trace: make(trace),
	}
	s.begin()
	s.start(t.Context())
	_, err := s.engine.Wait(t.Context(), s.runID())
	require.NoError(t, err)
	s.engine.Stop()
	require.False(t, s.scene.Visibility.Blind(s.scene.address))
	id := s.runID()

	s.dieLosing()
	s.lose()
	require.Empty(t, s.runs())
	require.Empty(t, s.runID())
	cursor, outputs := s.scene.Scanner.Stored(id)
	require.Nil(t, cursor)
	require.Empty(t, outputs)
	require.True(t, s.scene.Visibility.Blind(s.scene.address))
	require.NotEmpty(t, s.scene.Rows.Get())
}
