//go:build !linux

package chainscan

import "time"

// clockStart is when threadClock began to count.
var clockStart = time.Now()

// threadClock returns the time that has gone by: other processes count.
func threadClock() time.Duration {
	return time.Since(clockStart)
}
