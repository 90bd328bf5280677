package twin

import (
	"bytes"
	"cmp"
	"context"
	"io/fs"
	"path"
	"sync"

	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/testkit/crash"
)

// Disk is the file system of the client's machine. It keeps what was written
// when the process ends, but not when the power goes: see PowerCut.
type Disk struct {
	calls *calls

	mu     sync.Mutex
	fs     *crash.FS
	broken map[string]error
}

var (
	_ durable.FS      = (*Disk)(nil)
	_ durable.Renamer = (*Disk)(nil)
)

// newDisk returns a disk with the given directories.
func newDisk(calls *calls, dirs ...string) *Disk {
	return &Disk{
		calls:  calls,
		fs:     crash.New(crash.Renames|crash.Links, dirs...),
		broken: make(map[string]error),
	}
}

// CreateNew creates a file that must not exist.
func (d *Disk) CreateNew(name string, perm fs.FileMode) (file durable.File,
	err error) {

	err = d.do("disk.CreateNew", name, func(files *crash.FS) error {
		created, err := files.CreateNew(name, perm)
		file = &diskFile{disk: d, name: name, file: created}

		return err
	})
	if err != nil {
		return nil, err
	}

	return file, nil
}

// Link gives a file a second name.
func (d *Disk) Link(existing, name string) error {
	return d.do("disk.Link", name, func(files *crash.FS) error {
		return files.Link(existing, name)
	})
}

// RenameNoReplace gives a file another name, which must not exist.
func (d *Disk) RenameNoReplace(from, to string) error {
	return d.do("disk.Rename", to, func(files *crash.FS) error {
		return files.RenameNoReplace(from, to)
	})
}

// Remove removes a name.
func (d *Disk) Remove(name string) error {
	return d.do("disk.Remove", name, func(files *crash.FS) error {
		return files.Remove(name)
	})
}

// SyncDir makes the names in a directory durable.
func (d *Disk) SyncDir(name string) error {
	return d.do("disk.SyncDir", name, func(files *crash.FS) error {
		return files.SyncDir(name)
	})
}

// Open opens a file for reading.
func (d *Disk) Open(name string) (handle durable.Handle, err error) {
	err = d.do("disk.Open", name, func(files *crash.FS) error {
		opened, err := files.Open(name)
		handle = &diskHandle{Handle: opened, disk: d, name: name}

		return err
	})
	if err != nil {
		return nil, err
	}

	return handle, nil
}

// Follow opens a file for reading: no link here leads anywhere.
func (d *Disk) Follow(name string) (durable.Handle, error) {
	return d.Open(name)
}

// Lstat describes what has a name.
func (d *Disk) Lstat(name string) (info fs.FileInfo, err error) {
	err = d.do("disk.Lstat", name, func(files *crash.FS) error {
		info, err = files.Lstat(name)

		return err
	})

	return info, err
}

// ReadDir lists a directory.
func (d *Disk) ReadDir(name string, limit int) (entries []fs.DirEntry,
	err error) {

	err = d.do("disk.ReadDir", name, func(files *crash.FS) error {
		entries, err = files.ReadDir(name, limit)

		return err
	})

	return entries, err
}

// Mkdir creates a directory that must not exist.
func (d *Disk) Mkdir(name string, perm fs.FileMode) error {
	return d.do("disk.Mkdir", name, func(files *crash.FS) error {
		return files.Mkdir(name, perm)
	})
}

// Files returns all files, by path.
func (d *Disk) Files() map[string][]byte {
	return d.current().Files()
}

// Read returns a file and whether it is there, without a call of a port.
func (d *Disk) Read(name string) ([]byte, bool) {
	data, ok := d.current().Files()[name]

	return data, ok
}

// Write writes a file as a life before the test did, or as somebody else does
// who replaces one.
func (d *Disk) Write(name string, data []byte) {
	must(d.current().Put(name, data))
}

// Lose removes a file, durably. It is no error if there is none.
func (d *Disk) Lose(name string) {
	files := d.current()
	if _, ok := files.Files()[name]; ok {
		must(files.Remove(name))
		must(files.SyncDir(path.Dir(name)))
	}
}

// Break makes everything in a directory, and itself, fail with an error, or not
// fail with nil.
func (d *Disk) Break(dir string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.broken[dir] = err
}

// PowerCut replaces the disk by what it can be after the power went, the nth of
// all possibilities, counted from zero. It returns false if there are not that
// many.
func (d *Disk) PowerCut(nth int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()

	for cut := range d.fs.Cuts() {
		if nth == 0 {
			d.fs = cut

			return true
		}
		nth--
	}

	return false
}

// Survives reports whether a file will be there with the given bytes whatever a
// power cut does now.
func (d *Disk) Survives(name string, data []byte) bool {
	for cut := range d.current().Cuts() {
		found, ok := cut.Files()[name]
		if !ok || !bytes.Equal(found, data) {
			return false
		}
	}

	return true
}

// current returns the file system of the moment.
func (d *Disk) current() *crash.FS {
	d.mu.Lock()
	defer d.mu.Unlock()

	return d.fs
}

// do makes one call, which fails if the name lies in a broken directory.
func (d *Disk) do(call, name string, effect func(*crash.FS) error) error {
	return d.calls.do(context.Background(), call, func() error {
		d.mu.Lock()
		files := d.fs
		broken := cmp.Or(d.broken[name], d.broken[path.Dir(name)])
		d.mu.Unlock()

		if broken != nil {
			return &fs.PathError{Op: call, Path: name, Err: broken}
		}

		return effect(files)
	})
}

// diskFile is a file that is being written.
type diskFile struct {
	disk *Disk
	name string
	file durable.File
}

// Write appends to the file.
func (f *diskFile) Write(data []byte) (count int, err error) {
	err = f.disk.do("disk.Write", f.name, func(*crash.FS) error {
		count, err = f.file.Write(data)

		return err
	})

	return count, err
}

// Chmod sets the permissions.
func (f *diskFile) Chmod(perm fs.FileMode) error {
	return f.disk.do("disk.Chmod", f.name, func(*crash.FS) error {
		return f.file.Chmod(perm)
	})
}

// Sync makes the contents durable.
func (f *diskFile) Sync() error {
	return f.disk.do("disk.Sync", f.name, func(*crash.FS) error {
		return f.file.Sync()
	})
}

// Close closes the file.
func (f *diskFile) Close() error {
	return f.file.Close()
}

// diskHandle is a file that is being read.
type diskHandle struct {
	durable.Handle

	disk *Disk
	name string
}

// Chmod sets the permissions.
func (h *diskHandle) Chmod(perm fs.FileMode) error {
	return h.disk.do("disk.Chmod", h.name, func(*crash.FS) error {
		return h.Handle.Chmod(perm)
	})
}
