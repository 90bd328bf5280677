package durable

import (
	"os"

	"golang.org/x/sys/windows"
)

// RenameNoReplace implements Renamer with MoveFileEx, which replaces only if it
// is told to.
func (osFS) RenameNoReplace(from, to string) error {
	old, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	err = windows.MoveFileEx(old, name, windows.MOVEFILE_WRITE_THROUGH)
	if err != nil {
		return &os.LinkError{
			Op: "MoveFileEx", Old: from, New: to, Err: err,
		}
	}

	return nil
}
