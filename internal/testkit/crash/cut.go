package crash

import (
	"bytes"
	"iter"
	"maps"
	"slices"
)

// Cuts yields every state in which the disk can be found if the power goes now.
// Each is a file system of its own, and all in it is durable.
//
// Of the changes of names in all directories every subset may have reached the
// disk, those of one name in their order: see outcomes. The contents of a file
// that was written since its last sync are the old ones, the new ones, or torn:
// see contents.
func (f *FS) Cuts() iter.Seq[*FS] {
	f.mu.Lock()
	defer f.mu.Unlock()

	dirs, files := f.unsynced()

	return func(yield func(*FS) bool) {
		disk := &disk{
			names:    make(map[*inode]map[string]*inode),
			contents: make(map[*inode][]byte),
		}
		f.cutDirs(disk, dirs, files, yield)
	}
}

// disk is a choice of what reached the disk.
type disk struct {
	names    map[*inode]map[string]*inode
	contents map[*inode][]byte
}

// unsynced returns the directories and files of which something may not be on
// the disk, those that only the disk knows included.
func (f *FS) unsynced() (dirs, files []*inode) {
	seen := make(map[*inode]bool)
	var walk func(*inode)
	walk = func(node *inode) {
		if node == nil || seen[node] {
			return
		}
		seen[node] = true

		if !node.dir {
			if !bytes.Equal(node.data, node.stored) {
				files = append(files, node)
			}

			return
		}
		if len(node.pending) > 0 {
			dirs = append(dirs, node)
		}
		for _, change := range node.pending {
			walk(change.target)
		}
		for _, name := range sortedNames(node.storedNames) {
			walk(node.storedNames[name])
		}
	}
	walk(f.root)

	return dirs, files
}

// sortedNames returns the names in a directory in order.
func sortedNames(names map[string]*inode) []string {
	return slices.Sorted(maps.Keys(names))
}

// cutDirs chooses what reached the disk of each directory, and then of each
// file.
func (f *FS) cutDirs(disk *disk, dirs, files []*inode,
	yield func(*FS) bool) bool {

	if len(dirs) == 0 {
		return f.cutFiles(disk, files, yield)
	}
	for _, names := range outcomes(dirs[0]) {
		disk.names[dirs[0]] = names
		if !f.cutDirs(disk, dirs[1:], files, yield) {
			return false
		}
	}

	return true
}

// outcomes returns what can be found in a directory, each once: of every name
// that changed since the last sync, what it was then or what any change made of
// it.
func outcomes(dir *inode) []map[string]*inode {
	found := map[string][]*inode{}
	for _, change := range dir.pending {
		if found[change.name] == nil {
			found[change.name] = []*inode{
				dir.storedNames[change.name],
			}
		}
		if !slices.Contains(found[change.name], change.target) {
			found[change.name] = append(
				found[change.name], change.target,
			)
		}
	}

	all := []map[string]*inode{dir.storedNames}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		var next []map[string]*inode
		for _, target := range found[name] {
			for _, names := range all {
				names = maps.Clone(names)
				delete(names, name)
				if target != nil {
					names[name] = target
				}
				next = append(next, names)
			}
		}
		all = next
	}

	return all
}

// cutFiles chooses what reached the disk of each file.
func (f *FS) cutFiles(disk *disk, files []*inode, yield func(*FS) bool) bool {
	if len(files) == 0 {
		return yield(&FS{
			root:    disk.copy(f.root, make(map[*inode]*inode)),
			renames: f.renames,
			links:   f.links,
			refusal: f.refusal,
		})
	}
	for _, contents := range contents(files[0]) {
		disk.contents[files[0]] = contents
		if !f.cutFiles(disk, files[1:], yield) {
			return false
		}
	}

	return true
}

// contents returns what can be found in a file that was written since its last
// sync: what was there before, nothing, what was written, the first half of it,
// and its full size with the second half or all of it zero.
func contents(file *inode) [][]byte {
	half := len(file.data) / 2
	zeros := make([]byte, len(file.data))
	torn := append(bytes.Clone(file.data[:half]), zeros[half:]...)

	var distinct [][]byte
	for _, candidate := range [][]byte{
		file.stored, nil, file.data, file.data[:half], torn, zeros,
	} {
		known := slices.ContainsFunc(distinct, func(d []byte) bool {
			return bytes.Equal(d, candidate)
		})
		if !known {
			distinct = append(distinct, candidate)
		}
	}

	return distinct
}

// copy returns a node as it is found on the disk. A file keeps having several
// names.
func (d *disk) copy(node *inode, done map[*inode]*inode) *inode {
	if copied, ok := done[node]; ok {
		return copied
	}
	if !node.dir {
		data, ok := d.contents[node]
		if !ok {
			data = node.stored
		}
		file := &inode{
			mode:   node.mode,
			data:   bytes.Clone(data),
			stored: bytes.Clone(data),
		}
		done[node] = file

		return file
	}

	dir := newDir()
	done[node] = dir
	names, ok := d.names[node]
	if !ok {
		names = node.storedNames
	}
	for name, child := range names {
		copied := d.copy(child, done)
		dir.names[name] = copied
		dir.storedNames[name] = copied
	}

	return dir
}
