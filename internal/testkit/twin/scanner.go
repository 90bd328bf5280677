package twin

import (
	"context"
	"sync"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
)

// Scanner runs the real scan over the twin's chain. Checkpoints are kept for
// each run and survive a crash.
type Scanner struct {
	calls *calls
	chain *Chain

	// wrap, if set, stands before every checkpoint.
	wrap func(chainscan.Checkpoint) chainscan.Checkpoint

	mu          sync.Mutex
	checkpoints map[string]*chainscan.MemoryCheckpoint
}

var _ actions.Scanner = (*Scanner)(nil)

// Scan begins or resumes the scan of a run.
func (s *Scanner) Scan(ctx context.Context, runID string,
	request actions.ScanRequest) (*chainscan.Result, error) {

	var result *chainscan.Result
	err := s.calls.doLnd(ctx, "scanner.Scan", func() error {
		ctx, release := s.calls.process(ctx)
		defer release()

		var err error
		result, err = chainscan.Run(ctx, chainscan.Config{
			Source:     s.chain,
			Families:   remembered(request.Families),
			Birthday:   request.Birthday,
			LookAhead:  request.LookAhead,
			Checkpoint: s.checkpoint(runID),
		})
		if s.calls.dead() {
			return ErrCrashed
		}

		return err
	})

	return result, err
}

// Result returns the outputs that the run's scan has stored.
func (s *Scanner) Result(ctx context.Context, runID string) ([]chainscan.Output,
	error) {

	var outputs []chainscan.Output
	err := s.calls.do(ctx, "scanner.Result", func() error {
		var err error
		_, outputs, err = s.memory(runID).Load(ctx)

		return err
	})

	return outputs, err
}

// SetWrap puts something before the checkpoints of all scans that begin from
// now on.
func (s *Scanner) SetWrap(
	wrap func(chainscan.Checkpoint) chainscan.Checkpoint) {

	s.wrap = wrap
}

// Stored returns the cursor and the outputs that a run's scan has stored,
// without a call of a port.
func (s *Scanner) Stored(runID string) (*chainscan.Cursor,
	[]chainscan.Output) {

	cursor, outputs, err := s.memory(runID).Load(context.Background())
	must(err)

	return cursor, outputs
}

// checkpoint returns the checkpoint of a run as its scan sees it.
func (s *Scanner) checkpoint(runID string) chainscan.Checkpoint {
	var seen chainscan.Checkpoint = &checkpoint{s.calls, s.memory(runID)}
	if s.wrap != nil {
		seen = s.wrap(seen)
	}

	return seen
}

// memory returns the checkpoint of a run.
func (s *Scanner) memory(runID string) *chainscan.MemoryCheckpoint {
	s.mu.Lock()
	defer s.mu.Unlock()

	memory, ok := s.checkpoints[runID]
	if !ok {
		memory = chainscan.NewMemoryCheckpoint()
		s.checkpoints[runID] = memory
	}

	return memory
}

// checkpoint lets the hook see every load and commit.
type checkpoint struct {
	calls  *calls
	memory *chainscan.MemoryCheckpoint
}

// Load returns the cursor and all outputs.
func (c *checkpoint) Load(ctx context.Context) (*chainscan.Cursor,
	[]chainscan.Output, error) {

	var (
		cursor  *chainscan.Cursor
		outputs []chainscan.Output
	)
	err := c.calls.do(ctx, "checkpoint.Load", func() error {
		var err error
		cursor, outputs, err = c.memory.Load(ctx)

		return err
	})

	return cursor, outputs, err
}

// Commit stores a chunk.
func (c *checkpoint) Commit(ctx context.Context, chunk chainscan.Chunk) error {
	return c.calls.do(ctx, "checkpoint.Commit", func() error {
		return c.memory.Commit(ctx, chunk)
	})
}
