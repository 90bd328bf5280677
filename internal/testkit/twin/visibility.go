package twin

import (
	"context"
	"slices"
	"sync"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
)

// Visibility is the memory of what lnd's wallet cannot see.
type Visibility struct {
	calls *calls

	mu sync.Mutex

	// pending are the scripts with an intent and no answer yet; blind are
	// those whose import was new and that no scan has covered.
	pending, blind map[string]bool

	// unproven says that the memory was lost: the wallet counts as blind
	// for every script until a scan is published.
	unproven bool

	// published holds, for each run, the outputs of its scan.
	published map[string][]chainscan.Output
}

var _ actions.Visibility = (*Visibility)(nil)

// newVisibility returns an empty memory.
func newVisibility(calls *calls) *Visibility {
	return &Visibility{
		calls:     calls,
		pending:   make(map[string]bool),
		blind:     make(map[string]bool),
		published: make(map[string][]chainscan.Output),
	}
}

// ImportIntent saves that a script is about to be imported. An intent that is
// still there from a process that died leaves open whether the import was made:
// from then on the script counts as new, whatever the next import says.
func (v *Visibility) ImportIntent(ctx context.Context, pkScript []byte) error {
	return v.calls.do(ctx, "visibility.ImportIntent", func() error {
		v.mu.Lock()
		defer v.mu.Unlock()

		if v.pending[string(pkScript)] {
			v.blind[string(pkScript)] = true
		}
		v.pending[string(pkScript)] = true

		return nil
	})
}

// ImportDone records whether the script was new.
func (v *Visibility) ImportDone(ctx context.Context, pkScript []byte,
	isNew bool) error {

	return v.calls.do(ctx, "visibility.ImportDone", func() error {
		v.mu.Lock()
		defer v.mu.Unlock()

		if !v.pending[string(pkScript)] {
			v.calls.violate("import without an intent")
		}
		delete(v.pending, string(pkScript))
		if isNew {
			v.blind[string(pkScript)] = true
		}

		return nil
	})
}

// Publish makes the outputs of a finished scan known and ends the blindness.
func (v *Visibility) Publish(ctx context.Context, runID string,
	result *chainscan.Result) error {

	return v.calls.do(ctx, "visibility.Publish", func() error {
		v.mu.Lock()
		defer v.mu.Unlock()

		v.published[runID] = slices.Clone(result.Outputs)
		clear(v.blind)
		v.unproven = false

		return nil
	})
}

// intended reports whether the intent to import a script is saved.
func (v *Visibility) intended(pkScript []byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()

	return v.pending[string(pkScript)]
}

// Blind reports whether the wallet counts as blind for a script.
func (v *Visibility) Blind(pkScript []byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()

	return v.unproven || v.pending[string(pkScript)] ||
		v.blind[string(pkScript)]
}

// Published returns what a run published, and whether it did.
func (v *Visibility) Published(runID string) ([]chainscan.Output, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()

	outputs, ok := v.published[runID]

	return slices.Clone(outputs), ok
}
