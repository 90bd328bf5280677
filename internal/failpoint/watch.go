//go:build failpoint

package failpoint

import (
	"os"
	"runtime"
	"strconv"
	"time"
)

// WatchVariable is the environment variable that names a file in which the
// process writes, each second, how many goroutines it has.
const WatchVariable = "LOOP_RECOVERY_WATCH"

// init begins to watch if the environment asks for it.
func init() {
	path := os.Getenv(WatchVariable)
	if path == "" {
		return
	}
	go func() {
		for range time.Tick(time.Second) {
			count := strconv.Itoa(runtime.NumGoroutine())
			err := os.WriteFile(path, []byte(count), 0o600)
			if err != nil {
				panic(err)
			}
		}
	}()
}
