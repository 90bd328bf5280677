package durable

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

const (
	// tempPerm are the permissions of a file that is being written.
	tempPerm = 0o600

	// dirPerm are the permissions of a directory that we make.
	dirPerm = 0o700
)

// Promise says what can be found under a file's name if the power goes while it
// is written. Afterwards all of it is there, whatever was promised.
type Promise uint8

const (
	// AllOrNothing: nothing, or all of it.
	AllOrNothing Promise = iota

	// MaybeTorn: also a part of it, or its size without its contents. Who
	// reads the file must be able to tell. A file system that has neither a
	// rename that refuses to replace nor hard links allows no more.
	MaybeTorn
)

// Publish writes a file so that, after any crash or power cut, there is either
// nothing under its name or all of it. It replaces nothing: if there is a file
// under the name already, that is left as it is and the error wraps
// fs.ErrExist.
//
// The contents are synced under a temporary name, the file gets its final name
// by a call that fails if that exists, and the directory is synced. Where the
// file system has no such call the file is created under its final name, which
// replaces nothing either, and the promise is a weaker one: everything else
// could destroy a file. Only after that, and after the file read back as
// written, does Publish return nil. If it returns another error, the file may
// or may not be there, as the promise says.
func Publish(files FS, dir, name string, data []byte, perm fs.FileMode) (
	Promise, error) {

	final := filepath.Join(dir, name)
	promise, temp, err := place(files, dir, name, data, perm)
	if err != nil {
		return promise, fmt.Errorf("%s was not written: %w", final, err)
	}

	err = files.SyncDir(dir)
	if promise == MaybeTorn && unable(err) {
		// Such a file system may not know this either.
		err = nil
	}
	if err != nil {
		return promise, fmt.Errorf("%s may not survive a power cut: %w",
			final, err)
	}
	if temp != "" {
		// Should this fail, the next Sweep finds the file. The other
		// name is durable by now.
		_ = files.Remove(temp)
	}

	back, err := ReadFile(files, final, int64(len(data)))
	if err != nil {
		return promise, err
	}
	if !bytes.Equal(back, data) {
		return promise, fmt.Errorf("%s does not read back as it was "+
			"written", final)
	}

	return promise, nil
}

// place gives a new file its final name in the best way that the file system
// knows. It returns the temporary name if the file still has that, too.
func place(files FS, dir, name string, data []byte, perm fs.FileMode) (
	promise Promise, temp string, err error) {

	temp = newTemp(dir, name)
	final := filepath.Join(dir, name)

	if err := write(files, temp, data, perm); err != nil {
		return AllOrNothing, "", err
	}
	twice, err := rename(files, temp, final)
	if err != nil {
		// Should this fail too, the next Sweep finds the file.
		_ = files.Remove(temp)
	}
	switch {
	case unable(err):
		return MaybeTorn, "", write(files, final, data, perm)

	case err != nil || !twice:
		return AllOrNothing, "", err
	}

	return AllOrNothing, temp, nil
}

// newTemp returns a new temporary path for a file of a directory.
func newTemp(dir, name string) string {
	var unique [uniqueSize]byte

	// Read never fails: see its documentation.
	_, _ = rand.Read(unique[:])

	return filepath.Join(
		dir, tempName(hex.EncodeToString(unique[:]), name),
	)
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
		err = ignoreUnsupported(file.Chmod(perm))
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
	if unable(err) {
		return nil
	}

	return err
}

// unable reports whether an error says that the file system cannot do what was
// asked, and not that it failed. Each says so in its own way: NFS refuses the
// flag of renameat2 with EINVAL, FAT a hard link with EPERM, FUSE with ENOSYS
// or ENOTSUP, and a sandbox whatever it does not know with EPERM. Where that
// means that this user may not, the next attempt tells.
func unable(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) ||
		errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, syscall.EINVAL)
}

// rename gives a temporary file its final name, which must not exist: in one
// step where the file system can rename without replacing, and by a hard link
// elsewhere, after which the file has both names.
func rename(files FS, temp, final string) (twice bool, err error) {
	if renamer, ok := files.(Renamer); ok {
		err := renamer.RenameNoReplace(temp, final)
		if !unable(err) {
			return false, err
		}
	}

	return true, files.Link(temp, final)
}
