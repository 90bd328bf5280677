package twin

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/looprecovery/looprecovery/internal/durable"
)

// diskPerm are the permissions of files that a life before the test wrote.
const diskPerm = 0o600

// Disk is the file system of the client's machine. It keeps what was written
// when the process ends; what a power cut does to files is tried elsewhere
// (package durable).
type Disk struct {
	calls *calls

	mu     sync.Mutex
	nodes  map[string]*node
	broken map[string]error
}

var _ durable.FS = (*Disk)(nil)

// node is a file or a directory. A file can have several names.
type node struct {
	data []byte
	mode fs.FileMode
}

// newDisk returns a disk with the given directories.
func newDisk(calls *calls, dirs ...string) *Disk {
	disk := &Disk{
		calls:  calls,
		nodes:  make(map[string]*node),
		broken: make(map[string]error),
	}
	for _, dir := range dirs {
		disk.nodes[dir] = &node{mode: fs.ModeDir | diskPerm}
	}

	return disk
}

// CreateNew creates a file that must not exist.
func (d *Disk) CreateNew(name string, perm fs.FileMode) (durable.File, error) {
	created := &node{mode: perm}
	err := d.do("disk.CreateNew", func() error {
		return d.add("create", name, created)
	})
	if err != nil {
		return nil, err
	}

	return &diskFile{disk: d, node: created}, nil
}

// Link gives a file a second name.
func (d *Disk) Link(existing, name string) error {
	return d.do("disk.Link", func() error {
		linked, err := d.find("link", existing)
		if err != nil {
			return err
		}

		return d.add("link", name, linked)
	})
}

// Remove removes a name.
func (d *Disk) Remove(name string) error {
	return d.do("disk.Remove", func() error {
		_, err := d.find("remove", name)
		delete(d.nodes, name)

		return err
	})
}

// Chmod sets the permissions of a file.
func (d *Disk) Chmod(name string, perm fs.FileMode) error {
	return d.do("disk.Chmod", func() error {
		found, err := d.find("chmod", name)
		if err == nil {
			found.mode = found.mode.Type() | perm
		}

		return err
	})
}

// SyncDir makes the names in a directory durable.
func (d *Disk) SyncDir(name string) error {
	return d.do("disk.SyncDir", func() error {
		_, err := d.find("sync", name)

		return err
	})
}

// Open opens a file for reading.
func (d *Disk) Open(name string) (io.ReadCloser, error) {
	var reader io.ReadCloser
	err := d.do("disk.Open", func() error {
		found, err := d.find("open", name)
		if err == nil {
			reader = io.NopCloser(
				bytes.NewReader(bytes.Clone(found.data)),
			)
		}

		return err
	})

	return reader, err
}

// Stat describes a file.
func (d *Disk) Stat(name string) (fs.FileInfo, error) {
	var info fs.FileInfo
	err := d.do("disk.Stat", func() error {
		found, err := d.find("stat", name)
		if err == nil {
			info = found.info(name)
		}

		return err
	})

	return info, err
}

// ReadDir lists a directory, sorted by name.
func (d *Disk) ReadDir(name string) ([]fs.DirEntry, error) {
	var entries []fs.DirEntry
	err := d.do("disk.ReadDir", func() error {
		_, err := d.find("readdir", name)
		if err != nil {
			return err
		}
		for _, child := range d.names() {
			if path.Dir(child) == name {
				entries = append(entries, fs.FileInfoToDirEntry(
					d.nodes[child].info(child),
				))
			}
		}

		return nil
	})

	return entries, err
}

// Mkdir creates a directory that must not exist.
func (d *Disk) Mkdir(name string, perm fs.FileMode) error {
	return d.do("disk.Mkdir", func() error {
		return d.add("mkdir", name, &node{mode: fs.ModeDir | perm})
	})
}

// Read returns a file and whether it is there, without a call of a port.
func (d *Disk) Read(name string) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()

	found, ok := d.nodes[name]
	if !ok {
		return nil, false
	}

	return bytes.Clone(found.data), true
}

// Write writes a file as a life before the test did.
func (d *Disk) Write(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.nodes[name] = &node{data: bytes.Clone(data), mode: diskPerm}
}

// Lose removes a file.
func (d *Disk) Lose(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()

	delete(d.nodes, name)
}

// Names returns the names of all files below a directory, sorted.
func (d *Disk) Names(dir string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()

	return slices.DeleteFunc(d.names(), func(name string) bool {
		return !strings.HasPrefix(name, dir+"/") ||
			d.nodes[name].mode.IsDir()
	})
}

// Break makes everything in a directory, and itself, fail with an error, or not
// fail with nil.
func (d *Disk) Break(dir string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.broken[dir] = err
}

// do makes one call. The effect runs with the disk's lock held.
func (d *Disk) do(call string, effect func() error) error {
	return d.calls.do(context.Background(), call, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()

		return effect()
	})
}

// find returns a file or directory.
func (d *Disk) find(op, name string) (*node, error) {
	for _, at := range []string{name, path.Dir(name)} {
		if err := d.broken[at]; err != nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: err}
		}
	}

	found, ok := d.nodes[name]
	if !ok {
		return nil, &fs.PathError{
			Op: op, Path: name, Err: fs.ErrNotExist,
		}
	}

	return found, nil
}

// add gives a file or directory a name in a directory that exists.
func (d *Disk) add(op, name string, added *node) error {
	_, err := d.find(op, path.Dir(name))
	if err != nil {
		return err
	}

	if _, ok := d.nodes[name]; ok {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrExist}
	}
	d.nodes[name] = added

	return nil
}

// names returns all names, sorted.
func (d *Disk) names() []string {
	return slices.Sorted(maps.Keys(d.nodes))
}

// diskFile is a file that is being written.
type diskFile struct {
	disk *Disk
	node *node
}

// Write appends to the file.
func (f *diskFile) Write(data []byte) (int, error) {
	err := f.disk.do("disk.Write", func() error {
		f.node.data = append(f.node.data, data...)

		return nil
	})
	if err != nil {
		return 0, err
	}

	return len(data), nil
}

// Sync makes the contents durable.
func (f *diskFile) Sync() error {
	return f.disk.do("disk.Sync", func() error { return nil })
}

// Close closes the file.
func (f *diskFile) Close() error {
	return nil
}

// info describes the file under one of its names.
func (n *node) info(name string) fs.FileInfo {
	return &nodeInfo{
		name: path.Base(name),
		size: int64(len(n.data)),
		mode: n.mode,
	}
}

// nodeInfo implements fs.FileInfo.
type nodeInfo struct {
	name string
	size int64
	mode fs.FileMode
}

// Name returns the last element of the name.
func (i *nodeInfo) Name() string { return i.name }

// Size returns the size in bytes.
func (i *nodeInfo) Size() int64 { return i.size }

// Mode returns type and permissions.
func (i *nodeInfo) Mode() fs.FileMode { return i.mode }

// ModTime returns no time: nothing may depend on it.
func (i *nodeInfo) ModTime() time.Time { return time.Time{} }

// IsDir reports whether it is a directory.
func (i *nodeInfo) IsDir() bool { return i.mode.IsDir() }

// Sys returns nothing.
func (i *nodeInfo) Sys() any { return nil }
