package recoveryfsm_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// testTimeout is the limit of every wait of the tests.
const testTimeout = 20 * time.Second

// errDead is returned by every save of a process that has died.
var errDead = errors.New("the process is dead")

// behaviour is what an action does besides its effect. It is called before the
// effect; an error is returned as it is and the effect does not happen.
type behaviour func(ctx context.Context, call int) error

// world is what fake actions act on. It outlives the engines of a test, as lnd
// and the disk outlive a process.
type world struct {
	t       *testing.T
	journal *recoveryfsm.MemoryJournal

	mutex sync.Mutex

	// calls and effects count, for each state, how often its action was
	// called, and how often its effect became visible.
	calls   map[states.State]int
	effects map[states.State]int

	// behave holds what actions do besides.
	behave map[states.State]behaviour

	// reorgs is how often Reconciled still finds a reorganisation.
	reorgs int

	// violations are actions that ran without a saved intent.
	violations []string
}

// newWorld returns a world with an empty journal.
func newWorld(t *testing.T) *world {
	return &world{
		t:       t,
		journal: recoveryfsm.NewMemoryJournal(),
		calls:   make(map[states.State]int),
		effects: make(map[states.State]int),
		behave:  make(map[states.State]behaviour),
	}
}

// engine returns an engine as a new process would make it.
func (w *world) engine(
	change ...func(*recoveryfsm.Config)) *recoveryfsm.Engine {

	cfg := recoveryfsm.Config{
		Journal: w.journal,
		Actions: w.actions,
		Backoff: recoveryfsm.Backoff{
			Min: time.Millisecond, Max: time.Millisecond,
		},
	}
	for _, apply := range change {
		apply(&cfg)
	}
	engine := recoveryfsm.New(cfg)
	w.t.Cleanup(engine.Stop)

	return engine
}

// actions returns the fake action of every state.
func (w *world) actions(id string) map[states.State]actions.Action {
	set := make(map[states.State]actions.Action)
	for _, state := range states.RestoreTable().Path {
		set[state] = w.action(id, state)
	}

	return set
}

// action returns the fake action of a state. It probes its effect, acts if it
// is not there, and checks that its intent was saved.
func (w *world) action(id string, state states.State) actions.Action {
	return func(ctx context.Context, facts actions.Facts) (actions.Outcome,
		error) {

		outcome := actions.Outcome{Event: states.Done, Facts: facts}
		w.checkIntent(id, state)

		w.mutex.Lock()
		w.calls[state]++
		call, behave := w.calls[state], w.behave[state]
		w.mutex.Unlock()

		if behave != nil {
			if err := behave(ctx, call); err != nil {
				return outcome, err
			}
		}

		return w.act(state, outcome), nil
	}
}

// act makes the effect of a state visible.
func (w *world) act(state states.State,
	outcome actions.Outcome) actions.Outcome {

	w.mutex.Lock()
	defer w.mutex.Unlock()

	if w.effects[state] == 0 {
		w.effects[state]++
	}

	switch {
	case state == states.Reconciled && w.reorgs > 0:
		w.reorgs--
		outcome.Event = states.Reorged

	case state == states.Reconciled:
		outcome.Facts.Summary = json.RawMessage(`{"sum":1}`)
	}

	return outcome
}

// checkIntent notes an action that acts without a saved intent.
func (w *world) checkIntent(id string, state states.State) {
	run, err := w.journal.Run(context.Background(), id)
	if err == nil && run.Acting && run.State == state {
		return
	}

	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.violations = append(w.violations, string(state))
}

// allCalls returns how many actions were called so far.
func (w *world) allCalls() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()

	sum := 0
	for _, calls := range w.calls {
		sum += calls
	}

	return sum
}

// set changes what the action of a state does besides.
func (w *world) set(state states.State, behave behaviour) {
	w.mutex.Lock()
	defer w.mutex.Unlock()

	w.behave[state] = behave
}

// dieAt makes the process die around a save: before or after it was stored.
// Nothing is saved from then on until revive.
func (w *world) dieAt(save int, stored bool) {
	dead := func(n int, _ recoveryfsm.Save) error {
		if n > save || (n == save && !stored) {
			return errDead
		}

		return nil
	}
	after := func(n int, _ recoveryfsm.Save) error {
		if n >= save {
			return errDead
		}

		return nil
	}
	w.journal.SetHooks(dead, after)
}

// revive lets saves succeed again.
func (w *world) revive() {
	w.journal.SetHooks(nil, nil)
}

// checkEnd checks that a run has come to its end as if nothing had happened.
func (w *world) checkEnd(run recoveryfsm.Run) {
	w.t.Helper()

	require.Equal(w.t, states.Reconciled, run.State)
	require.True(w.t, run.Finished)
	require.False(w.t, run.Acting)
	require.Empty(w.t, run.LastError)
	require.JSONEq(w.t, `{"sum":1}`, string(run.Facts.Summary))

	table, ok := states.Lookup(run.Kind, run.Version)
	require.True(w.t, ok)
	for _, state := range table.Path {
		require.Equal(w.t, 1, w.effects[state], state)
	}
	require.Empty(w.t, w.violations)
	w.checkHistory(run, table)
}

// checkHistory checks that the events of a run are a path through its table.
func (w *world) checkHistory(run recoveryfsm.Run, table states.Table) {
	w.t.Helper()

	events, err := w.journal.Events(w.t.Context(), run.ID, 0, 100_000)
	require.NoError(w.t, err)
	require.Len(w.t, events, int(run.LastSeq))

	state := states.Start
	for i, event := range events {
		require.Equal(w.t, uint64(i+1), event.Seq)
		require.Equal(w.t, state, event.From)
		require.True(w.t, table.Allows(
			event.From, event.Event, event.To,
		), "%v", event)
		state = event.To
	}
	require.Equal(w.t, run.State, state)
}

// start starts a restore.
func start(t *testing.T, engine *recoveryfsm.Engine) recoveryfsm.Run {
	t.Helper()

	run, err := engine.Start(
		t.Context(), states.Restore, actions.Request{TokenID: "aa"},
	)
	require.NoError(t, err)

	return run
}

// wait waits until a run does not go on by itself.
func wait(t *testing.T, engine *recoveryfsm.Engine,
	id string) recoveryfsm.Run {

	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()

	run, err := engine.Wait(ctx, id)
	require.NoError(t, err)

	return run
}

// until waits until a run fulfils a condition.
func until(t *testing.T, engine *recoveryfsm.Engine, id string,
	condition func(recoveryfsm.Run) bool) recoveryfsm.Run {

	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()

	for update, err := range engine.Subscribe(ctx, id, 0) {
		require.NoError(t, err)
		if condition(update.Run) {
			return update.Run
		}
	}
	require.Fail(t, "the run ended without fulfilling the condition")

	return recoveryfsm.Run{}
}

// hang is the behaviour of an action that goes on until its context ends. It
// tells entered each time.
func hang(entered chan<- struct{}) behaviour {
	return func(ctx context.Context, _ int) error {
		entered <- struct{}{}
		<-ctx.Done()

		return ctx.Err()
	}
}

// receive waits for a value.
func receive[T any](t *testing.T, channel <-chan T) T {
	t.Helper()

	select {
	case value := <-channel:
		return value

	case <-time.After(testTimeout):
		require.Fail(t, "nothing came")
		panic("not reached")
	}
}

// callsOf returns how often the action of a state was called.
func (w *world) callsOf(state states.State) int {
	w.mutex.Lock()
	defer w.mutex.Unlock()

	return w.calls[state]
}
