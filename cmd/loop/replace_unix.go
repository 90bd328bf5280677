//go:build unix

package main

import (
	"os"
	"syscall"
)

// replaceProcess makes this process the program at the path. It returns only
// if that fails.
func replaceProcess(path string, args []string) (int, error) {
	return 0, syscall.Exec(path, args, os.Environ())
}
