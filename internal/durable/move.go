package durable

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// maxCopied is the largest file that is copied where it cannot be renamed, in
// bytes.
const maxCopied = 1 << 20

// Move gives a file a new name in another directory of the same file system,
// durably and replacing nothing. Where the file system has hard links, the file
// has at least one of the two names at any moment, whatever a power cut undoes;
// where it has not even a rename that refuses to replace, a copy is durable
// before the file is removed.
func Move(files FS, from, to string) error {
	renamed, err := moveName(files, from, to)
	if err != nil {
		return err
	}
	if err := files.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if !renamed {
		if err := files.Remove(from); err != nil {
			return err
		}
	}

	return files.SyncDir(filepath.Dir(from))
}

// moveName gives a file its new name. It prefers a hard link, which leaves the
// old name in place until the new one is durable.
func moveName(files FS, from, to string) (renamed bool, err error) {
	err = files.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) ||
		errors.Is(err, fs.ErrNotExist) {

		return false, err
	}

	renamer, ok := files.(Renamer)
	if ok {
		renameErr := renamer.RenameNoReplace(from, to)
		if renameErr == nil {
			return true, nil
		}
		err = errors.Join(err, renameErr)
		ok = !unable(renameErr)
	}
	if ok {
		return false, err
	}
	if copyErr := copyFile(files, from, to); copyErr != nil {
		return false, errors.Join(err, copyErr)
	}

	return false, nil
}

// copyFile makes a file with the contents and permissions of another.
func copyFile(files FS, from, to string) error {
	file, info, err := Open(files, from, maxCopied)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()

	data, err := ReadAll(file, from, maxCopied)
	if err != nil {
		return err
	}

	return write(files, to, data, info.Mode().Perm())
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
