package crash

import (
	"bytes"
	"cmp"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"
	"syscall"

	"github.com/looprecovery/looprecovery/internal/durable"
)

// FS is a file system in memory. Its paths are absolute and clean, with
// slashes.
type FS struct {
	mu   sync.Mutex
	root *inode

	// renames says whether it can rename without replacing, links whether
	// it has hard links.
	renames, links bool

	// refusal is the error for what it cannot do.
	refusal error

	// steps counts the changes that were asked for.
	steps int

	// fail decides whether a change fails.
	fail func(step int) error

	// watch is called after each change, and after each that failed.
	watch func()
}

var (
	_ durable.FS      = (*FS)(nil)
	_ durable.Renamer = (*FS)(nil)
)

// inode is a file or a directory. A file can have several names.
type inode struct {
	dir  bool
	mode fs.FileMode

	// data is what a program reads, stored what is on the disk.
	data, stored []byte

	// names is a directory as a program sees it, storedNames as it is on
	// the disk; pending are the changes between the two, in order.
	names, storedNames map[string]*inode
	pending            []change
}

// change is a change of one name in a directory. A nil target removes it.
type change struct {
	name   string
	target *inode
}

// Capability is something that a file system can do, or not.
type Capability uint8

const (
	// Renames: the file system can rename without replacing.
	Renames Capability = 1 << iota

	// Links: the file system has hard links.
	Links
)

// New returns a file system with the given directories, which are durable.
func New(can Capability, dirs ...string) *FS {
	f := &FS{
		root:    newDir(),
		renames: can&Renames != 0,
		links:   can&Links != 0,
	}
	for _, dir := range dirs {
		parent, name, err := f.parent("mkdir", dir)
		if err == nil {
			made := newDir()
			parent.names[name] = made
			parent.storedNames[name] = made
		}
	}

	return f
}

// newDir returns an empty directory.
func newDir() *inode {
	return &inode{
		dir:         true,
		mode:        fs.ModeDir | 0o700,
		names:       make(map[string]*inode),
		storedNames: make(map[string]*inode),
	}
}

// Put writes a durable file, as a life long before did. It replaces one.
func (f *FS) Put(name string, data []byte) error {
	return f.PutShared(name, bytes.Clone(data))
}

// PutShared is Put without a copy of the data, which must not change, for very
// many files.
func (f *FS) PutShared(name string, data []byte) error {
	return f.put(name, &inode{mode: 0o600, data: data, stored: data})
}

// put makes a durable entry. It replaces one.
func (f *FS) put(name string, entry *inode) error {
	f.mu.Lock()
	defer f.mu.Unlock()

	parent, base, err := f.parent("put", name)
	if err != nil {
		return err
	}
	parent.names[base] = entry
	parent.storedNames[base] = entry

	return nil
}

// PutSpecial makes a durable entry that is no regular file: a named pipe, a
// socket, a link that leads nowhere. Who reads it has lost.
func (f *FS) PutSpecial(name string, kind fs.FileMode) error {
	return f.put(name, &inode{mode: kind.Type() | 0o600})
}

// Refuse sets the error with which the file system says that it has no hard
// links, or no rename without replacing. Real ones differ in that.
func (f *FS) Refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.refusal = err
}

// Fail makes a change fail if decide, which is given the number of the change
// from 0 on, returns an error. A write that fails leaves half of its data.
func (f *FS) Fail(decide func(step int) error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.fail = decide
}

// Watch makes the file system call a function after each change. The function
// can use the file system.
func (f *FS) Watch(watch func()) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.watch = watch
}

// Files returns the contents of all files by path.
func (f *FS) Files() map[string][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()

	files := make(map[string][]byte)
	var walk func(dir *inode, at string)
	walk = func(dir *inode, at string) {
		for name, entry := range dir.names {
			if entry.dir {
				walk(entry, path.Join(at, name))
				continue
			}
			files[path.Join(at, name)] = bytes.Clone(entry.data)
		}
	}
	walk(f.root, "/")

	return files
}

// CreateNew implements durable.FS.
func (f *FS) CreateNew(name string, perm fs.FileMode) (durable.File, error) {
	file := &inode{mode: perm.Perm()}
	err := f.change("create", name, func() error {
		return f.add("create", name, file)
	})
	if err != nil {
		return nil, err
	}

	return &handle{fs: f, inode: file, name: name}, nil
}

// Link implements durable.FS.
func (f *FS) Link(existing, name string) error {
	return f.change("link", name, func() error {
		if !f.links {
			return failure("link", name, cmp.Or(
				f.refusal, error(syscall.EPERM)))
		}
		file, err := f.find("link", existing)
		if err != nil {
			return err
		}

		return f.add("link", name, file)
	})
}

// RenameNoReplace implements durable.Renamer.
func (f *FS) RenameNoReplace(from, to string) error {
	return f.change("rename", to, func() error {
		if !f.renames {
			return failure("rename", to, cmp.Or(
				f.refusal, error(syscall.ENOSYS)))
		}
		file, err := f.find("rename", from)
		if err != nil {
			return err
		}
		if err := f.add("rename", to, file); err != nil {
			return err
		}

		return f.drop("rename", from)
	})
}

// Rename renames a file and replaces one. durable never does: it is here for
// the sequences that must be caught.
func (f *FS) Rename(from, to string) error {
	return f.change("rename", to, func() error {
		file, err := f.find("rename", from)
		if err != nil {
			return err
		}
		parent, base, err := f.parent("rename", to)
		if err != nil {
			return err
		}
		parent.set(base, file)

		return f.drop("rename", from)
	})
}

// Truncate opens an existing file for writing and empties it. durable never
// does: it is here for the sequences that must be caught.
func (f *FS) Truncate(name string) (durable.File, error) {
	var file *inode
	err := f.change("truncate", name, func() (err error) {
		file, err = f.find("truncate", name)
		if err == nil {
			file.data = nil
		}

		return err
	})
	if err != nil {
		return nil, err
	}

	return &handle{fs: f, inode: file, name: name}, nil
}

// Remove implements durable.FS.
func (f *FS) Remove(name string) error {
	return f.change("remove", name, func() error {
		return f.drop("remove", name)
	})
}

// SyncDir implements durable.FS.
func (f *FS) SyncDir(name string) error {
	return f.change("sync", name, func() error {
		found, err := f.find("sync", name)
		if err == nil {
			found.sync()
		}

		return err
	})
}

// Mkdir implements durable.FS.
func (f *FS) Mkdir(name string, _ fs.FileMode) error {
	return f.change("mkdir", name, func() error {
		return f.add("mkdir", name, newDir())
	})
}

// Open implements durable.FS.
func (f *FS) Open(name string) (durable.Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	found, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	if found.mode&fs.ModeSymlink != 0 {
		return nil, failure("open", name, syscall.ELOOP)
	}

	return &reader{
		handle: handle{fs: f, inode: found, name: name},
		data:   bytes.NewReader(found.data),
	}, nil
}

// Follow implements durable.FS. No link here leads anywhere.
func (f *FS) Follow(name string) (durable.Handle, error) {
	return f.Open(name)
}

// Lstat implements durable.FS.
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	found, err := f.find("lstat", name)
	if err != nil {
		return nil, err
	}

	return found.info(path.Base(name)), nil
}

// ReadDir implements durable.FS.
func (f *FS) ReadDir(name string, limit int) ([]fs.DirEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	found, err := f.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !found.dir {
		return nil, failure("readdir", name, syscall.ENOTDIR)
	}

	var entries []fs.DirEntry
	for _, child := range slices.Sorted(maps.Keys(found.names)) {
		if len(entries) == limit {
			return entries, failure(
				"readdir", name, durable.ErrCrowded,
			)
		}
		entries = append(entries, fs.FileInfoToDirEntry(
			found.names[child].info(child),
		))
	}

	return entries, nil
}

// change makes one change, or fails, and tells the watcher.
func (f *FS) change(op, name string, effect func() error) error {
	f.mu.Lock()
	err := f.step(op, name)
	if err == nil {
		err = effect()
	}
	watch := f.watch
	f.mu.Unlock()

	if watch != nil {
		watch()
	}

	return err
}

// step counts a change and returns the error with which it is to fail.
func (f *FS) step(op, name string) error {
	step := f.steps
	f.steps++
	if f.fail == nil {
		return nil
	}
	if err := f.fail(step); err != nil {
		return failure(op, name, err)
	}

	return nil
}

// add gives a new name, in a directory that exists.
func (f *FS) add(op, name string, target *inode) error {
	parent, base, err := f.parent(op, name)
	if err != nil {
		return err
	}
	if _, ok := parent.names[base]; ok {
		return failure(op, name, fs.ErrExist)
	}
	parent.set(base, target)

	return nil
}

// drop removes a name.
func (f *FS) drop(op, name string) error {
	parent, base, err := f.parent(op, name)
	if err != nil {
		return err
	}
	if _, ok := parent.names[base]; !ok {
		return failure(op, name, fs.ErrNotExist)
	}
	parent.set(base, nil)

	return nil
}

// parent returns the directory of a path and the name in it.
func (f *FS) parent(op, name string) (*inode, string, error) {
	dir, err := f.find(op, path.Dir(name))
	if err != nil {
		return nil, "", err
	}
	if !dir.dir {
		return nil, "", failure(op, name, syscall.ENOTDIR)
	}

	return dir, path.Base(name), nil
}

// find returns the file or directory at a path.
func (f *FS) find(op, name string) (*inode, error) {
	if name == "/" {
		return f.root, nil
	}
	dir, err := f.find(op, path.Dir(name))
	if err != nil {
		return nil, err
	}
	found, ok := dir.names[path.Base(name)]
	if !ok {
		return nil, failure(op, name, fs.ErrNotExist)
	}

	return found, nil
}

// failure returns an error as package os does.
func failure(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// set changes a name in a directory.
func (i *inode) set(name string, target *inode) {
	if target == nil {
		delete(i.names, name)
	} else {
		i.names[name] = target
	}
	i.pending = append(i.pending, change{name, target})
}

// sync brings a file or a directory, not what is below it, to the disk.
func (i *inode) sync() {
	if i.dir {
		i.storedNames, i.pending = maps.Clone(i.names), nil
		return
	}
	i.stored = bytes.Clone(i.data)
}

// handle is a file that is open.
type handle struct {
	fs    *FS
	inode *inode
	name  string
}

// Write appends to the file.
func (h *handle) Write(data []byte) (int, error) {
	written := 0
	err := h.fs.change("write", h.name, func() error {
		h.inode.data = append(h.inode.data, data...)
		written = len(data)

		return nil
	})
	if err != nil {
		h.fs.mu.Lock()
		defer h.fs.mu.Unlock()

		written = len(data) / 2
		h.inode.data = append(h.inode.data, data[:written]...)
	}

	return written, err
}

// Sync makes the contents durable.
func (h *handle) Sync() error {
	return h.fs.change("fsync", h.name, func() error {
		h.inode.sync()
		return nil
	})
}

// Chmod sets the file's permissions.
func (h *handle) Chmod(perm fs.FileMode) error {
	return h.fs.change("chmod", h.name, func() error {
		h.inode.mode = h.inode.mode.Type() | perm.Perm()
		return nil
	})
}

// Close closes the file. It makes nothing durable.
func (h *handle) Close() error {
	return nil
}

// reader is a file that is being read.
type reader struct {
	handle

	data *bytes.Reader
}

// Read reads what was in the file when it was opened. Nothing but a regular
// file may be read: a real one would keep the reader waiting.
func (r *reader) Read(into []byte) (int, error) {
	if !r.inode.mode.IsRegular() {
		return 0, failure("read", r.name, syscall.EAGAIN)
	}

	return r.data.Read(into)
}

// Stat describes the file.
func (r *reader) Stat() (fs.FileInfo, error) {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()

	return r.inode.info(path.Base(r.name)), nil
}
