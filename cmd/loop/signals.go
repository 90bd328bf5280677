package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interceptSignals returns a context that ends with the first interrupt or
// termination signal. The second one has its ordinary effect, so that a
// command that hangs can still be killed.
func interceptSignals(parent context.Context) (context.Context, func()) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)

	return ctx, stop
}
