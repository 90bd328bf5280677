package chainscan

import "context"

// begin makes the scripts known that the pass tests, unless they are, and
// chooses between testing all of them and only those that are new since the
// passes before.
func (s *Scan) begin(ctx context.Context) error {
	if s.at.Height < s.cfg.Birthday && s.record == nil && s.match.grows() {
		s.record = s.newRecord()
	}

	if err := s.grow(ctx, s.record != nil); err != nil {
		return err
	}

	// What is known from the first block on needs no looking up.
	if s.at.Height < s.cfg.Birthday {
		s.todo.keys = nil
		s.completeAll()
	}

	return s.focus(ctx)
}

// newRecord returns an empty record for what the scan reads.
func (s *Scan) newRecord() record {
	if s.feed.current() != nil {
		return newFilterRecord(
			s.cfg.Birthday, s.cfg.FilterDir, &s.tuning,
		)
	}

	return newPrintRecord(s.cfg.Birthday, &s.tuning)
}

// grow lets the families grow. What became known by that is to be looked up in
// the record, also if not all of it could be derived.
func (s *Scan) grow(ctx context.Context, eager bool) error {
	added, err := s.match.grow(ctx, s.margin(), eager)
	if s.record != nil {
		s.todo.keys = append(s.todo.keys, added...)
	}

	return err
}

// focus lets the match test what the passes before have left, up to where they
// came, and everything from there on.
func (s *Scan) focus(ctx context.Context) error {
	partial := s.at.Height < s.passed.Height
	if s.focused && partial == s.partial {
		return nil
	}

	var from map[int32]uint32
	if partial {
		from = s.passedFrontier
	}
	s.focused = false
	if err := s.match.relearn(ctx, from); err != nil {
		return err
	}
	s.focused, s.partial = true, partial

	return nil
}

// margin returns the number of scripts beyond the frontier that are tested. It
// doubles with each pass, so that few are needed whatever the chain holds.
func (s *Scan) margin() uint32 {
	blocks := max(s.tip.Height-s.cfg.Birthday, 0)
	margin := min(uint32(blocks/s.tuning.marginShare), s.tuning.marginMax)

	// Each script that a filter is asked for can bring a block for nothing.
	if s.feed.current() != nil {
		margin = min(margin, s.tuning.filterMargin)
	}

	// From the second pass on there is a margin in any case.
	if s.pass > 0 {
		margin = max(margin, s.cfg.LookAhead)
	}
	doubled := uint64(margin) << min(s.pass, 16)

	return uint32(min(doubled, 16*MaxLookAhead))
}

// completeAll says that all scripts that are tested were tested against every
// block walked.
func (s *Scan) completeAll() {
	for _, state := range s.match.families {
		state.complete = state.tested
	}
}

// isOpen tells whether a script that must be tested was not tested against
// every block.
func (s *Scan) isOpen() bool {
	for _, state := range s.match.families {
		if state.complete < state.frontier {
			return true
		}
	}

	return false
}

// nextPass begins a walk from the birthday for the scripts that this pass has
// not tested from there on.
func (s *Scan) nextPass(ctx context.Context) error {
	s.passedFrontier = make(map[int32]uint32)
	for _, state := range s.match.families {
		s.passedFrontier[state.family.ID()] = state.complete
	}

	s.pass++
	s.passed = s.at
	s.at = BlockStamp{Height: s.cfg.Birthday - 1}
	s.dropRecord()

	log.Infof("Scripts became known late: pass %d walks from height %d",
		s.pass, s.cfg.Birthday)

	if err := s.begin(ctx); err != nil {
		return err
	}

	return s.commit(ctx)
}

// settle lets the families grow by what the last block brought. What becomes
// known by that is looked up in the record, which holds this block too, or is
// left to the next pass.
func (s *Scan) settle(ctx context.Context) error {
	if len(s.match.takeFresh()) == 0 {
		return nil
	}

	if err := s.grow(ctx, s.record != nil); err != nil {
		return err
	}

	return s.drain(ctx)
}

// drain looks up in the record what became known late: scripts, and outpoints
// of outputs in earlier blocks. Each script is tested against each block once.
// It can be repeated after an error.
func (s *Scan) drain(ctx context.Context) error {
	if s.record == nil {
		return nil
	}

	for len(s.todo.keys)+len(s.todo.outPoints) > 0 {
		keys, outPoints := len(s.todo.keys), len(s.todo.outPoints)

		query := newQuery(s.todo.keys, s.todo.outPoints)
		stamps, err := s.record.search(query)
		if err != nil {
			s.forget(err)

			return nil
		}
		if len(stamps) > 0 || s.tuning.tested != nil {
			late := s.match.subset(s.todo.keys)
			if err := s.revisit(ctx, stamps, late); err != nil {
				return err
			}
		}

		s.todo.keys = s.todo.keys[keys:]
		s.todo.outPoints = s.todo.outPoints[outPoints:]
		if err := s.grow(ctx, true); err != nil {
			return err
		}
	}
	s.completeAll()

	return nil
}

// revisit walks blocks of the record again, for some of the known scripts. The
// spends of outputs that they bring can lie in any later block of the record.
func (s *Scan) revisit(ctx context.Context, stamps []BlockStamp,
	keys *keySet) error {

	for _, stamp := range stamps {
		blk := s.last
		if blk.BlockStamp != stamp {
			raw, err := s.fetch(ctx, stamp.Hash)
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
		s.tuning.tested(keys, s.record.start(), s.at.Height)
	}

	return nil
}
