//go:build !unix

package durable

import (
	"errors"
	"io/fs"
	"os"
)

// openFile opens a file for reading. Without flags against it, what has the
// name is looked at first, and whether that is what was opened afterwards.
func openFile(path string) (*os.File, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, &KindError{Path: path, Mode: before.Mode()}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}

	after, err := file.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = &fs.PathError{
			Op: "open", Path: path,
			Err: errors.New("replaced meanwhile"),
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}

	return file, nil
}

// openDir opens a directory.
func openDir(path string) (*os.File, error) {
	return os.Open(path)
}

// SyncDir implements FS. These systems have no call that makes a directory
// durable, Windows among them, whose file system logs the names; and a file
// must be open for writing to be synced.
func (osFS) SyncDir(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrPermission) {
		// It is read-only; who wrote it synced it before that.
		return nil
	}
	if err != nil {
		return err
	}

	return errors.Join(file.Sync(), file.Close())
}
