package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// RenameNoReplace implements Renamer with renameat2 (Linux 3.15). Some file
// systems, NFS among them, refuse its flag.
func (osFS) RenameNoReplace(from, to string) error {
	err := unix.Renameat2(
		unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE,
	)
	if err != nil {
		return &os.LinkError{
			Op: "renameat2", Old: from, New: to, Err: err,
		}
	}

	return nil
}
