package chainscan

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
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

	// filterBudget bounds the filters that are kept in a file, in bytes,
	// filterMargin the scripts beyond the frontier that filters are asked
	// for, and filterRest is how long a source of filters that fails is
	// left aside.
	filterBudget int64
	filterMargin uint32
	filterRest   time.Duration

	// historyDense is the number of blocks below the highest one that the
	// history names without exception.
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
		filterBudget:  8 << 30,
		filterMargin:  200,
		filterRest:    filterRest,
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

// unlimited is a budget that no chain uses up, in blocks.
const unlimited = math.MaxInt32

// errReorg says that a block does not follow the one before.
var errReorg = errors.New("the best chain changed")

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

// Scan is a scan that one can hold: it is opened on a checkpoint, brought
// forward (Advance), asked (Result, Cursor), and closed. Whoever opens it again
// goes on where it was. Its methods are called by one goroutine at a time.
type Scan struct {
	cfg    Config
	tuning tuning
	match  *matcher
	pace   *pace
	faults faults

	// source is Config.Source for the calls of this goroutine.
	source promptSource

	// nodes are where blocks come from.
	nodes *blockSources

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
	record record
	prints fingerprints
	todo   struct {
		keys      [][keySize]byte
		outPoints []wire.OutPoint
	}
	last block

	// rollback is the reorg to commit, walked the number of blocks since
	// the last commit, and saved its time. stored is the cursor that the
	// checkpoint holds; doubtful says that the last commit failed, so that
	// it may hold more.
	rollback *BlockStamp
	walked   int
	saved    time.Time
	stored   *Cursor
	doubtful bool

	// budget is the number of blocks that may still be walked.
	budget int

	// blocks is the number of blocks fetched, and ruledOut the number of
	// those that filters made unnecessary.
	blocks, ruledOut uint64

	// feed chooses where filters come from, and sieve asks them.
	feed  *filterFeed
	sieve filterSieve

	// life ends with the scan.
	life context.Context
	end  context.CancelFunc
}

// run is Run with limits.
func run(ctx context.Context, cfg Config, tuning tuning) (*Result, error) {
	s, err := open(ctx, cfg, tuning)
	if err != nil {
		return nil, err
	}
	defer s.Close()

	if err := s.complete(ctx); err != nil {
		return nil, err
	}
	result := s.Result()
	log.Infof("Scan finished at height %d: %d outputs, %d blocks fetched, "+
		"pass %d", s.at.Height, len(result.Outputs), s.blocks, s.pass)

	return result, nil
}

// complete advances until the scan is complete. After a passing error it
// pauses, the longer the more of them come without a block walked in between.
func (s *Scan) complete(ctx context.Context) error {
	backoff := newBackoff(&s.tuning)
	for {
		before := s.at
		complete, err := s.Advance(ctx, unlimited)
		if complete {
			return nil
		}
		if err == nil || s.at.Height > before.Height {
			backoff = newBackoff(&s.tuning)
		}

		var passing *passingError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()

		case err == nil:
			continue

		case !errors.As(err, &passing):
			return err
		}

		log.Warnf("The scan waits at height %d: %v", s.at.Height, err)
		s.faults.set(passing.err)
		s.report(nil)
		if err := backoff.wait(ctx); err != nil {
			return ctx.Err()
		}
	}
}

// load takes up the checkpoint.
func (s *Scan) load(ctx context.Context) error {
	cursor, outputs, err := s.cfg.Checkpoint.Load(ctx)
	if err != nil {
		return fmt.Errorf("load the scan's checkpoint: %w", err)
	}

	s.at = BlockStamp{Height: s.cfg.Birthday - 1}
	s.passed = s.at

	switch {
	case cursor == nil:

	case s.isOther(cursor, outputs):
		log.Infof("The scan begins anew at %d: another birthday, or "+
			"another address", s.cfg.Birthday)
		s.rollback = &BlockStamp{
			Height: min(cursor.Birthday, s.cfg.Birthday) - 1,
		}

	default:
		s.restore(cursor, outputs)
	}

	return nil
}

// isOther tells whether a checkpoint is that of another scan: with another
// birthday nothing is known about the blocks before the old one, and with
// another index a fixed family is another script.
func (s *Scan) isOther(cursor *Cursor, outputs []Output) bool {
	for _, state := range s.match.families {
		count, known := cursor.Frontier[state.family.ID()]
		if known && state.fixed && count != state.frontier {
			return true
		}
	}
	for _, output := range outputs {
		state, known := s.match.known[output.Script.Family]
		if known && state.fixed && output.Script.Index != state.index {
			return true
		}
	}

	return cursor.Birthday != s.cfg.Birthday
}

// restore continues from a cursor.
func (s *Scan) restore(cursor *Cursor, outputs []Output) {
	s.stored = cursor
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

// step brings the scan forward: to a proven reorg, to the tip or the end of
// the budget, to the next pass or to completion, which it tells.
func (s *Scan) step(ctx context.Context) (bool, error) {
	tip, err := s.source.BestBlock(ctx)
	if err != nil {
		return false, s.sourceError(BlockStamp{}, err)
	}
	s.tip = tip
	s.faults.set(nil)

	if err := s.align(ctx); err != nil {
		return false, err
	}
	if tip.Height < s.cfg.Birthday {
		return false, &passingError{err: ErrBehind}
	}
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	if err := s.drain(ctx); err != nil {
		return false, err
	}
	if s.rollback != nil {
		if err := s.commit(ctx); err != nil {
			return false, err
		}
	}

	switch {
	case s.at.Height < tip.Height:
		return false, s.walk(ctx, tip.Height)

	case s.isOpen():
		return false, s.nextPass(ctx)
	}

	return s.finish(ctx)
}

// walk walks the blocks above the cursor up to a height, or as many as the
// budget allows.
func (s *Scan) walk(ctx context.Context, to int32) error {
	to = s.at.Height + min(to-s.at.Height, int32(s.budget))
	if to <= s.at.Height {
		return s.commit(ctx)
	}
	if source := s.feed.current(); source != nil {
		return s.walkFilters(ctx, source, to)
	}

	return s.walkBlocks(ctx, to)
}

// walkBlocks walks all blocks above the cursor up to a height.
func (s *Scan) walkBlocks(ctx context.Context, to int32) error {
	fetcher := s.newFetcher(ctx, heightsFrom(s.at.Height+1, to))
	defer fetcher.stop()

	for s.at.Height < to {
		err := s.advanceFetched(ctx, fetcher, nil)
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
func (s *Scan) unavailable(ctx context.Context, err error) error {
	var missing *UnavailableError
	if !errors.As(err, &missing) {
		return err
	}

	for range missingChecks {
		hash, err := s.source.BlockHash(ctx, missing.Block.Height)
		if err == nil && hash == missing.Block.Hash {
			_, err = s.fetch(ctx, hash)
		}
		if !errors.Is(err, ErrUnavailable) {
			return &passingError{err: errReorg}
		}
	}

	return missing
}

// fetch gets a block for this goroutine.
func (s *Scan) fetch(ctx context.Context, hash chainhash.Hash) ([]byte, error) {
	return promptly(ctx, func() ([]byte, error) {
		return s.nodes.fetch(ctx, hash, newVerifier())
	})
}

// advance walks the next block: it tests everything known, and what becomes
// known by it against this block and all before.
func (s *Scan) advance(ctx context.Context, blk block) error {
	if !s.follows(blk) {
		return &passingError{err: errReorg}
	}
	if err := s.focus(ctx); err != nil {
		return err
	}

	s.prints.reset()
	if !blk.ruledOut() {
		if err := s.match.walk(blk, s.printsWanted()); err != nil {
			return err
		}
	}
	s.arrive(blk)
	if s.tuning.tested != nil {
		s.tuning.tested(s.match.keys, blk.Height, blk.Height)
	}

	if s.record != nil {
		s.forget(s.record.add(blk, &s.prints))
	}

	return s.settle(ctx)
}

// printsWanted returns where a walk puts the fingerprints of a block, or nil if
// nobody needs them.
func (s *Scan) printsWanted() *fingerprints {
	if _, ok := s.record.(*printRecord); ok {
		return &s.prints
	}

	return nil
}

// forget gives the record up for an error, if there is one.
func (s *Scan) forget(err error) {
	if err == nil {
		return
	}
	log.Infof("There is no record of the blocks walked above height %d "+
		"(%v); scripts that become known from here on can take "+
		"another pass", s.at.Height, err)
	s.dropRecord()
}

// dropRecord ends the use of the record.
func (s *Scan) dropRecord() {
	if s.record != nil {
		s.record.close()
	}
	s.record = nil
}

// arrive moves the cursor to a block that was walked.
func (s *Scan) arrive(blk block) {
	top, ok := s.history.top()
	if !ok || blk.Height > top.Height {
		s.history.push(blk.BlockStamp)
	}

	s.at, s.last = blk.BlockStamp, blk
	if blk.ruledOut() {
		s.last = block{}
	}
	s.walked++
	s.budget--
	s.faults.set(nil)
}

// sourceError turns an error of the source into one of the scan.
func (s *Scan) sourceError(stamp BlockStamp, err error) error {
	if errors.Is(err, ErrUnavailable) {
		return &UnavailableError{
			Block: stamp,
			Err:   err,
		}
	}

	return &passingError{err: err}
}

// finish saves what is left to save and tells whether the tip is still the
// tip.
func (s *Scan) finish(ctx context.Context) (bool, error) {
	if err := s.commit(ctx); err != nil {
		return false, err
	}

	tip, err := s.source.BestBlock(ctx)
	if err != nil {
		return false, s.sourceError(BlockStamp{}, err)
	}

	return tip == s.at, nil
}

// coverage returns the evidence.
func (s *Scan) coverage() Coverage {
	coverage := Coverage{
		Birthday: s.cfg.Birthday,
		Tip:      s.at,
		Source:   s.source.Name(),
		Filters:  s.feed.names(),
		RuledOut: s.ruledOut,
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
