package recoveryfsm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// schedules is the number of random schedules.
	schedules = 300

	// maxFaults is the number of faults of one schedule.
	maxFaults = 12

	// maxLives is more than the number of stops that so many faults make.
	maxLives = 100
)

// TestAnySchedule runs random schedules of failed attempts, blocks, panics,
// reorganisations, failed saves, saves that were stored and reported as failed,
// and restarts. Every run ends as if nothing had happened, and no action ever
// acts without its saved intent.
func TestAnySchedule(t *testing.T) {
	for seed := range uint64(schedules) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			runSchedule(t, rand.New(rand.NewPCG(seed, 1)))
		})
	}
}

// runSchedule runs one schedule.
func runSchedule(t *testing.T, random *rand.Rand) {
	w := newWorld(t)
	w.reorgs = random.IntN(3)
	w.misbehave(random)

	kind := states.Restore
	if random.IntN(3) == 0 {
		kind = states.Rescan
	}
	engine := w.engine()
	accepted, err := engine.Start(t.Context(), kind, actions.Request{})
	require.NoError(t, err)

	saves := maxFaults
	for range maxLives {
		if saves > 0 && random.IntN(2) == 0 {
			saves--
			w.dieAt(
				w.journal.Saves()+1+random.IntN(6),
				random.IntN(2) == 0,
			)
		}

		run := wait(t, engine, accepted.ID)
		w.revive()
		if run.Finished {
			w.checkEnd(run)
			return
		}
		if random.IntN(2) == 0 {
			engine.Stop()
			engine = w.engine()
		}

		// A person looks after it, or the process was started again.
		require.NoError(t, engine.Continue(t.Context()))
		_, err := engine.Resume(t.Context(), accepted.ID)
		var refused *recoveryfsm.RefusedError
		if err != nil {
			require.ErrorAs(t, err, &refused)
		}
	}
	require.Fail(t, "the run did not end")
}

// misbehave lets every action fail in random ways, a limited number of times.
func (w *world) misbehave(random *rand.Rand) {
	seed := random.Uint64()
	for i, state := range states.RestoreTable().Path {
		own := rand.New(rand.NewPCG(seed, uint64(i)))
		faults := maxFaults
		w.set(state, func(context.Context, int) error {
			if faults == 0 {
				return nil
			}
			faults--

			switch own.IntN(6) {
			case 0:
				return errors.New("passing")

			case 1:
				return &actions.BlockError{
					Reason: states.PlaceUnreadable,
				}

			case 2:
				panic("any")
			}

			return nil
		})
	}
}
