package chainscan

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
)

var (
	// chainsFlag is the number of adversarial chains of a run.
	chainsFlag = flag.Int("chains", 2_000, "number of adversarial chains")

	// peerFlag is the number of them on which btcwallet's recovery is run.
	peerFlag = flag.Int("peerchains", 20, "chains for btcwallet")

	// seedFlag, if set, runs the one chain with this seed.
	seedFlag = flag.Uint64("seed", 0, "seed of one adversarial chain")
)

// errInjected is the error of injected failures.
var errInjected = errors.New("injected")

// killCheckpoint fails one of its commits, before or after storing it.
type killCheckpoint struct {
	Checkpoint

	commits, failAt int
	after           bool
}

// Commit stores a chunk or fails.
func (k *killCheckpoint) Commit(ctx context.Context, chunk Chunk) error {
	k.commits++
	if k.commits != k.failAt {
		return k.Checkpoint.Commit(ctx, chunk)
	}

	if k.after {
		if err := k.Checkpoint.Commit(ctx, chunk); err != nil {
			return err
		}
	}

	return errInjected
}

// randomTuning draws limits that reach every way through the scan.
func randomTuning(rng *rand.Rand) tuning {
	t := defaultTuning()
	t.chunkBlocks = 1 + rng.IntN(20)
	t.marginShare = []int32{1, 10, 1_000}[rng.IntN(3)]
	t.recordBudget = []int{0, 2_000, 6_000, 1 << 20}[rng.IntN(4)]
	t.filterBudget = []int64{0, 2_000, 1 << 30}[rng.IntN(3)]
	t.filterMargin = []uint32{0, 3, 200}[rng.IntN(3)]
	t.filterRest = []time.Duration{
		0, time.Millisecond, time.Hour,
	}[rng.IntN(3)]
	t.recordSegment = []int{5, 50, recordSegment}[rng.IntN(3)]
	t.historyDense = []int32{12, 20, historyDense}[rng.IntN(3)]
	t.backoffMin, t.backoffMax = 20*time.Microsecond, time.Millisecond
	t.patience = 5 * time.Millisecond

	return t
}

// story is one adversarial chain and what happens while it is scanned.
type story struct {
	rng      *rand.Rand
	sim      *simulation
	state    *simState
	source   *simSource
	store    *MemoryCheckpoint
	switches []simSwitch

	// filters, if not nil, are there beside the source.
	filters *simFilters

	// cfg are the settings of the present life.
	cfg Config

	// leave, if not nil, is called at the given call of the source.
	leave   func()
	leaveAt int
}

// simSwitch makes a branch the best chain at a call of the source.
type simSwitch struct {
	call   int
	branch simBranch
}

// newFilterStory draws the same story with filters to go by.
func newFilterStory(seed uint64) *story {
	s := newStory(seed)
	rng := rand.New(rand.NewPCG(seed, 0xf117e2))
	s.filters = newSimFilters(s.source)
	s.filters.most = 1 + rng.IntN(1+rng.IntN(80))
	s.filters.bare = rng.IntN(4) == 0

	return s
}

// newStory draws a story.
func newStory(seed uint64) *story {
	sim := newSimulation(seed)
	s := &story{
		rng:   rand.New(rand.NewPCG(seed, 0x5ca7)),
		sim:   sim,
		state: sim.grow(*sim.genesis(), 10+sim.rng.IntN(50)),
		store: NewMemoryCheckpoint(),
	}
	s.source = newSimSource(s.state.branch)

	// Reorgs and new blocks while the scan runs.
	call := 0
	for range s.rng.IntN(4) {
		call += s.rng.IntN(2 * len(s.state.branch))
		before := s.state.branch
		s.switches = append(s.switches, simSwitch{
			call: call, branch: s.change().branch,
		})

		// Now and then the chain before comes back for a while.
		if s.rng.IntN(4) == 0 {
			for _, branch := range []simBranch{
				before, s.state.branch,
			} {
				call += s.rng.IntN(len(before))
				s.switches = append(s.switches, simSwitch{
					call: call, branch: branch,
				})
			}

			continue
		}

		// Now and then the best chain is cut back for a while first.
		if s.rng.IntN(3) == 0 {
			cut := max(len(before)-1-s.rng.IntN(12), 1)
			last := len(s.switches) - 1
			s.switches = slices.Insert(s.switches, last, simSwitch{
				call: call, branch: before[:cut:cut],
			})
			call += s.rng.IntN(40)
			s.switches[last+1].call = call
		}
	}
	s.source.onCall = s.onCall
	stale := []error{nil, errInjected, ErrUnavailable}
	s.source.stale = stale[s.rng.IntN(len(stale))]

	return s
}

// change returns another best chain: a longer one, or a reorg.
func (s *story) change() *simState {
	if s.rng.IntN(4) == 0 {
		s.state = s.sim.grow(*s.state, 1+s.rng.IntN(3))

		return s.state
	}

	depth := min(1+s.rng.IntN(12), len(s.state.branch)-1)
	s.state = s.sim.fork(s.state, depth, s.rng.IntN(3))

	return s.state
}

// onCall is called with each call of the source, its lock held.
func (s *story) onCall(call int) error {
	for len(s.switches) > 0 && call >= s.switches[0].call {
		s.source.setBranch(s.switches[0].branch)
		s.switches = s.switches[1:]
	}
	if s.leave != nil && call >= s.leaveAt {
		s.leave()
	}
	if call%37 == 0 {
		return errInjected
	}

	return nil
}

// settings draws the settings of a life: those of the simulation, or others
// that a user could have set since the last one.
func (s *story) settings() Config {
	cfg := Config{
		Source:     s.source,
		Families:   s.sim.families,
		Birthday:   s.sim.birthday,
		LookAhead:  s.sim.lookAhead,
		Checkpoint: s.store,
		FilterDir:  os.TempDir(),
	}
	if s.filters != nil && s.rng.IntN(8) > 0 {
		cfg.Filters = []FilterSource{s.filters}
	}
	if s.rng.IntN(2) == 0 {
		cfg.LookAhead = 1 + s.rng.Uint32N(5)
	}
	if s.rng.IntN(3) == 0 {
		s.rng.Shuffle(len(cfg.Families), func(i, j int) {
			cfg.Families = slices.Clone(cfg.Families)
			cfg.Families[i], cfg.Families[j] = cfg.Families[j],
				cfg.Families[i]
		})
		cfg.Families = cfg.Families[:1+s.rng.IntN(len(cfg.Families))]
	}
	if s.rng.IntN(8) == 0 {
		cfg.Birthday = s.rng.Int32N(12)
	}
	if s.rng.IntN(8) == 0 {
		cfg.Families = []Family{&simFamily{
			id: 60, fixed: true, index: s.rng.Uint32N(30),
		}}
	}

	return cfg
}

// run scans to the end, through kills, changed settings, and reorgs while
// nothing runs.
func (s *story) run(ctx context.Context) (*Result, error) {
	for kills := s.rng.IntN(4); ; kills-- {
		result, err := s.live(ctx, kills > 0)
		switch {
		case err == nil && s.settled() && kills <= 0:
			return result, nil

		case err == nil:
			if err := s.agrees(result); err != nil {
				return nil, err
			}

			continue

		case !errors.Is(err, errInjected) &&
			!errors.Is(err, context.Canceled):

			return nil, err
		}

		// A reorg while the scan is down.
		if s.rng.IntN(3) == 0 {
			s.source.mu.Lock()
			s.switches = nil
			s.source.setBranch(s.change().branch)
			s.source.mu.Unlock()
		}
	}
}

// live runs one life of a scan, which can end early.
func (s *story) live(ctx context.Context, killed bool) (*Result, error) {
	s.cfg = s.settings()
	cfg := s.cfg
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	failing := &killCheckpoint{
		Checkpoint: s.store,
		failAt:     1 + s.rng.IntN(6),
		after:      s.rng.IntN(2) == 0,
	}
	switch s.rng.IntN(3) {
	case 0:
		cfg.Checkpoint = failing

		return s.hold(ctx, cfg, killed)

	case 1:
		if killed {
			cfg.Checkpoint = failing
		}

	case 2:
		steps := 1 + s.rng.IntN(6)
		cfg.Progress = func(Progress) {
			steps--
			if steps == 0 && killed {
				cancel()
			}
		}
	}

	return run(ctx, cfg, randomTuning(s.rng))
}

// hold advances a scan in small steps, some of which are cut short by their
// context, until it is complete. One that is killed is closed before.
func (s *story) hold(ctx context.Context, cfg Config, killed bool) (*Result,
	error) {

	scan, err := open(ctx, cfg, randomTuning(s.rng))
	if err != nil {
		return nil, err
	}
	defer scan.Close()

	for steps := s.rng.IntN(20); ; steps-- {
		if steps == 0 && killed {
			return nil, context.Canceled
		}

		complete, err := s.advance(ctx, scan)
		var passing *passingError
		switch {
		case complete:
			return scan.Result(), nil

		case ctx.Err() != nil:
			return nil, ctx.Err()

		case err != nil && !errors.As(err, &passing) &&
			!errors.Is(err, errInjected) &&
			!errors.Is(err, context.Canceled):

			return nil, err
		}
	}
}

// advance brings a scan forward by some blocks.
func (s *story) advance(ctx context.Context, scan *Scan) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	s.source.mu.Lock()
	if s.rng.IntN(3) == 0 {
		s.leave, s.leaveAt = cancel, s.source.calls+s.rng.IntN(12)
	}
	s.source.mu.Unlock()
	complete, err := scan.Advance(ctx, s.rng.IntN(15))
	s.source.mu.Lock()
	s.leave = nil
	s.source.mu.Unlock()

	return complete, err
}

// agrees tells whether the checkpoint holds the result that was returned.
func (s *story) agrees(result *Result) error {
	cursor, stored, err := s.store.Load(context.Background())
	if err != nil {
		return err
	}
	stored = Select(*cursor, stored)
	if !equalOutputs(stored, result.Outputs) {
		return fmt.Errorf("stored %s\nreturned %s", describe(stored),
			describe(result.Outputs))
	}

	return nil
}

// settled tells whether the chain has reached its last state, and makes it so
// otherwise.
func (s *story) settled() bool {
	s.source.mu.Lock()
	defer s.source.mu.Unlock()

	if len(s.switches) == 0 {
		return true
	}
	last := s.switches[len(s.switches)-1]
	s.switches = nil
	s.source.setBranch(last.branch)

	return false
}

// check compares the result with the brute-force oracle on the final chain.
func (s *story) check(result *Result) error {
	wanted := oracle(
		s.source.branch, s.cfg.Families, s.cfg.Birthday,
		s.cfg.LookAhead,
	)
	if !equalOutputs(wanted, result.Outputs) {
		return fmt.Errorf("found %s\nwanted %s",
			describe(result.Outputs), describe(wanted))
	}
	if err := s.agrees(result); err != nil {
		return err
	}

	cursor, _, err := s.store.Load(context.Background())
	if err != nil {
		return err
	}
	tip := s.source.branch[len(s.source.branch)-1].BlockStamp
	if result.Coverage.Tip != tip || cursor.Block != tip {
		return fmt.Errorf("ended at %v and %v, tip %v",
			result.Coverage.Tip, cursor.Block, tip)
	}

	return nil
}

// equalOutputs compares two sorted lists field by field.
func equalOutputs(a, b []Output) bool {
	return slices.EqualFunc(a, b, func(a, b Output) bool {
		return a.OutPoint == b.OutPoint && a.Script == b.Script &&
			bytes.Equal(a.PkScript, b.PkScript) &&
			a.Value == b.Value && a.Block == b.Block &&
			a.BlockTime == b.BlockTime &&
			bytes.Equal(a.FundingTx, b.FundingTx) &&
			equalSpends(a.Spend, b.Spend)
	})
}

// equalSpends compares two spends, or the lack of them, field by field.
func equalSpends(a, b *Spend) bool {
	if a == nil || b == nil {
		return a == b
	}

	return a.TxID == b.TxID && a.InputIndex == b.InputIndex &&
		a.Block == b.Block && a.BlockTime == b.BlockTime &&
		bytes.Equal(a.SpendingTx, b.SpendingTx)
}

// describe prints outputs in a line each.
func describe(outputs []Output) string {
	text := fmt.Sprintf("%d outputs", len(outputs))
	for _, output := range outputs {
		text += fmt.Sprintf("\n  %d %v/%d %v", output.Block.Height,
			output.Script.Family, output.Script.Index,
			output.OutPoint)
		if output.Spend != nil {
			text += fmt.Sprintf(" spent %d %v",
				output.Spend.Block.Height, output.Spend.TxID)
		}
	}

	return text
}

// tally counts what was found.
type tally struct {
	mu sync.Mutex

	outputs int

	// ruledOut is the number of blocks that filters made unnecessary.
	ruledOut uint64

	// peerHits and peerWanted are what btcwallet found and should have, on
	// peerChains chains.
	peerHits, peerWanted, peerChains int
}

// TestAdversarialChains compares the scan with a brute-force walk on random
// chains that are made to mislead it: whoever runs the scan must find every
// deposit and nothing else, whatever the order in which scripts become known,
// and through reorgs, errors and kills. Beside it stands what btcwallet's
// recovery finds on some of the same chains, without reorgs, errors and kills.
func TestAdversarialChains(t *testing.T) {
	t.Parallel()

	first, count := uint64(1), uint64(*chainsFlag)
	if *seedFlag != 0 {
		first, count = *seedFlag, 1
	}
	btcwallet, err := newPeer(t.TempDir())
	require.NoError(t, err)

	var (
		next  atomic.Uint64
		found tally
		group sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for !t.Failed() {
				n := next.Add(1) - 1
				if n >= count {
					return
				}

				var with *peer
				if n%max(count/uint64(*peerFlag), 1) == 0 {
					with = btcwallet
				}
				runStory(t, newStory, first+n, with, &found)
				runStory(
					t, newFilterStory, first+n, nil, &found,
				)
			}
		})
	}
	group.Wait()

	require.False(t, t.Failed())
	require.Positive(t, found.outputs)
	if count >= 100 {
		require.Positive(t, found.ruledOut)
	}
	recall := float64(found.peerHits) / float64(max(found.peerWanted, 1))
	fmt.Printf("adversarial: chains=%d recall=1 precision=1 "+
		"btcwallet_recall=%.3f (outputs=%d, btcwallet on %d of the "+
		"chains; as many chains by their filters, which ruled out %d "+
		"blocks)\n", count, recall, found.outputs, found.peerChains,
		found.ruledOut)
}

// runStory runs the story of a seed and, if there is a peer, lets it recover
// from the chain at its end.
func runStory(t *testing.T, newStory func(uint64) *story, seed uint64,
	with *peer, found *tally) {

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	story := newStory(seed)
	result, err := story.run(ctx)
	if err == nil {
		err = story.check(result)
	}
	if err != nil {
		t.Errorf("seed %d, filters %v (go test -run AdversarialChains "+
			"-seed %d): %v", seed, story.filters != nil, seed, err)

		return
	}

	found.mu.Lock()
	defer found.mu.Unlock()

	found.outputs += len(result.Outputs)
	found.ruledOut += result.Coverage.RuledOut
	if with == nil {
		return
	}
	hits, wanted, err := with.recall(
		story.source.branch, story.cfg.LookAhead, result.Outputs,
	)
	if err != nil {
		t.Error(err)
	}
	found.peerHits += hits
	found.peerWanted += wanted
	found.peerChains++
}

// TestPeerOnPlainChain: on a chain that pays one child after the other, with
// spends, btcwallet finds everything. So what it misses on the others, it
// misses because of them.
func TestPeerOnPlainChain(t *testing.T) {
	t.Parallel()

	const lookAhead = 3
	var spend wire.OutPoint
	txs := make(map[int32][]*wire.MsgTx)
	for index := range uint32(20) {
		tx := payTx(index, spend, index)
		txs[int32(5+index)] = []*wire.MsgTx{tx}
		spend = wire.OutPoint{Hash: tx.TxHash()}
	}
	f := newFixture(2, 40, lookAhead, txs)
	result := f.run(t)
	require.Len(t, result.Outputs, 20)

	btcwallet, err := newPeer(t.TempDir())
	require.NoError(t, err)
	hits, wanted, err := btcwallet.recall(
		f.branch, lookAhead, result.Outputs,
	)
	require.NoError(t, err)
	require.Equal(t, 20, wanted)
	require.Equal(t, wanted, hits)
}
