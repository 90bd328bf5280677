package startdecision

import (
	"testing"

	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// allRuns returns no run and every run that can be unfinished.
func allRuns() []*Run {
	runs := []*Run{nil}
	for _, kind := range []states.Kind{states.Restore, states.Rescan} {
		for _, phase := range []Phase{Before, Writing, After} {
			for flags := range 16 {
				run := &Run{
					Kind: kind, Phase: phase,
					Blocked:   flags&1 != 0,
					Automatic: flags&2 != 0,
					Retrying:  flags&4 != 0,
					Halfway:   flags&8 != 0,
				}

				// A run is halfway only while it writes.
				if !run.Halfway || phase == Writing &&
					kind == states.Restore {

					runs = append(runs, run)
				}
			}
		}
	}

	return runs
}

// allSearches returns no look and every result of one.
func allSearches() []*Search {
	searches := []*Search{nil}
	for _, candidate := range []Candidate{
		NoCandidate, Restorable, Obstructed,
	} {
		searches = append(searches,
			&Search{Candidate: candidate},
			&Search{
				Candidate: candidate,
				Silent:    []string{"/mnt/usb"},
			},
		)
	}

	return searches
}

// eachSituation calls check with everything that can be there.
func eachSituation(t *testing.T, check func(*testing.T, Situation)) {
	tokens := []generation.TokenStatus{
		generation.TokenAbsent, generation.TokenPending,
		generation.TokenPaid, generation.TokenUnreadable,
	}
	seen := 0
	for _, token := range tokens {
		for flags := range 64 {
			for _, run := range allRuns() {
				for _, search := range allSearches() {
					check(t, Situation{
						Token:            token,
						Rows:             flags & 1,
						SwapData:         flags&2 != 0,
						AwaitsConversion: flags&4 != 0,
						AutoRestore:      flags&8 != 0,
						GivenUp:          flags&16 != 0,
						JournalShut:      flags&32 != 0,
						Run:              run,
						Search:           search,
					})
					seen++
				}
			}
		}
	}
	require.Greater(t, seen, 10_000)
}

// TestSwapClientIsNotHeldBack checks that swaps in flight, and whoever has a
// token or an address, wait for nothing of ours but a recovery that is about
// to write the one that is missing, and a look that is bounded.
func TestSwapClientIsNotHeldBack(t *testing.T) {
	eachSituation(t, func(t *testing.T, s Situation) {
		decision := Decide(s)
		if s.empty() || decision.Hold == "" {
			return
		}
		if decision.Step == Look {
			require.LessOrEqual(t, decision.Limit, HalfInstallLimit)
			require.False(t, s.complete(), "%+v", s)
			return
		}
		if decision.Step == Restore {
			require.False(t, s.complete(), "%+v", s)
			require.Equal(t, Restorable, s.Search.Candidate)
			return
		}

		require.NotNil(t, s.Run, "%+v", s)
		run := *s.Run
		onItsWay := run.Automatic && !run.Blocked && !run.Retrying
		writes := run.Phase == Writing && !run.Blocked
		require.True(t, onItsWay || writes || run.Halfway, "%+v", s)
		require.Equal(t, states.Restore, run.Kind)
		require.NotEqual(t, After, run.Phase)
	})
}

// TestNothingIsBoughtBeforeTheLook checks that the swap client of an empty
// directory does not start while a backup is there, or may be.
func TestNothingIsBoughtBeforeTheLook(t *testing.T) {
	eachSituation(t, func(t *testing.T, s Situation) {
		if !s.empty() || !s.mayRestore() || s.Run != nil {
			return
		}
		decision := Decide(s)
		if s.Search == nil {
			require.Equal(t, Look, decision.Step)
			require.NotEmpty(t, decision.Hold)
			return
		}

		unknown := len(s.Search.Silent) > 0
		there := s.Search.Candidate != NoCandidate
		require.Equal(
			t, unknown || there, decision.Hold != "", "%+v", s,
		)
	})
}

// TestAddressesWait checks that no address is handed out of half an install
// while the other half may still come from a backup.
func TestAddressesWait(t *testing.T) {
	eachSituation(t, func(t *testing.T, s Situation) {
		decision := Decide(s)
		if decision.Step == Await || decision.Step == Restore {
			require.True(t, decision.Hold != "" ||
				decision.Addresses != "", "%+v", s)
		}
		if decision.Addresses != "" {
			require.False(t, s.complete(), "%+v", s)
			require.True(t, s.AutoRestore || s.Run != nil)
		}
	})
}

// TestTheUserHasTheLastWord checks that a restore that the user gave up, or
// switched off, is not begun.
func TestTheUserHasTheLastWord(t *testing.T) {
	eachSituation(t, func(t *testing.T, s Situation) {
		if s.Run != nil || s.AutoRestore && !s.GivenUp {
			return
		}
		require.Equal(t, Decision{Step: StartClient}, s.decide())
	})
}

// TestEveryQuestionEnds checks that a look is made once, and that a complete
// directory without a recovery starts at once.
func TestEveryQuestionEnds(t *testing.T) {
	eachSituation(t, func(t *testing.T, s Situation) {
		decision := Decide(s)
		require.Equal(t, decision, Decide(s))
		require.Equal(t, s.empty(), decision.Empty)
		if s.Search != nil {
			require.NotEqual(t, Look, decision.Step)
		}
		if s.complete() && s.Run == nil {
			require.Equal(
				t, Decision{Step: StartClient}, s.decide(),
			)
		}
		if s.Run != nil && !s.JournalShut {
			require.Equal(t, Continue, decision.Step)
		}
	})
}

// TestHalfwayHolds checks that whoever stands between token and row holds the
// swap client in every situation, also if a newer version began the run.
func TestHalfwayHolds(t *testing.T) {
	eachSituation(t, func(t *testing.T, s Situation) {
		if s.Run == nil || !s.Run.Halfway {
			return
		}
		require.NotEmpty(t, Decide(s).Hold, "%+v", s)
	})
}

// TestDecide tells the stories behind the rules.
func TestDecide(t *testing.T) {
	silent := &Search{Silent: []string{"/mnt/usb"}}
	tests := []struct {
		name string
		s    Situation
		want Decision
	}{{
		name: "a token without an address, and a disk that is not " +
			"mounted",
		s: Situation{
			Token: generation.TokenPaid, AutoRestore: true,
			Search: silent,
		},
		want: Decision{
			Step: Await, Addresses: states.PlacesUnanswered,
		},
	}, {
		name: "a wiped directory, and a disk that is not mounted",
		s:    Situation{AutoRestore: true, Search: silent},
		want: Decision{Step: Await, Hold: states.BackupAwaited},
	}, {
		name: "no token and no address, but a swap in the database",
		s: Situation{
			SwapData: true, AutoRestore: true, Search: silent,
		},
		want: Decision{
			Step: Await, Addresses: states.PlacesUnanswered,
		},
	}, {
		name: "a new user",
		s:    Situation{AutoRestore: true, Search: &Search{}},
		want: Decision{Step: StartClient},
	}, {
		name: "a wiped directory and two backups that contradict",
		s: Situation{
			AutoRestore: true,
			Search:      &Search{Candidate: Obstructed},
		},
		want: Decision{Step: Restore, Hold: states.RecoveryActive},
	}, {
		name: "half an install and two backups that contradict",
		s: Situation{
			Token: generation.TokenPaid, AutoRestore: true,
			Search: &Search{Candidate: Obstructed},
		},
		want: Decision{
			Step: Restore, Addresses: states.RecoveryActive,
		},
	}, {
		name: "an automatic restore that blocked in an empty directory",
		s: Situation{
			AutoRestore: true,
			Run: &Run{
				Kind: states.Restore, Blocked: true,
				Automatic: true,
			},
		},
		want: Decision{
			Step: Continue, Hold: states.RecoveryActive,
			Addresses: states.RecoveryActive,
		},
	}, {
		name: "a restore that the user began, blocked in an empty " +
			"directory",
		s: Situation{
			AutoRestore: true,
			Run:         &Run{Kind: states.Restore, Blocked: true},
		},
		want: Decision{Step: Continue},
	}, {
		name: "a pending token",
		s: Situation{
			Token: generation.TokenPending, AutoRestore: true,
		},
		want: Decision{Step: StartClient},
	}, {
		name: "a newer version's restore that has not written yet",
		s: Situation{
			JournalShut: true,
			Run: &Run{
				Kind: states.Restore, Automatic: true,
			},
		},
		want: Decision{Step: StartClient},
	}, {
		name: "a scan beside the swap client",
		s: Situation{
			Token: generation.TokenPaid, Rows: 1, AutoRestore: true,
			Run: &Run{Kind: states.Restore, Phase: After},
		},
		want: Decision{Step: Continue},
	}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, test.s.decide())
		})
	}
}
