package chainscan

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

	s := &scan{
		cfg:      cfg,
		tuning:   tuning,
		match:    newMatcher(cfg.Families, cfg.LookAhead),
		pace:     newPace(),
		verifier: newVerifier(),
		saved:    time.Now(),
	}
	defer s.match.group.Wait()
	defer cancel()

	if err := s.load(ctx); err != nil {
		return nil, err
	}

	backoff := newBackoff(&s.tuning)
	for {
		result, err := s.step(ctx)
		if result != nil {
			return result, nil
		}

		var passing *passingError
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()

		case err == nil:
			backoff = newBackoff(&s.tuning)

			continue

		case !errors.As(err, &passing):
			return nil, err
		}

		if !errors.Is(err, errReorg) {
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
	tip, err := s.cfg.Source.BestBlock(ctx)
	if err != nil {
		return nil, s.sourceError(BlockStamp{}, err)
	}
	s.tip = tip

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

// align makes sure that the blocks walked are on the best chain, and rolls back
// to the last one that is if not.
func (s *scan) align(ctx context.Context) error {
	proven := false
	for i, stamp := range slices.Backward(s.history) {
		if stamp.Height > s.tip.Height {
			continue
		}

		on, err := s.onBestChain(ctx, stamp)
		switch {
		case err != nil:
			return err

		case on && i == len(s.history)-1:
			return s.alignCursor(ctx)

		case on:
			return s.leave(stamp, proven)
		}
		proven = true
	}

	switch {
	case len(s.history) == 0:
		return nil

	case !proven:
		return &passingError{err: errBehind}
	}
	s.rollBack(BlockStamp{Height: s.cfg.Birthday - 1})

	return nil
}

// leave rolls back to the last block that is on the best chain. It is no reorg
// if the best chain ends far below what was walked and does not contradict it:
// then the node is catching up.
func (s *scan) leave(last BlockStamp, proven bool) error {
	top, _ := s.history.top()
	if !proven && top.Height-s.tip.Height > s.tuning.historyDense {
		return &passingError{err: errBehind}
	}
	s.rollBack(last)

	return nil
}

// alignCursor makes sure that the cursor is on the best chain, where the
// highest block walked is. In a later pass it can have strayed to a branch that
// was the best chain for a while.
func (s *scan) alignCursor(ctx context.Context) error {
	top, _ := s.history.top()
	if s.at.Height < s.cfg.Birthday || s.at == top {
		return nil
	}

	on, err := s.onBestChain(ctx, s.at)
	if err != nil || on {
		return err
	}

	to := BlockStamp{Height: s.cfg.Birthday - 1}
	for _, stamp := range s.history {
		if stamp.Height < s.at.Height {
			to = stamp
		}
	}
	s.rollBack(to)

	return nil
}

// onBestChain tells whether a block is on the best chain.
func (s *scan) onBestChain(ctx context.Context, stamp BlockStamp) (bool,
	error) {

	if stamp.Height == s.tip.Height {
		return stamp.Hash == s.tip.Hash, nil
	}

	hash, err := s.cfg.Source.BlockHash(ctx, stamp.Height)
	if err != nil {
		return false, s.sourceError(
			BlockStamp{Height: stamp.Height}, err,
		)
	}

	return hash == stamp.Hash, nil
}

// rollBack forgets everything above a block, after a reorg.
func (s *scan) rollBack(to BlockStamp) {
	log.Infof("Reorg: the scan goes back from height %d to %d (%v)",
		s.at.Height, to.Height, to.Hash)

	if s.at.Height > to.Height {
		s.at = to
	}
	if s.passed.Height > to.Height {
		s.passed = to
	}
	if s.rollback == nil || s.rollback.Height > to.Height {
		s.rollback = &to
	}

	s.history.truncate(to.Height)
	s.match.rollBack(to.Height)
	s.last = block{}
	if s.record != nil {
		s.record.truncate(to.Height)
	}
}

// begin makes the scripts known that the pass tests, unless they are, and
// chooses between testing all of them and only those that are new since the
// passes before.
func (s *scan) begin(ctx context.Context) error {
	if s.at.Height < s.cfg.Birthday && s.record == nil {
		s.record = newRecord(s.cfg.Birthday, &s.tuning)
	}

	added, err := s.match.grow(ctx, s.margin(), s.record != nil)
	if err != nil {
		return err
	}

	// What is known from the first block on needs no looking up.
	switch {
	case s.at.Height < s.cfg.Birthday:
		s.completeAll()

	case s.record != nil:
		s.todo.keys = append(s.todo.keys, added...)
	}

	return s.focus(ctx)
}

// focus lets the match test what the passes before have left, up to where they
// came, and everything from there on.
func (s *scan) focus(ctx context.Context) error {
	partial := s.at.Height < s.passed.Height
	if s.focused && partial == s.partial {
		return nil
	}

	var from map[int32]uint32
	if partial {
		from = s.passedFrontier
	}
	s.focused, s.partial = true, partial

	return s.match.relearn(ctx, from)
}

// margin returns the number of scripts beyond the frontier that are tested. It
// doubles with each pass, so that few are needed whatever the chain holds.
func (s *scan) margin() uint32 {
	blocks := max(s.tip.Height-s.cfg.Birthday, 0)
	margin := min(uint32(blocks/s.tuning.marginShare), s.tuning.marginMax)

	// From the second pass on there is a margin in any case.
	if s.pass > 0 {
		margin = max(margin, s.cfg.LookAhead)
	}
	doubled := uint64(margin) << min(s.pass, 16)

	return uint32(min(doubled, 16*MaxLookAhead))
}

// completeAll says that all scripts that are tested were tested against every
// block walked.
func (s *scan) completeAll() {
	for _, state := range s.match.families {
		state.complete = state.tested
	}
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

// stalled looks, while a block does not arrive, whether the chain has changed.
func (s *scan) stalled(ctx context.Context) error {
	if s.faults.get() != nil {
		s.report(nil)
	}

	tip, err := s.cfg.Source.BestBlock(ctx)
	if err != nil {
		return nil
	}
	if tip.Height <= s.at.Height {
		return &passingError{err: errReorg}
	}

	s.tip = tip
	top, ok := s.history.top()
	if !ok || top.Height > tip.Height {
		return nil
	}
	on, err := s.onBestChain(ctx, top)
	if err != nil || on {
		return nil
	}

	return &passingError{err: errReorg}
}

// unavailable asks again for a block that the node seems to lack, and returns
// the error of the scan: the block could have left the best chain meanwhile.
func (s *scan) unavailable(ctx context.Context, err error) error {
	var missing *UnavailableError
	if !errors.As(err, &missing) {
		return err
	}

	hash, err := s.cfg.Source.BlockHash(ctx, missing.Block.Height)
	if err == nil && hash == missing.Block.Hash {
		_, err = s.cfg.Source.Block(ctx, hash)
	}
	if !errors.Is(err, ErrUnavailable) {
		return &passingError{err: errReorg}
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

	if s.record != nil && !s.record.add(blk.Hash, prints) {
		log.Infof("The record of the blocks walked is full at height "+
			"%d; scripts that become known from here on can take "+
			"another pass", blk.Height)
		s.record = nil
	}

	return s.settle(ctx)
}

// follows tells whether a block is the next one of the chain walked.
func (s *scan) follows(blk block) bool {
	var none chainhash.Hash
	if s.at.Hash != none && headerPrevious(blk.raw) != s.at.Hash {
		return false
	}

	known, ok := s.history.at(blk.Height)

	return !ok || known.Hash == blk.Hash
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

// settle lets the families grow by what the last block brought. What becomes
// known by that is looked up in the record, which holds this block too, or is
// left to the next pass.
func (s *scan) settle(ctx context.Context) error {
	if len(s.match.takeFresh()) == 0 {
		return nil
	}

	added, err := s.match.grow(ctx, s.margin(), s.record != nil)
	if err != nil || s.record == nil {
		return err
	}
	s.todo.keys = append(s.todo.keys, added...)

	return s.drain(ctx)
}

// drain looks up in the record what became known late: scripts, and outpoints
// of outputs in earlier blocks. It can be repeated after an error.
func (s *scan) drain(ctx context.Context) error {
	if s.record == nil {
		return nil
	}

	for len(s.todo.keys)+len(s.todo.outPoints) > 0 {
		keys, outPoints := len(s.todo.keys), len(s.todo.outPoints)

		query := newQuery(s.todo.keys, s.todo.outPoints)
		for _, stamp := range s.record.search(query) {
			if err := s.revisit(ctx, stamp); err != nil {
				return err
			}
		}

		added, err := s.match.grow(ctx, s.margin(), true)
		if err != nil {
			return err
		}
		s.todo.keys = append(s.todo.keys[keys:], added...)
		s.todo.outPoints = s.todo.outPoints[outPoints:]
	}
	s.completeAll()

	return nil
}

// revisit walks a block of the record again. The spends of outputs that it
// brings can lie in any later block of the record.
func (s *scan) revisit(ctx context.Context, stamp BlockStamp) error {
	blk := s.last
	if blk.BlockStamp != stamp {
		raw, err := fetchVerified(
			ctx, s.cfg.Source, stamp.Hash, s.verifier,
		)
		if err != nil {
			return s.unavailable(ctx, s.sourceError(stamp, err))
		}
		blk = block{BlockStamp: stamp, raw: raw}
		s.blocks++
	}

	err := s.match.walk(blk, nil)
	s.todo.outPoints = append(s.todo.outPoints, s.match.takeFresh()...)

	return err
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

// due tells whether it is time to commit.
func (s *scan) due() bool {
	if s.walked == 0 {
		return false
	}

	return s.walked >= s.tuning.chunkBlocks ||
		len(s.match.changes) >= s.tuning.chunkChanges ||
		time.Since(s.saved) >= s.tuning.chunkTime
}

// commit saves the cursor and what was found up to it.
func (s *scan) commit(ctx context.Context) error {
	if s.walked == 0 && s.rollback == nil {
		return nil
	}

	s.history.thin(s.tuning.historyDense)
	outputs, spends := s.match.takeChanges()
	chunk := Chunk{
		Cursor:     s.cursor(),
		RollbackTo: s.rollback,
		Outputs:    outputs,
		Spends:     spends,
	}
	if err := s.cfg.Checkpoint.Commit(ctx, chunk); err != nil {
		return fmt.Errorf("save the scan's progress: %w", err)
	}

	s.rollback = nil
	s.walked, s.saved = 0, time.Now()
	s.report(chunk.RollbackTo)

	return nil
}

// cursor returns the state to save.
func (s *scan) cursor() Cursor {
	cursor := Cursor{
		Birthday:       s.cfg.Birthday,
		Pass:           s.pass,
		Block:          s.at,
		Frontier:       make(map[int32]uint32),
		Complete:       make(map[int32]uint32),
		Passed:         s.passed,
		PassedFrontier: maps.Clone(s.passedFrontier),
		History:        slices.Clone(s.history),
	}
	for _, state := range s.match.families {
		cursor.Frontier[state.family.ID()] = state.frontier
		cursor.Complete[state.family.ID()] = state.complete
	}

	return cursor
}

// report tells the progress.
func (s *scan) report(reorg *BlockStamp) {
	if s.cfg.Progress == nil {
		return
	}

	s.cfg.Progress(Progress{
		Height:   s.at.Height,
		Birthday: s.cfg.Birthday,
		Tip:      s.tip.Height,
		Pass:     s.pass,
		Outputs:  s.match.countInside(),
		Reorg:    reorg,
		Err:      s.faults.get(),
	})
}

// open tells whether a script that must be tested was not tested against every
// block.
func (s *scan) open() bool {
	for _, state := range s.match.families {
		if state.complete < state.frontier {
			return true
		}
	}

	return false
}

// nextPass begins a walk from the birthday for the scripts that this pass has
// not tested from there on.
func (s *scan) nextPass(ctx context.Context) error {
	s.passedFrontier = make(map[int32]uint32)
	for _, state := range s.match.families {
		s.passedFrontier[state.family.ID()] = state.complete
	}

	s.pass++
	s.passed = s.at
	s.at = BlockStamp{Height: s.cfg.Birthday - 1}
	s.record, s.last = nil, block{}

	log.Infof("Scripts became known late: pass %d walks from height %d",
		s.pass, s.cfg.Birthday)

	if err := s.begin(ctx); err != nil {
		return err
	}

	// Without a block walked there is still something to save.
	s.walked++

	return s.commit(ctx)
}

// finish returns the result if the tip is still the tip.
func (s *scan) finish(ctx context.Context) (*Result, error) {
	if err := s.commit(ctx); err != nil {
		return nil, err
	}

	tip, err := s.cfg.Source.BestBlock(ctx)
	if err != nil {
		return nil, s.sourceError(BlockStamp{}, err)
	}
	if tip != s.at {
		return nil, nil
	}

	outputs, beyond := s.match.split()

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
		Source:   s.cfg.Source.Name(),
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
