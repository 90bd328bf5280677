//go:build unix

package durable

import (
	"os"
	"syscall"
)

// SameDevice reports whether two existing paths are on one file system. ok is
// false where that cannot be told.
func SameDevice(a, b string) (same, ok bool) {
	first, ok := device(a)
	if !ok {
		return false, false
	}
	second, ok := device(b)

	return first == second, ok
}

// device returns the number of the device that a path is on.
func device(path string) (uint64, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}

	// The type of the field depends on the system.
	return uint64(stat.Dev), true //nolint:unconvert
}
