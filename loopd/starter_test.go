package loopd

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/internal/startdecision"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// errSick is the error of a thing that does not answer.
var errSick = errors.New("sick")

// startWorld is what a starter finds, and the gate that it lets go.
type startWorld struct {
	mu sync.Mutex

	token      generation.TokenStatus
	rows       int
	swaps      bool
	conversion bool
	tokenErr   error
	rowsErr    error
	swapsErr   error

	found    startdecision.Search
	searches int

	released bool
	noted    states.Reason

	// act is what a run does in each state.
	act actions.Action

	// journal keeps the runs.
	journal *recoveryfsm.MemoryJournal

	// unfinished is a run that an earlier process left, or nil.
	unfinished *recoveryfsm.Run
}

// change changes the world.
func (w *startWorld) change(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()

	change()
}

// Release implements startHold.
func (w *startWorld) Release(name string) {
	w.change(func() { w.released = w.released || name == holdStart })
}

// Hold implements holdGate.
func (w *startWorld) Hold(context.Context, gate.Holder) error { return nil }

// Join implements holdGate.
func (w *startWorld) Join(gate.Holder) bool { return true }

// Note implements startHold.
func (w *startWorld) Note(reason states.Reason) {
	w.change(func() { w.noted = reason })
}

// up reports whether the starter let the swap client go.
func (w *startWorld) up() bool {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.released
}

// Probe implements actions.Tokens.
func (w *startWorld) Probe() (generation.TokenProbe, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return generation.TokenProbe{Status: w.token}, w.tokenErr
}

// Place implements actions.Tokens.
func (w *startWorld) Place([]byte) error { return errSick }

// SetAside implements actions.Tokens.
func (w *startWorld) SetAside() (string, error) { return "", errSick }

// All implements actions.Rows.
func (w *startWorld) All(context.Context) ([]*script.Parameters, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return make([]*script.Parameters, w.rows), w.rowsErr
}

// Create implements actions.Rows.
func (w *startWorld) Create(context.Context, *script.Parameters) error {
	return errSick
}

// HasSwaps implements swapData.
func (w *startWorld) HasSwaps(context.Context) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.swaps, w.swapsErr
}

// AwaitsConversion implements swapData.
func (w *startWorld) AwaitsConversion() bool {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.conversion
}

// search is a look for backups.
func (w *startWorld) search(context.Context, time.Duration) (
	startdecision.Search, error) {

	w.mu.Lock()
	defer w.mu.Unlock()
	w.searches++

	return w.found, nil
}

// starting is a starter at work in a world.
type starting struct {
	*startWorld

	starter *starter
	engine  *recoveryfsm.Engine
}

// runStarter lets a starter work in a world until the test ends. It is called
// in a bubble of synctest.
func runStarter(t *testing.T, world *startWorld,
	change func(*starterConfig)) *starting {

	t.Helper()
	world.journal = recoveryfsm.NewMemoryJournal()
	s := &starting{startWorld: world}
	if world.unfinished != nil {
		err := s.journal.CreateRun(t.Context(), *world.unfinished)
		require.NoError(t, err)
	}
	s.engine = recoveryfsm.New(recoveryfsm.Config{
		Journal: s.journal,
		Actions: func(string) map[states.State]actions.Action {
			table := states.RestoreTable()
			set := make(map[states.State]actions.Action)
			for _, state := range table.Path {
				set[state] = world.act
			}

			return set
		},
		OnEvent: func(recoveryfsm.Run, recoveryfsm.Event) {
			s.starter.poke()
		},
	})
	cfg := starterConfig{
		engine: s.engine, gate: world, hold: &runHold{gate: world},
		tokens: world, data: world,
		search: world.search, autoRestore: true,
		clock: clock.NewDefaultClock(),
	}
	if change != nil {
		change(&cfg)
	}
	s.starter = newStarter(cfg)

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		s.starter.run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		s.engine.Stop()
	})
	synctest.Wait()

	return s
}

// blockedBy is an action that blocks with a reason.
func blockedBy(reason states.Reason) actions.Action {
	return func(_ context.Context, facts actions.Facts) (actions.Outcome,
		error) {

		return actions.Outcome{Facts: facts},
			&actions.BlockError{Reason: reason}
	}
}

// later lets time pass in the bubble.
func later(wait time.Duration) {
	<-time.After(wait)
	synctest.Wait()
}

// TestCompleteStartsAtOnce checks that whoever has both halves waits for
// nothing, and that nothing is looked for.
func TestCompleteStartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := runStarter(t, &startWorld{
			token: generation.TokenPaid, rows: 1,
			found: startdecision.Search{Silent: []string{"/usb"}},
		}, nil)
		require.True(t, s.up())
		require.Zero(t, s.searches)
		require.Empty(t, s.starter.addressesRefused())
	})
}

// TestEmptyAwaitsThePlace checks that nothing is bought in an empty directory
// while a disk is not mounted, that loopd goes on by itself when it is, and
// that the backup found there is restored first.
func TestEmptyAwaitsThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := runStarter(t, &startWorld{
			found: startdecision.Search{Silent: []string{"/usb"}},
			act:   blockedBy(states.OtherGenesis),
		}, nil)
		later(time.Hour)
		require.False(t, s.up())
		require.Equal(t, states.BackupAwaited, s.noted)
		most := int(time.Hour/awaitInterval) + 1
		require.LessOrEqual(t, s.searches, most)

		s.change(func() {
			s.found = startdecision.Search{
				Candidate: startdecision.Restorable,
			}
		})
		later(awaitInterval)
		run, err := s.engine.Latest(t.Context())
		require.NoError(t, err)
		require.NotNil(t, run)
		require.Equal(t, states.OtherGenesis, run.Reason)

		// It blocked: the user decides.
		require.False(t, s.up())
		require.Equal(t, states.RecoveryActive, s.noted)
		_, err = s.engine.Cancel(t.Context(), run.ID)
		require.NoError(t, err)
		synctest.Wait()
		require.True(t, s.up())
	})
}

// TestEmptyGivenUp checks that the user can begin without the disk, and is not
// asked again after a restart.
func TestEmptyGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := runStarter(t, &startWorld{
			found: startdecision.Search{Silent: []string{"/usb"}},
			act:   blockedBy(states.PlaceUnreadable),
		}, nil)
		require.False(t, s.up())

		run, err := s.starter.giveUp(t.Context())
		require.NoError(t, err)
		require.Equal(t, states.Cancelled, run.State)
		synctest.Wait()
		require.True(t, s.up())

		run, err = s.starter.giveUp(t.Context())
		require.NoError(t, err)
		require.Nil(t, run, "nothing is waited for")
	})
}

// TestHalfStartsWithoutThePlace checks that the swap client of a user with a
// token alone runs although a disk is not mounted, that only addresses wait,
// and that they are served when the disk has answered.
func TestHalfStartsWithoutThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := runStarter(t, &startWorld{
			token: generation.TokenPaid,
			found: startdecision.Search{Silent: []string{"/usb"}},
		}, nil)
		require.True(t, s.up())
		require.Equal(t, states.PlacesUnanswered,
			s.starter.addressesRefused())

		s.change(func() { s.found = startdecision.Search{} })
		later(awaitInterval)
		require.Empty(t, s.starter.addressesRefused())
	})
}

// TestSwapsDoNotWait checks that a directory with neither token nor address
// starts if its database knows of a swap.
func TestSwapsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := runStarter(t, &startWorld{
			swaps: true,
			found: startdecision.Search{Silent: []string{"/usb"}},
		}, nil)
		require.True(t, s.up())
	})
}

// TestSickJournalHoldsNothing checks that a journal that cannot be read or
// written keeps the swap client down for moments only, unless there is nothing
// to run with; and that no address is made meanwhile.
func TestSickJournalHoldsNothing(t *testing.T) {
	for name, world := range map[string]*startWorld{
		"token alone": {
			token: generation.TokenPaid,
			found: startdecision.Search{
				Candidate: startdecision.Restorable,
			},
		},
		"token file that cannot be read": {tokenErr: errSick},
		"database that cannot be read":   {rowsErr: errSick},
		"swaps that cannot be read":      {swapsErr: errSick, rows: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := runStarter(t, world,
					func(c *starterConfig) {

						c.engine = sickEngine(t)
					})
				later(decidePatience + time.Second)
				require.True(t, s.up())
				require.Equal(t, states.JournalFailed,
					s.starter.addressesRefused())
			})
		})
	}

	synctest.Test(t, func(t *testing.T) {
		s := runStarter(t, &startWorld{found: startdecision.Search{
			Candidate: startdecision.Restorable,
		}}, func(c *starterConfig) { c.engine = sickEngine(t) })
		later(time.Hour)
		require.False(t, s.up())
	})
}

// TestSickJournalRefusesNothing checks that whoever has both halves gets an
// address although the journal cannot be read, and that the log says so once.
func TestSickJournalRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := runStarter(t, &startWorld{
			token: generation.TokenPaid, rows: 1,
		}, func(c *starterConfig) { c.engine = unreadableEngine(t) })
		later(time.Minute)
		require.True(t, s.up())
		require.Empty(t, s.starter.addressesRefused())
		require.True(t, s.starter.endured)
	})
}

// unreadableJournal is a journal that cannot be read.
type unreadableJournal struct {
	*recoveryfsm.MemoryJournal
}

// Runs implements recoveryfsm.Journal.
func (unreadableJournal) Runs(context.Context, int) ([]recoveryfsm.Run,
	error) {

	return nil, errSick
}

// unreadableEngine returns an engine whose journal cannot be read.
func unreadableEngine(t *testing.T) *recoveryfsm.Engine {
	engine := recoveryfsm.New(recoveryfsm.Config{
		Journal: unreadableJournal{recoveryfsm.NewMemoryJournal()},
	})
	t.Cleanup(engine.Stop)

	return engine
}

// sickEngine returns an engine whose journal fails.
func sickEngine(t *testing.T) *recoveryfsm.Engine {
	journal := recoveryfsm.NewMemoryJournal()
	journal.SetHooks(func(int, recoveryfsm.Save) error {
		return errSick
	}, nil)
	engine := recoveryfsm.New(recoveryfsm.Config{Journal: journal})
	t.Cleanup(engine.Stop)

	return engine
}

// TestInterruptedRunGoesOn checks that a run that an earlier process left is
// continued, and that the swap client starts when it stops holding it.
func TestInterruptedRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s := runStarter(t, &startWorld{
			token: generation.TokenPaid,
			act: func(ctx context.Context, facts actions.Facts) (
				actions.Outcome, error) {

				<-goOn
				return blockedBy(states.SwapsInFlight)(
					ctx, facts,
				)
			},
			unfinished: &recoveryfsm.Run{
				ID:      "00000000000000000000000000000001",
				Kind:    states.Restore,
				Version: states.RestoreTable().Version,
				State:   states.ImportToken,
				Created: time.Now(),
			},
		}, nil)
		require.False(t, s.up())
		require.Equal(t, states.RecoveryActive, s.noted)

		close(goOn)
		synctest.Wait()
		require.True(t, s.up())
		run, err := s.engine.Latest(t.Context())
		require.NoError(t, err)
		require.Equal(t, states.SwapsInFlight, run.Reason)
	})
}

// TestHaltedRunIsLeftAlone checks that a run that this process does not go on
// with, because it cannot be saved, is not taken up again and again: each time
// would count as a death of the process.
func TestHaltedRunIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &startWorld{
			token: generation.TokenPaid, rows: 1,
			act: blockedBy(states.SwapsInFlight),
			unfinished: &recoveryfsm.Run{
				ID:      "00000000000000000000000000000001",
				Kind:    states.Restore,
				Version: states.RestoreTable().Version,
				State:   states.ScanDeposits,
				Created: time.Now(),
			},
		}
		s := runStarter(t, world, func(c *starterConfig) {
			world.journal.SetHooks(func(_ int,
				save recoveryfsm.Save) error {

				if save == recoveryfsm.SaveIntent {
					return errSick
				}

				return nil
			}, nil)
		})
		run, err := s.engine.Latest(t.Context())
		require.NoError(t, err)
		require.NotNil(t, run.Halted)

		saves := s.journal.Saves()
		for range 3 {
			s.starter.poke()
			later(probeInterval)
		}
		require.Equal(t, saves, s.journal.Saves())
		require.True(t, s.up())
	})
}
