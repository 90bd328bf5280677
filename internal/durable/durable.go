package durable

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is the part of a file system that publishing a file needs.
type FS interface {
	CreateNew(path string, perm fs.FileMode) (File, error)
	Link(old, new string) error
	Rename(old, new string) error
	Remove(path string) error
	Chmod(path string, perm fs.FileMode) error
	SyncDir(path string) error
	Open(path string) (io.ReadCloser, error)
	Stat(path string) (fs.FileInfo, error)
	ReadDir(path string) ([]fs.DirEntry, error)
	Mkdir(path string, perm fs.FileMode) error
}

// File is a new file.
type File interface {
	io.WriteCloser
	Sync() error
}

type osFS struct{}

// OS returns the operating system's file system.
func OS() FS { return osFS{} }

func (osFS) CreateNew(path string, perm fs.FileMode) (File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
}
func (osFS) Link(o, n string) error                  { return os.Link(o, n) }
func (osFS) Rename(o, n string) error                { return os.Rename(o, n) }
func (osFS) Remove(p string) error                   { return os.Remove(p) }
func (osFS) Chmod(p string, m fs.FileMode) error     { return os.Chmod(p, m) }
func (osFS) Open(p string) (io.ReadCloser, error)    { return os.Open(p) }
func (osFS) Stat(p string) (fs.FileInfo, error)      { return os.Stat(p) }
func (osFS) ReadDir(p string) ([]fs.DirEntry, error) { return os.ReadDir(p) }
func (osFS) Mkdir(p string, m fs.FileMode) error     { return os.Mkdir(p, m) }
func (osFS) SyncDir(p string) error {
	d, err := os.Open(p)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ErrTooLarge is returned by ReadFile for a file over the limit.
var ErrTooLarge = errors.New("file too large")

// ReadFile reads a file of at most limit bytes.
func ReadFile(fsys FS, path string, limit int64) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: %w", path, ErrTooLarge)
	}
	return data, nil
}

// Publish writes a file under its final name durably, replacing nothing.
func Publish(fsys FS, dir, name string, data []byte, perm fs.FileMode) error {
	var random [8]byte
	_, _ = rand.Read(random[:])
	temp := filepath.Join(dir, ".publish-"+hex.EncodeToString(random[:]))
	final := filepath.Join(dir, name)

	f, err := fsys.CreateNew(temp, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = fsys.Remove(temp) }()
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := fsys.Chmod(temp, perm); err != nil {
		return err
	}
	if err := fsys.Link(temp, final); err != nil {
		return err
	}
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	back, err := ReadFile(fsys, final, int64(len(data)))
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return fmt.Errorf("%s does not read back as written", final)
	}
	return nil
}
