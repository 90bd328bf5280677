package recoveryfsm

import (
	"context"
	"time"
)

// deadline returns how long an attempt at the run's state can go without
// progress.
func (r *runner) deadline() time.Duration {
	deadline, ok := r.engine.cfg.Deadlines[r.run.State]
	if !ok {
		return DefaultDeadline
	}

	return deadline
}

// guard returns a context for one attempt. It ends with errStalled if the
// attempt goes without progress for too long. The function returned releases
// it.
func (r *runner) guard(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	deadline := r.deadline()
	start := r.engine.cfg.Clock.Now()
	due := r.engine.cfg.Clock.TickAfter(deadline)

	go func() {
		for {
			select {
			case <-ctx.Done():
				return

			case <-due:
			}

			last := start
			reported := r.activity.progress.reported()
			if reported.After(last) {
				last = reported
			}
			now := r.engine.cfg.Clock.Now()
			left := deadline - now.Sub(last)
			if left <= 0 {
				cancel(errStalled)
				return
			}
			due = r.engine.cfg.Clock.TickAfter(left)
		}
	}()

	return ctx, func() { cancel(nil) }
}
