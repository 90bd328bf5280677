package main

import (
	"context"
	"os"
	"time"

	"golang.org/x/term"
)

func main() {
	a := &app{
		in:        os.Stdin,
		out:       os.Stdout,
		err:       os.Stderr,
		width:     terminalWidth,
		now:       time.Now,
		pause:     pause,
		intercept: interceptSignals,
		launch:    launch,
	}
	os.Exit(a.run(context.Background(), os.Args))
}

// terminalWidth returns the number of columns of the terminal that standard
// output is connected to, or 0 if it is connected to something else.
func terminalWidth() int {
	fd := int(os.Stdout.Fd())
	if !term.IsTerminal(fd) {
		return 0
	}

	width, _, err := term.GetSize(fd)
	if err != nil {
		return 0
	}

	return width
}

// pause waits for a while, or until the context ends.
func pause(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil

	case <-ctx.Done():
		return ctx.Err()
	}
}
