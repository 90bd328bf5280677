package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// ErrTooLarge is wrapped by the error for a file over the limit.
var ErrTooLarge = errors.New("file too large")

// KindError says that a name is not that of a regular file. Such a thing is
// never read: a named pipe would keep a reader waiting, a link leads elsewhere.
type KindError struct {
	// Path is the name.
	Path string

	// Mode has the bits of the kind.
	Mode fs.FileMode
}

// Error implements error.
func (e *KindError) Error() string {
	return e.Path + ": " + e.Kind()
}

// Kind names what has the name.
func (e *KindError) Kind() string {
	switch e.Mode.Type() {
	case fs.ModeDir:
		return "directory"

	case fs.ModeSymlink:
		return "symbolic link"

	case fs.ModeNamedPipe:
		return "named pipe"

	case fs.ModeSocket:
		return "socket"

	default:
		return "device or other special file"
	}
}

// Open opens a regular file of at most limit bytes for reading and describes
// it. It never waits. What is not a regular file is a *KindError, and the error
// for one that is larger wraps ErrTooLarge; the description is given with both.
func Open(files FS, path string, limit int64) (Handle, fs.FileInfo, error) {
	file, err := files.Open(path)

	return judge(files, file, err, path, limit)
}

// judge closes what was opened if it is no regular file, or too large.
func judge(files FS, file Handle, err error, path string, limit int64) (Handle,
	fs.FileInfo, error) {

	if err != nil {
		info, kindErr := kind(files, path)
		if kindErr != nil {
			return nil, info, kindErr
		}

		return nil, nil, err
	}

	info, err := file.Stat()
	switch {
	case err != nil:

	case !info.Mode().IsRegular():
		err = &KindError{Path: path, Mode: info.Mode()}

	case info.Size() > limit:
		err = fmt.Errorf("%s: %w: over %d bytes", path, ErrTooLarge,
			limit)
	}
	if err != nil {
		_ = file.Close()
		return nil, info, err
	}

	return file, info, nil
}

// kind returns a *KindError if what cannot be opened is no regular file: each
// system has errors of its own for that.
func kind(files FS, path string) (fs.FileInfo, error) {
	info, err := files.Lstat(path)
	if err != nil || info.Mode().IsRegular() {
		return nil, nil
	}

	return info, &KindError{Path: path, Mode: info.Mode()}
}

// ReadFile reads a regular file of at most limit bytes: see Open. It never
// reads, nor allocates for, much more than that.
func ReadFile(files FS, path string, limit int64) ([]byte, error) {
	file, _, err := Open(files, path, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()

	return ReadAll(file, path, limit)
}

// ReadLinked is ReadFile for a name that may be a link of its owner's. One that
// leads nowhere is a *KindError.
func ReadLinked(files FS, path string, limit int64) ([]byte, error) {
	file, err := files.Follow(path)
	file, _, err = judge(files, file, err, path, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()

	return ReadAll(file, path, limit)
}

// ReadAll reads the rest of a file that was opened, at most limit bytes: it may
// have grown since.
func ReadAll(file io.Reader, path string, limit int64) ([]byte, error) {
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
