package durable

import "os"

// SameDirectory reports whether two existing paths are one directory, by
// whatever names: then a file that is in both is there once. ok is false where
// that cannot be told.
func SameDirectory(a, b string) (same, ok bool) {
	first, err := os.Stat(a)
	if err != nil {
		return false, false
	}
	second, err := os.Stat(b)
	if err != nil {
		return false, false
	}

	return os.SameFile(first, second), true
}
