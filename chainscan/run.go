package chainscan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/btcsuite/btcd/wire"
)

// tuning are the limits of a scan.
type tuning struct {
	// chunkBlocks, chunkTime and chunkChanges bound what is committed in
	// one chunk, and so what a crash can cost: blocks, time since the last
	// commit, outputs and spends.
	chunkBlocks  int
	chunkTime    time.Duration
	chunkChanges int

	// recordBudget bounds the record of the blocks walked, in bytes, and
	// recordSegment each of its parts, in fingerprints.
	recordBudget, recordSegment int

	// historyDense is the number of blocks below the highest one that the
	// history names without exception. A best chain that ends farther
	// below it, without contradicting it, is that of a node that is
	// catching up.
	historyDense int32

	// marginShare and marginMax say how many scripts beyond the frontier
	// are tested from the start, so that a family can grow by as many
	// without another pass: one for each so many blocks of the scan, and
	// at most so many.
	marginShare int32
	marginMax   uint32

	// backoffMin and backoffMax bound the pause after an error of the
	// source.
	backoffMin, backoffMax time.Duration

	// patience is how long a block may take before the scan looks whether
	// the chain has changed.
	patience time.Duration

	// tested, if a test sets it, is told that some keys were tested against
	// the blocks from one height to another.
	tested func(keys *keySet, first, last int32)
}

// defaultTuning returns the limits of the product.
func defaultTuning() tuning {
	return tuning{
		chunkBlocks:   500,
		chunkTime:     time.Second,
		chunkChanges:  5_000,
		recordBudget:  48 << 20,
		recordSegment: recordSegment,
		historyDense:  historyDense,
		marginShare:   50,
		marginMax:     1_000,
		backoffMin:    100 * time.Millisecond,
		backoffMax:    10 * time.Second,
		patience:      time.Second,
	}
}

// missingChecks is how often a block must be refused again, while it is on the
// best chain, before it counts as missing: that can change between two calls.
const missingChecks = 3

// maxQuietReorgs is how often the chain may change without a new block before
// that is told as trouble.
const maxQuietReorgs = 3

var (
	// errReorg says that a block does not follow the one before.
	errReorg = errors.New("the best chain changed")

	// errBehind says that the node is far behind the scan, or behind its
	// birthday, on the same chain.
	errBehind = errors.New("the node is catching up")
)

// passingError is an error of the source that is retried.
type passingError struct {
	err error
}

// Error implements error.
func (e *passingError) Error() string {
	return fmt.Sprintf("the source of blocks: %v", e.err)
}

// Unwrap returns the source's error.
func (e *passingError) Unwrap() error {
	return e.err
}

// scan is one scan under way. It belongs to one goroutine.
type scan struct {
	cfg    Config
	tuning tuning
	match  *matcher
	pace   *pace
	faults faults

	// source is Config.Source for the calls of this goroutine.
	source promptSource

	// verifier checks the blocks that this goroutine fetches itself.
	verifier *verifier

	// tip is the tip of the best chain as last seen.
	tip BlockStamp

	// pass, at, passed, passedFrontier and history are the fields of the
	// cursor; at is Cursor.Block.
	pass           uint32
	at, passed     BlockStamp
	passedFrontier map[int32]uint32
	history        history

	// focused says that the match knows its scripts, and partial that it
	// tests only those that the passes before have not tested.
	focused, partial bool

	// record, if not nil, holds every block from the birthday to at. The
	// keys and outpoints of todo have not been looked up in it yet. last is
	// the block at, if it was just walked.
	record *record
	prints fingerprints
	todo   struct {
		keys      [][keySize]byte
		outPoints []wire.OutPoint
	}
	last block

	// rollback is the reorg to commit, walked the number of blocks since
	// the last commit, and saved its time.
	rollback *BlockStamp
	walked   int
	saved    time.Time

	// blocks is the number of blocks fetched.
	blocks uint64
}

// run is Run with limits.
func run(ctx context.Context, cfg Config, tuning tuning) (*Result, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	s := newScan(cfg, tuning)
	defer s.match.group.Wait()
	defer cancel()

	if err := s.load(ctx); err != nil {
		return nil, err
	}

	return s.loop(ctx)
}

// newScan returns a scan that has not taken up its checkpoint yet.
func newScan(cfg Config, tuning tuning) *scan {
	return &scan{
		cfg:      cfg,
		tuning:   tuning,
		match:    newMatcher(cfg.Families, cfg.LookAhead),
		pace:     newPace(),
		source:   promptSource{source: cfg.Source},
		verifier: newVerifier(),
		saved:    time.Now(),
	}
}

// loop takes steps until one ends the scan. After a passing error it pauses,
// the longer the more of them come without a block walked in between.
func (s *scan) loop(ctx context.Context) (*Result, error) {
	var (
		backoff  = newBackoff(&s.tuning)
		failures = 0
	)
	for {
		before := s.at
		result, err := s.step(ctx)
		if result != nil {
			return result, nil
		}
		if err == nil || s.at.Height > before.Height {
			backoff, failures = newBackoff(&s.tuning), 0
		}

		var passing *passingError
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()

		case err == nil:
			continue

		case !errors.As(err, &passing):
			return nil, err
		}

		// A reorg is no trouble, unless it has no end.
		failures++
		if !errors.Is(err, errReorg) || failures > maxQuietReorgs {
			log.Warnf("The scan waits at height %d: %v",
				s.at.Height, err)
			s.faults.set(passing.err)
			s.report(nil)
		}
		if err := backoff.wait(ctx); err != nil {
			return nil, ctx.Err()
		}
	}
}

// load takes up the checkpoint.
func (s *scan) load(ctx context.Context) error {
	cursor, outputs, err := s.cfg.Checkpoint.Load(ctx)
	if err != nil {
		return fmt.Errorf("load the scan's checkpoint: %w", err)
	}

	s.at = BlockStamp{Height: s.cfg.Birthday - 1}
	s.passed = s.at

	switch {
	case cursor == nil:

	// Another birthday is another scan: nothing is known about blocks
	// before the old one.
	case cursor.Birthday != s.cfg.Birthday:
		log.Infof("The scan begins anew: its birthday is %d and was %d",
			s.cfg.Birthday, cursor.Birthday)
		s.rollback = &BlockStamp{
			Height: min(cursor.Birthday, s.cfg.Birthday) - 1,
		}

	default:
		s.restore(cursor, outputs)
	}

	return nil
}

// restore continues from a cursor.
func (s *scan) restore(cursor *Cursor, outputs []Output) {
	s.pass = cursor.Pass
	s.at, s.passed = cursor.Block, cursor.Passed
	s.passedFrontier = cursor.PassedFrontier
	s.history = slices.Clone(cursor.History)
	s.match.restore(outputs)

	for _, state := range s.match.families {
		state.complete = cursor.Complete[state.family.ID()]
		state.tested = state.complete
	}
}

// step brings the scan forward: to a proven reorg, to the tip, to the next pass
// or to the result.
func (s *scan) step(ctx context.Context) (*Result, error) {
	tip, err := s.source.BestBlock(ctx)
	if err != nil {
		return nil, s.sourceError(BlockStamp{}, err)
	}
	s.tip = tip
	s.faults.set(nil)

	if err := s.align(ctx); err != nil {
		return nil, err
	}
	if tip.Height < s.cfg.Birthday {
		return nil, &passingError{err: errBehind}
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if err := s.drain(ctx); err != nil {
		return nil, err
	}
	if s.rollback != nil {
		if err := s.commit(ctx); err != nil {
			return nil, err
		}
	}

	switch {
	case s.at.Height < tip.Height:
		return nil, s.walk(ctx, tip.Height)

	case s.open():
		return nil, s.nextPass(ctx)
	}

	return s.finish(ctx)
}

// walk walks the blocks above the cursor up to a height.
func (s *scan) walk(ctx context.Context, to int32) error {
	fetcher := newFetcher(
		ctx, s.cfg.Source, s.pace, &s.tuning, &s.faults,
		s.at.Height+1, to,
	)
	defer fetcher.stop()

	for s.at.Height < to {
		blk, err := fetcher.next(ctx, s.tuning.patience)
		switch {
		case errors.Is(err, errStalled):
			err = s.stalled(ctx)

		case err != nil:
			err = s.unavailable(ctx, err)

			// What was found before a missing block is saved.
			if saveErr := s.commit(ctx); saveErr != nil {
				err = saveErr
			}

		default:
			s.blocks++
			err = s.advance(ctx, blk)
			fetcher.release(blk)
		}

		if err == nil && s.due() {
			err = s.commit(ctx)
		}
		if err != nil {
			return err
		}
	}

	return s.commit(ctx)
}

// unavailable asks again for a block that the node seems to lack, and returns
// the error of the scan: the block could have left the best chain meanwhile.
func (s *scan) unavailable(ctx context.Context, err error) error {
	var missing *UnavailableError
	if !errors.As(err, &missing) {
		return err
	}

	for range missingChecks {
		hash, err := s.source.BlockHash(ctx, missing.Block.Height)
		if err == nil && hash == missing.Block.Hash {
			_, err = s.source.Block(ctx, hash)
		}
		if !errors.Is(err, ErrUnavailable) {
			return &passingError{err: errReorg}
		}
	}

	return missing
}

// advance walks the next block: it tests everything known, and what becomes
// known by it against this block and all before.
func (s *scan) advance(ctx context.Context, blk block) error {
	if !s.follows(blk) {
		return &passingError{err: errReorg}
	}
	if err := s.focus(ctx); err != nil {
		return err
	}

	var prints *fingerprints
	if s.record != nil {
		prints = &s.prints
		prints.reset()
	}
	if err := s.match.walk(blk, prints); err != nil {
		return err
	}
	s.arrive(blk)
	if s.tuning.tested != nil {
		s.tuning.tested(s.match.keys, blk.Height, blk.Height)
	}

	if s.record != nil && !s.record.add(blk.Hash, prints) {
		log.Infof("The record of the blocks walked is full at height "+
			"%d; scripts that become known from here on can take "+
			"another pass", blk.Height)
		s.record = nil
	}

	return s.settle(ctx)
}

// arrive moves the cursor to a block that was walked.
func (s *scan) arrive(blk block) {
	top, ok := s.history.top()
	if !ok || blk.Height > top.Height {
		s.history.push(blk.BlockStamp)
	}

	s.at, s.last = blk.BlockStamp, blk
	s.walked++
	s.faults.set(nil)
}

// sourceError turns an error of the source into one of the scan.
func (s *scan) sourceError(stamp BlockStamp, err error) error {
	if errors.Is(err, ErrUnavailable) {
		return &UnavailableError{
			Block: stamp,
			Err:   err,
		}
	}

	return &passingError{err: err}
}

// finish returns the result if the tip is still the tip.
func (s *scan) finish(ctx context.Context) (*Result, error) {
	if err := s.commit(ctx); err != nil {
		return nil, err
	}

	tip, err := s.source.BestBlock(ctx)
	if err != nil {
		return nil, s.sourceError(BlockStamp{}, err)
	}
	if tip != s.at {
		return nil, nil
	}

	outputs, beyond := s.match.split()
	log.Infof("Scan finished at height %d: %d outputs, %d blocks fetched, "+
		"pass %d", s.at.Height, len(outputs), s.blocks, s.pass)

	return &Result{
		Outputs:  outputs,
		Beyond:   beyond,
		Coverage: s.coverage(),
	}, nil
}

// coverage returns the evidence.
func (s *scan) coverage() Coverage {
	coverage := Coverage{
		Birthday: s.cfg.Birthday,
		Tip:      s.at,
		Source:   s.source.Name(),
		Passes:   s.pass + 1,
		Blocks:   s.blocks,
	}
	for _, state := range s.match.families {
		coverage.Families = append(coverage.Families, FamilyCoverage{
			Family: state.family.ID(),
			Fixed:  state.fixed,
			Used:   state.usedCount(),
			Tested: state.frontier,
		})
	}

	return coverage
}
