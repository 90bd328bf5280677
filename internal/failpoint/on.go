//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"

	"github.com/looprecovery/looprecovery/states"
)

// Variable is the environment variable that names the point to die at.
const Variable = "LOOP_RECOVERY_FAILPOINT"

// onHit is what happens at each point.
var onHit atomic.Pointer[func(name string)]

// init arms the point that the environment names. A name that is not declared
// ends the process: a test with a misspelt point would pass for nothing.
func init() {
	wanted := os.Getenv(Variable)
	if wanted != "" && !slices.Contains(All(), wanted) {
		panic(fmt.Sprintf("%s names no failpoint: %q", Variable,
			wanted))
	}

	dieAt := func(name string) {
		if name == wanted {
			die()
		}
	}
	onHit.Store(&dieAt)
}

// die ends the process at once: no deferred function runs, no file is closed,
// nothing is flushed.
func die() {
	process, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		panic(err)
	}

	// The signal can arrive a moment later; nothing must happen until
	// then.
	select {}
}

// Hit passes the point with the given name.
func Hit(name string) {
	(*onHit.Load())(name)
}

// HitIntent passes the point Intent(state).
func HitIntent(state states.State) {
	Hit(Intent(state))
}

// HitOutcome passes the point Outcome(state).
func HitOutcome(state states.State) {
	Hit(Outcome(state))
}

// SetForTest makes every point call a function instead, and returns a function
// that restores what was before. A test that wants the goroutine to stop there
// blocks in it.
func SetForTest(hook func(name string)) func() {
	before := onHit.Swap(&hook)

	return func() { onHit.Store(before) }
}
