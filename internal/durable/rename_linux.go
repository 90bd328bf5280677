package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// RenameNoReplace implements Renamer with renameat2 (Linux 3.15). Some file
// systems, NFS among them, refuse its flag.
func (osFS) RenameNoReplace(from, to string) error {
	err := unix.Renameat2(
		unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE,
	)
	switch {
	case err == nil:
		return nil

	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("renameat2: %w", errors.ErrUnsupported)

	default:
		return &os.LinkError{
			Op: "renameat2", Old: from, New: to, Err: err,
		}
	}
}
