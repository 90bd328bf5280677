package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/looprecovery/looprecovery/states"
)

const (
	// stableAfter is how long the daemon must have been up for its death
	// not to count as one in a row.
	stableAfter = time.Minute

	// maxFailures is how often in a row the daemon may die before Run gives
	// up and leaves it to whoever supervises the process.
	maxFailures = 5

	// restartPause is the time between a death and the next start.
	restartPause = 2 * time.Second
)

// Run starts the daemon whenever nobody holds it, and again after it died. It
// is called once. It returns nil after the context has ended and the daemon is
// down, and an error if a start failed or the daemon cannot be kept up.
//
// The end of the context stops the daemon at once: no question is asked, no
// call is waited for.
func (g *Gate[I]) Run(ctx context.Context) error {
	end := func() { g.event((*core).end) }
	defer end()
	defer context.AfterFunc(ctx, end)()
	g.event((*core).begin)

	failures := 0
	for g.awaitStart(ctx) {
		running, err := g.start(ctx)
		switch {
		case errors.Is(err, errCalledOff):
			continue

		case err != nil && ctx.Err() != nil:
			return nil

		case err != nil:
			return fmt.Errorf("swap client does not start: %w", err)
		}

		since := g.cfg.Clock.Now()
		err = g.watch(running)
		if err == nil {
			continue
		}
		log.Errorf("The swap client stopped: %v", err)
		if g.cfg.Clock.Now().Sub(since) > stableAfter {
			failures = 0
		}
		if failures++; failures == maxFailures {
			return fmt.Errorf("swap client stopped %d times: %w",
				failures, err)
		}
		g.rest(ctx)
	}

	return nil
}

// awaitStart returns true when the daemon is to be started, and false at the
// end of Run's context.
func (g *Gate[I]) awaitStart(ctx context.Context) bool {
	starting := func(c *core) bool { return c.state == Starting }

	return g.await(ctx, starting) == nil && ctx.Err() == nil
}

// errCalledOff is the cause of the end of a start that is not wanted any more.
var errCalledOff = errors.New("held back")

// start starts the daemon. It returns errCalledOff if nothing was started
// because the start was called off.
func (g *Gate[I]) start(ctx context.Context) (I, error) {
	startCtx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if g.await(startCtx, (*core).unwanted) == nil {
			cancel(errCalledOff)
		}
	}()
	running, err := g.cfg.Start(startCtx)
	cause := context.Cause(startCtx)
	cancel(nil)
	<-watched

	switch {
	case err != nil && cause != nil && errors.Is(err, cause):
		g.event((*core).calledOff)
		return running, errCalledOff

	case err != nil:
		return running, err
	}
	g.event(func(c *core) {
		g.running = running
		g.noted = states.Starting
		g.streams, g.endStreams = context.WithCancel(
			context.Background(),
		)
		c.started()
	})

	return running, nil
}

// watch stops the daemon when it is to be stopped, and returns when it is down:
// with an error only if it ended by itself.
func (g *Gate[I]) watch(running I) error {
	watchCtx, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		stopping := func(c *core) bool { return c.state == Stopping }
		if g.await(watchCtx, stopping) == nil {
			running.Stop()
		}
	}()
	err := <-running.Exited()
	cancel()
	<-watched

	crashed := false
	g.event(func(c *core) {
		var none I
		g.running = none
		crashed = c.exited()
	})

	switch {
	case crashed && err == nil:
		return errors.New("it ended by itself")

	case !crashed && err != nil:
		log.Warnf("The swap client ended with an error: %v", err)
		return nil

	default:
		return err
	}
}

// rest lets the time pass between a death and the next start.
func (g *Gate[I]) rest(ctx context.Context) {
	select {
	case <-g.cfg.Clock.TickAfter(restartPause):
	case <-ctx.Done():
	}
	g.event((*core).rested)
}
