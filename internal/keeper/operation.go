package keeper

import (
	"context"
	"fmt"
	"time"
)

const (
	// operationLimit is how long one operation in a place may take before
	// it is asked to stop: a disk that has to spin up takes ten seconds.
	operationLimit = 15 * time.Second

	// operationGrace is how long after that it may take to return. Then
	// the place counts as silent.
	operationGrace = time.Second
)

// SilentError says that a place does not answer: a call in it has not returned,
// and nothing else is tried there until it does.
type SilentError struct {
	// Since is when that call began.
	Since time.Time
}

// Error implements error.
func (e *SilentError) Error() string {
	return "does not answer since " + e.Since.UTC().Format(time.RFC3339)
}

// operation is something that is done in a place.
type operation struct {
	// began is when it began.
	began time.Time

	// silent is closed when the operation is overdue, and done when it
	// ended, which may be never.
	silent, done chan struct{}
}

// perform does something in a place, after what is being done there. It returns
// at the latest when the context ends or the place turns out to be silent. The
// work goes on without the caller then; it is given a context that ends after
// operationLimit, or with the keeper.
func perform[T any](ctx context.Context, p *place,
	work func(ctx context.Context) (T, error)) (T, error) {

	var none T
	op, err := p.begin(ctx)
	if err != nil {
		return none, err
	}

	type outcome struct {
		value T
		err   error
	}
	result := make(chan outcome, 1)
	go func() {
		defer p.end(op)

		ctx, cancel := context.WithTimeout(p.life, operationLimit)
		defer cancel()
		value, err := work(ctx)
		result <- outcome{value, err}
	}()

	select {
	case got := <-result:
		return got.value, got.err

	case <-op.silent:
		return none, &SilentError{Since: op.began}

	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// begin waits until nothing is being done in the place, and takes it.
func (p *place) begin(ctx context.Context) (*operation, error) {
	for {
		mine, other := p.take()
		if mine != nil {
			return mine, nil
		}

		select {
		case <-other.done:

		case <-other.silent:
			return nil, &SilentError{Since: other.began}

		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take takes the place if nothing is being done in it, and returns what is
// being done otherwise.
func (p *place) take() (mine, other *operation) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.current != nil {
		return nil, p.current
	}

	op := &operation{
		began:  p.now(),
		silent: make(chan struct{}),
		done:   make(chan struct{}),
	}
	p.current = op
	p.overdue = time.AfterFunc(operationLimit+operationGrace, func() {
		p.fallSilent(op)
	})

	return op, nil
}

// fallSilent marks the place as silent if the operation is still going on.
func (p *place) fallSilent(op *operation) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.current != op {
		return
	}
	close(op.silent)
	p.silent = true
	log.Warnf("The backup place %s does not answer", p.dir)
}

// end gives the place free.
func (p *place) end(op *operation) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.overdue.Stop()
	p.current = nil
	if p.silent {
		log.Infof("The backup place %s answers again, after %v", p.dir,
			p.now().Sub(op.began).Round(time.Second))
	}
	p.silent = false
	close(op.done)
}

// EmptyError says that nothing is mounted where a place used to be.
type EmptyError struct {
	// MountRoot is where it was mounted.
	MountRoot string
}

// Error implements error.
func (e *EmptyError) Error() string {
	return fmt.Sprintf("nothing is mounted at %s", e.MountRoot)
}
