package chainscan

import (
	"runtime"
	"sync"

	"github.com/looprecovery/looprecovery/chainscan/bip158"
)

// minSievePart is the smallest number of filters that is worth a goroutine.
const minSievePart = 32

// filterSieve asks filters for scripts, on all processors.
type filterSieve struct {
	matchers []bip158.Matcher
	filters  []bip158.Filter
	hits     []bool
}

// match tells, of each block, whether it can pay or spend one of the scripts.
// The result is of value until the next call. The error, of a filter that is
// not well formed, is a *bip158.MalformedError.
func (f *filterSieve) match(scripts *bip158.Scripts, blocks []block) ([]bool,
	error) {

	f.filters, f.hits = f.filters[:0], f.hits[:0]
	for i := range blocks {
		f.filters = append(f.filters, bip158.Filter{
			Block: blocks[i].Hash,
			Data:  blocks[i].filter,
		})
		f.hits = append(f.hits, false)
	}
	if f.matchers == nil {
		f.matchers = make([]bip158.Matcher, runtime.GOMAXPROCS(0))
	}

	var (
		group sync.WaitGroup
		parts = min(len(f.matchers), 1+len(blocks)/minSievePart)
		size  = (len(blocks) + parts - 1) / parts
		errs  = make([]error, parts)
	)
	for part := range parts {
		from := min(part*size, len(blocks))
		to := min(from+size, len(blocks))
		group.Go(func() {
			errs[part] = f.matchers[part].Match(
				scripts, f.filters[from:to],
				func(index int) { f.hits[from+index] = true },
			)
		})
	}
	group.Wait()

	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}

	return f.hits, nil
}
