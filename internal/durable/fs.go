package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
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

	// Chmod sets the permissions of a file.
	Chmod(path string, perm fs.FileMode) error

	// SyncDir makes the names in a directory durable, or the contents of a
	// file that somebody else wrote.
	SyncDir(path string) error

	// Open opens a file for reading.
	Open(path string) (io.ReadCloser, error)

	// Stat describes a file.
	Stat(path string) (fs.FileInfo, error)

	// ReadDir lists a directory.
	ReadDir(path string) ([]fs.DirEntry, error)

	// Mkdir creates a directory that must not exist.
	Mkdir(path string, perm fs.FileMode) error
}

// Renamer is implemented by an FS that may be able to rename a file without
// replacing another.
type Renamer interface {
	// RenameNoReplace renames a file in one step. If the new name exists,
	// nothing changes and the error wraps fs.ErrExist; where the system
	// cannot do this, it wraps errors.ErrUnsupported.
	RenameNoReplace(from, to string) error
}

// File is a file that is being written.
type File interface {
	io.WriteCloser

	// Sync makes the contents durable.
	Sync() error
}

// OS returns the operating system's file system.
func OS() FS {
	return osFS{}
}

// osFS implements FS with package os.
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

// Chmod implements FS.
func (osFS) Chmod(path string, perm fs.FileMode) error {
	return os.Chmod(path, perm)
}

// SyncDir implements FS.
func (osFS) SyncDir(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}

	return errors.Join(file.Sync(), file.Close())
}

// Open implements FS.
func (osFS) Open(path string) (io.ReadCloser, error) {
	return os.Open(path)
}

// Stat implements FS.
func (osFS) Stat(path string) (fs.FileInfo, error) {
	return os.Stat(path)
}

// ReadDir implements FS.
func (osFS) ReadDir(path string) ([]fs.DirEntry, error) {
	return os.ReadDir(path)
}

// Mkdir implements FS.
func (osFS) Mkdir(path string, perm fs.FileMode) error {
	return os.Mkdir(path, perm)
}

// ErrTooLarge is wrapped by ReadFile's error for a file over the limit.
var ErrTooLarge = errors.New("file too large")

// ReadFile reads a file of at most limit bytes. It never reads, nor allocates
// for, much more than that.
func ReadFile(files FS, path string, limit int64) ([]byte, error) {
	file, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()

	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: %w: over %d bytes", path,
			ErrTooLarge, limit)
	}

	return data, nil
}
