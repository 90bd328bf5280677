package regtest

import (
	"context"
	"fmt"
	"time"
)

const (
	// DefaultTimeout bounds one wait for something that takes a node a
	// few seconds at most. It is generous because two cores may be shared
	// by several networks.
	DefaultTimeout = 90 * time.Second

	// pollInterval is how often a condition is looked at.
	pollInterval = 50 * time.Millisecond
)

// Eventually calls check until it returns nil, and gives up after timeout with
// an error that names what was waited for and wraps check's last error. A
// check that hangs is cancelled through its context.
func Eventually(ctx context.Context, what string, timeout time.Duration,
	check func(ctx context.Context) error) error {

	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()

	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		// An attempt that was cut short says nothing new.
		if last == nil || ctx.Err() == nil {
			last = err
		}

		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waited %v for %s: %w", timeout, what,
				last)
		}
	}
}
