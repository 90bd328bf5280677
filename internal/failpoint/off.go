//go:build !failpoint

package failpoint

import "github.com/looprecovery/looprecovery/states"

// Hit does nothing in this build.
func Hit(string) {}

// HitIntent does nothing in this build.
func HitIntent(states.State) {}

// HitOutcome does nothing in this build.
func HitOutcome(states.State) {}
