package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// FS is the part of a file system that this project's durable files need. Its
// methods are those of package os, and so are their errors.
type FS interface {
	// CreateNew creates a file that must not exist, open for writing.
	CreateNew(path string, perm fs.FileMode) (File, error)

	// Link gives a file a second name, which must not exist.
	Link(existing, path string) error

	// Remove removes a name.
	Remove(path string) error

	// SyncDir makes the names in a directory durable, or the contents of a
	// file that somebody else wrote.
	SyncDir(path string) error

	// Open opens a file for reading. It never waits, whatever is there, and
	// does not follow a link: what was opened is told by its handle.
	Open(path string) (Handle, error)

	// Follow is Open for a name that may be a link of its owner's.
	Follow(path string) (Handle, error)

	// Lstat describes what has a name, and not what a link points to.
	Lstat(path string) (fs.FileInfo, error)

	// ReadDir lists a directory, or the first limit entries of one that has
	// more: then the error wraps ErrCrowded, beside the entries.
	ReadDir(path string, limit int) ([]fs.DirEntry, error)

	// Mkdir creates a directory that must not exist.
	Mkdir(path string, perm fs.FileMode) error
}

// Renamer is implemented by an FS that may be able to rename a file without
// replacing another.
type Renamer interface {
	// RenameNoReplace renames a file in one step. If the new name exists,
	// nothing changes and the error wraps fs.ErrExist.
	RenameNoReplace(from, to string) error
}

// File is a file that is being written.
type File interface {
	io.WriteCloser

	// Chmod sets the permissions.
	Chmod(perm fs.FileMode) error

	// Sync makes the contents durable.
	Sync() error
}

// Handle is a file that is being read.
type Handle interface {
	io.ReadCloser

	// Stat describes the file that was opened, whatever has its name now.
	Stat() (fs.FileInfo, error)

	// Chmod sets its permissions.
	Chmod(perm fs.FileMode) error
}

// OS returns the operating system's file system.
func OS() FS {
	return osFS{}
}

// osFS implements FS with package os. How files are opened, renamed and synced
// depends on the system.
type osFS struct{}

var (
	_ FS      = osFS{}
	_ Renamer = osFS{}
)

// CreateNew implements FS.
func (osFS) CreateNew(path string, perm fs.FileMode) (File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
}

// Link implements FS.
func (osFS) Link(existing, path string) error {
	return os.Link(existing, path)
}

// Remove implements FS.
func (osFS) Remove(path string) error {
	return os.Remove(path)
}

// Open implements FS.
func (osFS) Open(path string) (Handle, error) {
	file, err := openFile(path)
	if err != nil {
		return nil, err
	}

	return file, nil
}

// Follow implements FS.
func (osFS) Follow(path string) (Handle, error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}

	return osFS{}.Open(target)
}

// Lstat implements FS.
func (osFS) Lstat(path string) (fs.FileInfo, error) {
	return os.Lstat(path)
}

// ErrCrowded is wrapped by the error for a directory with more entries than are
// looked at.
var ErrCrowded = errors.New("too many files")

// ReadDir implements FS. The entries are in the order of their names.
func (osFS) ReadDir(path string, limit int) ([]fs.DirEntry, error) {
	dir, err := openDir(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()

	entries, err := dir.ReadDir(limit + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil && len(entries) > limit {
		entries = entries[:limit]
		err = fmt.Errorf("%s: %w: over %d", path, ErrCrowded, limit)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int {
		return strings.Compare(a.Name(), b.Name())
	})

	return entries, err
}

// Mkdir implements FS.
func (osFS) Mkdir(path string, perm fs.FileMode) error {
	return os.Mkdir(path, perm)
}
