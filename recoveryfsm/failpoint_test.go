//go:build failpoint

package recoveryfsm_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestFailpoints checks where the engine's points lie: a state's intent was
// saved and its action was not called yet; its action was called and its
// outcome was not saved yet.
func TestFailpoints(t *testing.T) {
	w := newWorld(t)
	passed := make(map[string]int)
	var mutex sync.Mutex
	t.Cleanup(failpoint.SetForTest(func(name string) {
		mutex.Lock()
		defer mutex.Unlock()

		passed[name]++
		run, err := w.journal.Unfinished(t.Context())
		if err != nil || run == nil || !run.Acting {
			t.Errorf("%s: no intent, %v", name, err)
			return
		}

		state, side, _ := strings.Cut(name, ".")
		calls := map[string]int{"intent": 0, "outcome": 1}[side]
		if strings.ToLower(string(run.State)) != state ||
			(run.State != states.Start &&
				w.callsOf(run.State) != calls) {

			t.Errorf("%s in %s after %d calls", name, run.State,
				w.callsOf(run.State))
		}
	}))

	engine := w.engine()
	w.checkEnd(wait(t, engine, start(t, engine).ID))
	engine.Stop()

	for _, name := range failpoint.OfEngine() {
		require.Equal(t, 1, passed[name], name)
	}
}
