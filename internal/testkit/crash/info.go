package crash

import (
	"io/fs"
	"time"
)

// info describes a file under one of its names.
func (i *inode) info(name string) fs.FileInfo {
	return &info{name: name, size: int64(len(i.data)), mode: i.mode}
}

// info implements fs.FileInfo.
type info struct {
	name string
	size int64
	mode fs.FileMode
}

// Name implements fs.FileInfo.
func (i *info) Name() string { return i.name }

// Size implements fs.FileInfo.
func (i *info) Size() int64 { return i.size }

// Mode implements fs.FileInfo.
func (i *info) Mode() fs.FileMode { return i.mode }

// ModTime implements fs.FileInfo: every file is old, so that what may be swept
// is swept.
func (i *info) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo.
func (i *info) IsDir() bool { return i.mode.IsDir() }

// Sys implements fs.FileInfo.
func (i *info) Sys() any { return nil }
