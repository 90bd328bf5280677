package chainscan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// filterRange is the largest number of blocks whose filters are asked
	// for at once. Another range can be on its way at the same time.
	filterRange = 250

	// filterDeadline is how long a source may take for a range.
	filterDeadline = 2 * time.Minute

	// filterAttempts is how often in a row a source may fail before it is
	// left aside, and filterRest for how long it is then.
	filterAttempts = 3
	filterRest     = 10 * time.Minute
)

// filterFeed chooses among the filter sources of a scan: the first that has not
// failed lately. It belongs to the scan's goroutine.
type filterFeed struct {
	sources []*feedSource
	rest    time.Duration
}

// feedSource is a source with what it did lately.
type feedSource struct {
	FilterSource

	// failures counts the failures since the last range, and asideUntil
	// says until when the source is not asked.
	failures   int
	asideUntil time.Time

	// used says that blocks were ruled out by it.
	used bool
}

// newFilterFeed returns the feed of some sources.
func newFilterFeed(sources []FilterSource, rest time.Duration) *filterFeed {
	f := &filterFeed{rest: rest}
	for _, source := range sources {
		f.sources = append(f.sources, &feedSource{FilterSource: source})
	}

	return f
}

// current returns the source to ask, or nil if there is none.
func (f *filterFeed) current() *feedSource {
	for _, source := range f.sources {
		if time.Now().After(source.asideUntil) {
			return source
		}
	}

	return nil
}

// failed counts a failure of a source.
func (f *filterFeed) failed(source *feedSource, err error) {
	source.failures++
	stalled := errors.Is(err, errFilterStall)
	if source.failures < filterAttempts && !stalled {
		log.Debugf("No filters from %s: %v", source.Name(), err)

		return
	}

	source.failures = 0
	source.asideUntil = time.Now().Add(f.rest)
	instead := "whole blocks"
	if next := f.current(); next != nil {
		instead = "the filters of " + next.Name()
	}
	log.Warnf("No filters from %s for the next %v, so %s are read: %v",
		source.Name(), f.rest, instead, err)
}

// succeeded takes note of a range that was walked.
func (f *filterFeed) succeeded(source *feedSource) {
	if !source.used {
		log.Infof("The filters of %s say which blocks are read",
			source.Name())
	}
	source.used, source.failures = true, 0
}

// names returns the names of the sources that were used.
func (f *filterFeed) names() string {
	var names []string
	for _, source := range f.sources {
		if source.used {
			names = append(names, source.Name())
		}
	}
	slices.Sort(names)

	return strings.Join(names, " and ")
}

// filterStream asks a source for range after range, one ahead of what it hands
// over.
type filterStream struct {
	answers chan filterAnswer
	cancel  context.CancelFunc
}

// filterAnswer is a range, or the error that ends a stream.
type filterAnswer struct {
	blocks []block
	err    error
}

// newFilterStream begins to ask for the filters of a range of heights.
func newFilterStream(ctx context.Context, source FilterSource, first,
	last int32) *filterStream {

	ctx, cancel := context.WithCancel(ctx)
	s := &filterStream{
		answers: make(chan filterAnswer),
		cancel:  cancel,
	}
	go s.run(ctx, source, first, last)

	return s
}

// run asks until an error or the last height.
func (s *filterStream) run(ctx context.Context, source FilterSource, first,
	last int32) {

	for first <= last {
		end := min(last, first+filterRange-1)
		blocks, err := askFilters(ctx, source, first, end)
		select {
		case s.answers <- filterAnswer{blocks: blocks, err: err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		first += int32(len(blocks))
	}
}

// askFilters asks for one range and checks it by itself.
func askFilters(ctx context.Context, source FilterSource, first,
	last int32) ([]block, error) {

	ctx, cancel := context.WithTimeoutCause(
		ctx, filterDeadline, errFilterStall,
	)
	defer cancel()

	answer, err := promptly(ctx, func() (*FilterRange, error) {
		return source.Filters(ctx, first, last)
	})
	if cause := context.Cause(ctx); errors.Is(cause, errFilterStall) {
		err = cause
	}
	if err != nil {
		return nil, fmt.Errorf("filters from height %d: %w", first, err)
	}

	return answer.verify(first, last)
}

// errFilterStall says that a source did not answer in time.
var errFilterStall = errors.New("no answer in time")

// next waits for the next range. After an error it must not be called.
func (s *filterStream) next(ctx context.Context) ([]block, error) {
	select {
	case answer := <-s.answers:
		return answer.blocks, answer.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stop ends the asking.
func (s *filterStream) stop() {
	s.cancel()
}
