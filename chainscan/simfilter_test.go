package chainscan

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/btcsuite/btcd/btcutil/gcs/builder"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan/bip158"
)

// simFilters is a source of filters over the branch of a simSource. They are
// built by btcutil.
type simFilters struct {
	*simSource

	// most is the largest number of blocks that are given at once.
	most int

	// bare leaves out the filter headers, and change, if set, changes an
	// answer before it is given.
	bare   bool
	change func(*FilterRange) (*FilterRange, error)

	mu      sync.Mutex
	scripts map[wire.OutPoint][]byte
	filters map[chainhash.Hash][]byte
}

var _ FilterSource = (*simFilters)(nil)

// newSimFilters returns the filters of a source's blocks.
func newSimFilters(source *simSource) *simFilters {
	return &simFilters{
		simSource: source,
		most:      1_000,
		filters:   make(map[chainhash.Hash][]byte),
	}
}

// Name names the source.
func (s *simFilters) Name() string { return "simulated filters" }

// Filters returns the filters of a range of heights.
func (s *simFilters) Filters(ctx context.Context, first, last int32) (
	*FilterRange, error) {

	s.simSource.mu.Lock()
	defer s.simSource.mu.Unlock()

	if err := s.call(ctx); err != nil {
		return nil, err
	}
	if int(first) >= len(s.branch) {
		return nil, errors.New("no such height")
	}
	last = min(last, int32(len(s.branch))-1, first+int32(s.most)-1)

	answer := &FilterRange{Committed: !s.bare}
	var committed chainhash.Hash
	for height := range last + 1 {
		blk := s.branch[height]
		filter := s.filter(blk)
		if height == first {
			answer.Previous = committed
		}
		committed = bip158.Header(filter, committed)
		if height < first {
			continue
		}
		answer.Blocks = append(answer.Blocks, FilteredBlock{
			Header:       bytes.Clone(blk.raw[:headerSize]),
			Filter:       bytes.Clone(filter),
			FilterHeader: committed,
		})
	}
	if s.change != nil {
		return s.change(answer)
	}

	return answer, nil
}

// filter returns the filter of a block.
func (s *simFilters) filter(blk *simBlock) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()

	if filter, ok := s.filters[blk.Hash]; ok {
		return filter
	}
	s.learn()

	var spent [][]byte
	for _, tx := range blk.msg.Transactions {
		for _, in := range tx.TxIn {
			script, ok := s.scripts[in.PreviousOutPoint]
			if ok {
				spent = append(spent, script)
			}
		}
	}
	filter, err := builder.BuildBasicFilter(blk.msg, spent)
	if err != nil {
		panic(err)
	}
	data, err := filter.NBytes()
	if err != nil {
		panic(err)
	}
	s.filters[blk.Hash] = data

	return data
}

// learn notes the scripts of all outputs of all branches.
func (s *simFilters) learn() {
	s.scripts = make(map[wire.OutPoint][]byte)
	for _, blk := range s.blocks {
		for n, tx := range blk.msg.Transactions {
			for i, out := range tx.TxOut {
				s.scripts[wire.OutPoint{
					Hash: blk.ids[n], Index: uint32(i),
				}] = out.PkScript
			}
		}
	}
}
