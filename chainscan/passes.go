package chainscan

import "context"

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
	s.record = nil

	log.Infof("Scripts became known late: pass %d walks from height %d",
		s.pass, s.cfg.Birthday)

	if err := s.begin(ctx); err != nil {
		return err
	}

	// Without a block walked there is still something to save.
	s.walked++

	return s.commit(ctx)
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
// of outputs in earlier blocks. Each script is tested against each block once.
// It can be repeated after an error.
func (s *scan) drain(ctx context.Context) error {
	if s.record == nil {
		return nil
	}

	for len(s.todo.keys)+len(s.todo.outPoints) > 0 {
		keys, outPoints := len(s.todo.keys), len(s.todo.outPoints)

		query := newQuery(s.todo.keys, s.todo.outPoints)
		stamps := s.record.search(query)
		if len(stamps) > 0 || s.tuning.tested != nil {
			late := s.match.subset(s.todo.keys)
			if err := s.revisit(ctx, stamps, late); err != nil {
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

// revisit walks blocks of the record again, for some of the known scripts. The
// spends of outputs that they bring can lie in any later block of the record.
func (s *scan) revisit(ctx context.Context, stamps []BlockStamp,
	keys *keySet) error {

	for _, stamp := range stamps {
		blk := s.last
		if blk.BlockStamp != stamp {
			raw, err := fetchVerified(
				ctx, s.source, stamp.Hash, s.verifier,
			)
			if err != nil {
				return s.unavailable(
					ctx, s.sourceError(stamp, err),
				)
			}
			blk = block{BlockStamp: stamp, raw: raw}
			s.blocks++
		}

		err := s.match.walkFor(keys, blk)
		s.todo.outPoints = append(
			s.todo.outPoints, s.match.takeFresh()...,
		)
		if err != nil {
			return err
		}
	}
	if s.tuning.tested != nil {
		s.tuning.tested(keys, s.record.first, s.at.Height)
	}

	return nil
}
