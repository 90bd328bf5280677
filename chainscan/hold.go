package chainscan

import (
	"context"
	"errors"
	"time"
)

// ErrBehind says that the node's best chain ends below the blocks walked, or
// below the birthday, and does not contradict them: the node is catching up.
// Nothing is taken back for it. It is wrapped by a passing error.
var ErrBehind = errors.New("the node is catching up")

// Open takes up the scan of a checkpoint, or begins one. The context bounds
// the opening alone; the scan lives until Close.
//
// Errors: any of the checkpoint; ErrConfig.
func Open(ctx context.Context, cfg Config) (*Scan, error) {
	return open(ctx, cfg, defaultTuning())
}

// open is Open with limits.
func open(ctx context.Context, cfg Config, tuning tuning) (*Scan, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}

	s := newScan(ctx, cfg, tuning)
	if err := s.load(ctx); err != nil {
		s.Close()

		return nil, err
	}

	return s, nil
}

// newScan returns a scan that has not taken up its checkpoint yet.
func newScan(ctx context.Context, cfg Config, tuning tuning) *Scan {
	life, end := context.WithCancel(context.WithoutCancel(ctx))

	return &Scan{
		cfg:    cfg,
		tuning: tuning,
		match:  newMatcher(life, cfg.Families, cfg.LookAhead),
		pace:   newPace(cfg.MaxInFlight),
		source: promptSource{source: cfg.Source},
		feed:   newFilterFeed(cfg.Filters, tuning.filterRest),
		nodes:  newBlockSources(&cfg),
		saved:  time.Now(),
		life:   life,
		end:    end,
	}
}

// Close ends what the scan does in the background. Nothing that was saved is
// lost by it.
func (s *Scan) Close() {
	s.end()
	s.match.group.Wait()
	s.dropRecord()
}

// Advance brings the scan forward, by at most the given number of blocks, and
// saves how far it came. It returns true if the scan is complete then: every
// script that must be tested was tested against every block from the birthday
// to the tip. With a budget of 0 it only looks where the tip is.
//
// Errors: *UnavailableError if the node lacks a block; the context's error;
// any error of the checkpoint; ErrFamily. Any other is a passing one of the
// source, among them ErrBehind. After each of them the scan holds what it has
// walked, and Advance can be called again to go on from there, and to save what
// could not be saved.
func (s *Scan) Advance(ctx context.Context, blocks int) (bool, error) {
	s.budget = min(blocks, unlimited)
	for reorgs := 0; ; {
		complete, err := s.step(ctx)
		switch {
		case complete:
			return true, nil

		case ctx.Err() != nil:
			return false, ctx.Err()

		// A reorg is no trouble, unless it has no end.
		case errors.Is(err, errReorg) && reorgs < maxQuietReorgs:
			reorgs++

		case err != nil:
			return false, err

		case s.budget <= 0:
			return false, nil
		}
	}
}

// Cursor returns how far the scan has come.
func (s *Scan) Cursor() Cursor {
	return s.cursor()
}

// Result returns what was found so far. It is a finished scan if Advance has
// just returned true; before that outputs or spends can be missing.
func (s *Scan) Result() *Result {
	outputs, beyond := s.match.split()

	return &Result{
		Outputs:  outputs,
		Beyond:   beyond,
		Coverage: s.coverage(),
		Cursor:   s.cursor(),
	}
}
