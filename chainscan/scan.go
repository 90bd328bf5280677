package chainscan

import (
	"context"
	"errors"
	"fmt"
)

// DefaultLookAhead is the number of scripts beyond the last used one that are
// tested in each family.
const DefaultLookAhead = 20

// MaxLookAhead bounds the look-ahead.
const MaxLookAhead = 100_000

// Family derives the output scripts of one key family. It is pure. The scanner
// calls Script from several goroutines at once, ahead of its need.
type Family interface {
	// ID is lnd's key family.
	ID() int32

	// Script returns the output script of the key with the given index. It
	// is a taproot script: OP_1 and a push of the 32-byte output key.
	Script(index uint32) ([]byte, error)

	// Fixed returns the one index that this family consists of, and
	// whether that is so. A fixed family does not grow: the legacy address
	// of a generation is one.
	Fixed() (uint32, bool)
}

// Config is everything a scan needs.
type Config struct {
	// Source is the user's lnd: what it says is the best chain is walked,
	// whoever else blocks and filters come from.
	Source Source

	// Blocks, if there are any, are asked in their order for blocks before
	// Source is. One that fails, takes too long or gives another block is
	// left aside for a while. A block is missing if all lack it.
	Blocks []BlockSource

	// Filters, if there are any, are asked in their order for the filters
	// of blocks, so that most of these need not be fetched. One that fails,
	// or contradicts Source, is left aside for a while; with none left all
	// blocks are fetched.
	Filters []FilterSource

	// FilterDir is where filters that are more than fit in memory are kept
	// during the scan, in a file without a name; nowhere if empty.
	FilterDir string

	// Families are the scripts to look for.
	Families []Family

	// Birthday is the height of the first block that is walked.
	Birthday int32

	// LookAhead is the number of scripts beyond the last used one;
	// DefaultLookAhead if zero.
	LookAhead uint32

	// Checkpoint keeps the progress.
	Checkpoint Checkpoint

	// MaxInFlight bounds the number of blocks that are requested at the
	// same time: 1 for a scan that is to stay out of everybody's way. If
	// it is zero as many are as bring them faster.
	MaxInFlight int

	// Progress, if set, is called after each chunk that was committed, and
	// now and then while the source gives errors, by the scanner's
	// goroutine; it must not block.
	Progress func(Progress)
}

// Progress is how far a scan has come.
type Progress struct {
	// Height is the height of the last block of this pass.
	Height int32

	// Birthday and Tip bound the scan.
	Birthday, Tip int32

	// Pass is the number of the current pass, from 0.
	Pass uint32

	// Outputs is the number of outputs found so far.
	Outputs int

	// Reorg, if not nil, says to which block a reorg led the scan back.
	Reorg *BlockStamp

	// Err, if not nil, is the passing error of the source that the scan
	// waits for to end. Nothing is lost by it.
	Err error
}

// Coverage is the evidence of a finished scan: with it "0 deposits found" is a
// statement.
type Coverage struct {
	// Families says what was tested in each family.
	Families []FamilyCoverage

	// Birthday is the first height walked.
	Birthday int32

	// Tip is the last block walked; it was the tip of the best chain.
	Tip BlockStamp

	// Source is the name of the source.
	Source string

	// Passes is the number of walks that were needed.
	Passes uint32

	// Blocks is the number of blocks fetched by this process.
	Blocks uint64

	// Filters names where filters came from; empty if there were none. By
	// them this process needed not fetch RuledOut blocks.
	Filters  string
	RuledOut uint64
}

// Sources says where blocks and filters came from.
func (c *Coverage) Sources() string {
	if c.Filters == "" {
		return c.Source
	}

	return fmt.Sprintf("%s, and the filters of %s, which ruled out %d "+
		"blocks", c.Source, c.Filters, c.RuledOut)
}

// FamilyCoverage says what was tested in one family.
type FamilyCoverage struct {
	// Family is lnd's key family.
	Family int32

	// Fixed says that the family consists of one script.
	Fixed bool

	// Used is the number of indices from 0 to the highest used one, that
	// is the highest used index plus one, or 0 if none was ever used.
	Used uint32

	// Tested is the number of indices from 0 that were tested against
	// every block.
	Tested uint32
}

// Result is a finished scan.
type Result struct {
	// Outputs are all outputs found, sorted by height, transaction and
	// index.
	Outputs []Output

	// Beyond are outputs of indices beyond the look-ahead that the scan
	// came across because it derives ahead of its need, sorted likewise.
	// They are no part of the result, since another scan of the same chain
	// could derive less far: a larger look-ahead makes them so.
	Beyond []Output

	// Coverage is the evidence.
	Coverage Coverage

	// Cursor is where the scan stands.
	Cursor Cursor
}

// ErrConfig is wrapped by errors about a Config that no scan can be run with.
var ErrConfig = errors.New("invalid scan")

// validate checks the configuration and fills in its defaults.
func (c *Config) validate() error {
	if c.LookAhead == 0 {
		c.LookAhead = DefaultLookAhead
	}

	switch {
	case c.Source == nil || c.Checkpoint == nil || len(c.Families) == 0:
		return fmt.Errorf("%w: source, checkpoint or families missing",
			ErrConfig)

	case c.Birthday < 0:
		return fmt.Errorf("%w: birthday %d", ErrConfig, c.Birthday)

	case c.LookAhead > MaxLookAhead:
		return fmt.Errorf("%w: look-ahead of %d, at most %d", ErrConfig,
			c.LookAhead, MaxLookAhead)
	}

	seen := make(map[int32]bool)
	for _, family := range c.Families {
		if seen[family.ID()] {
			return fmt.Errorf("%w: family %d twice", ErrConfig,
				family.ID())
		}
		seen[family.ID()] = true

		index, fixed := family.Fixed()
		if fixed && index >= maxScripts {
			return fmt.Errorf("%w: family %d, index %d", ErrConfig,
				family.ID(), index)
		}
	}

	return nil
}

// Run is Open and Advance until the scan is complete, and returns all that was
// found. While the tip is below the birthday, or below what was walked, it
// waits: the node is catching up.
//
// Errors: *UnavailableError if the node lacks a block; the context's error;
// any error of the checkpoint; ErrFamily and ErrConfig. Passing errors of the
// source are retried until the context ends.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	return run(ctx, cfg, defaultTuning())
}
