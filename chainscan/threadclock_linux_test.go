package chainscan

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadClock returns the processor time that this thread has taken.
func threadClock() time.Duration {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now)
	if err != nil {
		panic(err)
	}

	return time.Duration(now.Nano())
}
