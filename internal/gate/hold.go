package gate

import (
	"context"
	"errors"
	"fmt"
)

// Hold keeps the daemon down until Release. It returns nil when the daemon is
// down, no start is under way and none will be; with any other result nothing
// is held, and nothing was stopped that is not started again:
//
//   - *BusyError: something is in flight, or calls to the daemon do not end;
//   - *AskError: the question failed; it may be asked again;
//   - ErrReleased, ErrEnded: the hold was released meanwhile, or Run has ended;
//   - the cause of the context's end.
//
// It is idempotent: a hold in force is not asked for again, and takes on the
// given reason.
func (g *Gate[I]) Hold(ctx context.Context, holder Holder) error {
	var id int
	err := g.await(ctx, func(c *core) (made bool) {
		id, made = c.claim(holder)
		return made
	})
	if err != nil {
		return err
	}

	err = g.pursue(ctx, id)
	if err != nil {
		g.event(func(c *core) { c.abandon(id) })
	}

	return err
}

// Join keeps the daemon, which others hold, down beyond their release. It asks
// nothing: it is for work that must go on because it stands half way, whatever
// is in flight. It returns false, and holds nothing, if nobody holds the
// daemon.
func (g *Gate[I]) Join(holder Holder) bool {
	joined := false
	g.event(func(c *core) { joined = c.join(holder) })

	return joined
}

// Release ends the hold of a name, and no other. It does not wait for the
// daemon to be up, and does nothing if there is no such hold.
func (g *Gate[I]) Release(name string) {
	g.event(func(c *core) { c.release(name) })
}

// pursue leads a claim on until it is in force, or returns why it is not.
func (g *Gate[I]) pursue(ctx context.Context, id int) error {
	if err := g.awaitCalls(ctx, id); err != nil {
		return err
	}

	for {
		claim, running, err := g.awaitTurn(ctx, id)
		if err != nil || claim.stage == holding {
			return err
		}
		if err := g.ask(ctx, claim, running); err != nil {
			return err
		}
	}
}

// errCallsUnderWay ends the wait for them.
var errCallsUnderWay = errors.New("calls are under way")

// awaitCalls returns when the calls that were admitted before the claim are
// done. None is admitted after it.
func (g *Gate[I]) awaitCalls(ctx context.Context, id int) error {
	patience, cancel := context.WithTimeoutCause(
		ctx, callLimit, errCallsUnderWay,
	)
	defer cancel()

	var calls int
	err := g.await(patience, func(c *core) bool {
		calls = c.calls
		return calls == 0 || c.stage(id) != waiting
	})
	if errors.Is(err, errCallsUnderWay) {
		return &BusyError{Task: fmt.Sprintf(
			"%d calls to the swap client", calls,
		)}
	}

	return err
}

// awaitTurn returns the claim when it is in force, or when it is its turn to
// ask, together with the daemon to ask if the question is about one.
func (g *Gate[I]) awaitTurn(ctx context.Context, id int) (turn claim,
	running I, err error) {

	var refused error
	err = g.await(ctx, func(c *core) bool {
		running = g.running
		switch c.stage(id) {
		case holding, asking:
			turn = *c.find(id)

		case over:
			refused = ErrReleased
			if c.ended {
				refused = ErrEnded
			}

		default:
			return false
		}

		return true
	})

	return turn, running, errors.Join(err, refused)
}

// ask puts the claim's question. An answer that came too late to count is not
// an error: the claim asks again.
func (g *Gate[I]) ask(ctx context.Context, turn claim, running I) error {
	task, err := g.busy(ctx, running, turn.about == Up)
	if err == nil && task != "" {
		err = &BusyError{Task: task}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}

	counts := false
	g.event(func(c *core) { counts = c.answered(turn.id, err == nil) })
	if !counts {
		return nil
	}

	return err
}
