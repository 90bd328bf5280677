package durable

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

const (
	// tempPerm are the permissions of a file that is being written.
	tempPerm = 0o600

	// dirPerm are the permissions of a directory that we make.
	dirPerm = 0o700
)

// Publish writes a file so that, after any crash or power cut, there is either
// nothing under its name or all of it. It replaces nothing: if there is a file
// under the name already, that is left as it is and the error wraps
// fs.ErrExist.
//
// The contents are synced under a temporary name, the file gets its final name
// by a call that fails if that exists, and the directory is synced. Only after
// that, and after the file read back as written, does Publish return nil. If it
// returns another error, the file may or may not be there; a complete one it is
// in any case.
func Publish(files FS, dir, name string, data []byte, perm fs.FileMode) error {
	var unique [uniqueSize]byte
	// Read never fails: see its documentation.
	_, _ = rand.Read(unique[:])
	temp := filepath.Join(dir, tempName(hex.EncodeToString(unique[:]), name))
	final := filepath.Join(dir, name)

	if err := write(files, temp, data, perm); err != nil {
		return fmt.Errorf("%s was not written: %w", final, err)
	}
	twice, err := rename(files, temp, final)
	if err != nil {
		// Should this fail too, the next Sweep finds the file.
		_ = files.Remove(temp)

		return fmt.Errorf("%s was not written: %w", final, err)
	}
	if err := files.SyncDir(dir); err != nil {
		return fmt.Errorf("%s may not survive a power cut: %w", final,
			err)
	}
	if twice {
		// Likewise. The other name is durable by now.
		_ = files.Remove(temp)
	}

	back, err := ReadFile(files, final, int64(len(data)))
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return fmt.Errorf("%s does not read back as it was written",
			final)
	}

	return nil
}

// write makes a new file with synced contents and permissions, or leaves none
// behind. A file system that knows no permissions is not an obstacle.
func write(files FS, path string, data []byte, perm fs.FileMode) error {
	file, err := files.CreateNew(path, tempPerm)
	if err != nil {
		return err
	}

	_, err = file.Write(data)
	if err == nil && perm != tempPerm {
		err = ignoreUnsupported(files.Chmod(path, perm))
	}
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err != nil {
		// Should this fail too, the next Sweep finds the file.
		_ = files.Remove(path)
	}

	return err
}

// ignoreUnsupported returns nil for the errors of a file system, such as FAT,
// that cannot do what was asked, and other errors as they are.
func ignoreUnsupported(err error) error {
	if errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, errors.ErrUnsupported) {

		return nil
	}

	return err
}

// rename gives a temporary file its final name, which must not exist: in one
// step where the file system can rename without replacing, and by a hard link
// elsewhere, after which the file has both names. Where neither is to be had the
// file is not written: everything else could replace one.
func rename(files FS, temp, final string) (twice bool, err error) {
	if renamer, ok := files.(Renamer); ok {
		err := renamer.RenameNoReplace(temp, final)
		if !errors.Is(err, errors.ErrUnsupported) {
			return false, err
		}
	}

	return true, files.Link(temp, final)
}
