//go:build unix

package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openFile opens a file for reading without waiting for the other end of a
// named pipe, and without following a link.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(
		path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0,
	)
}

// openDir opens a directory, and waits for nothing else that has its name. A
// place may be a link to a directory.
func openDir(path string) (*os.File, error) {
	return os.OpenFile(
		path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_DIRECTORY, 0,
	)
}

// SyncDir implements FS.
func (osFS) SyncDir(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}

	return errors.Join(file.Sync(), file.Close())
}
