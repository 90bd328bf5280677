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
	// tempPrefix begins the name of a file that is being written. Upstream
	// parses every file whose name begins with l402.token; this must not.
	tempPrefix = ".looprecovery-"

	// tempPerm are the permissions of such a file.
	tempPerm = 0o600

	// dirPerm are the permissions of a directory that we make.
	dirPerm = 0o700
)

// Publish writes a file so that, after any crash or power cut, there is either
// nothing under its name or all of it. It replaces nothing: if there is a file
// under the name already, that is left as it is and the error wraps
// fs.ErrExist.
//
// The contents are synced under a temporary name, the file is then linked to
// its final one, which fails if that exists, and the directory is synced. Only
// after that, and after the file read back as written, does Publish return nil.
// If it returns another error, the file may or may not be there; a complete one
// it is in any case.
func Publish(files FS, dir, name string, data []byte,
	perm fs.FileMode) (err error) {

	var unique [8]byte
	// Read never fails: see its documentation.
	_, _ = rand.Read(unique[:])
	temp := filepath.Join(dir, tempPrefix+hex.EncodeToString(unique[:]))
	final := filepath.Join(dir, name)

	if err := write(files, temp, data, perm); err != nil {
		return err
	}
	defer func() {
		if removeErr := files.Remove(temp); err == nil {
			err = removeErr
		}
	}()

	if err := files.Link(temp, final); err != nil {
		return err
	}
	if err := files.SyncDir(dir); err != nil {
		return fmt.Errorf("%s may not survive a power cut: %w", final,
			err)
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

// write makes a new file with synced contents, or leaves none behind.
func write(files FS, path string, data []byte, perm fs.FileMode) error {
	file, err := files.CreateNew(path, tempPerm)
	if err != nil {
		return err
	}

	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = files.Chmod(path, perm)
	}
	if err != nil {
		return errors.Join(err, files.Remove(path))
	}

	return nil
}

// Move gives a file a new name in another directory of the same file system,
// durably and replacing nothing. At any moment the file has at least one of
// the two names.
func Move(files FS, from, to string) error {
	if err := files.Link(from, to); err != nil {
		return err
	}
	if err := files.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := files.Remove(from); err != nil {
		return err
	}

	return files.SyncDir(filepath.Dir(from))
}

// EnsureDir makes a directory below an existing one, durably. It is no error if
// it is there.
func EnsureDir(files FS, dir string) error {
	err := files.Mkdir(dir, dirPerm)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}

	return files.SyncDir(filepath.Dir(dir))
}
