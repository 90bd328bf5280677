//go:build unix

package keeper

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// osDisk implements Disk with the operating system.
type osDisk struct{}

// Identify implements Disk. The mount root is found by going up for as long as
// the device stays the same.
func (osDisk) Identify(path string) (Identity, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Identity{}, err
	}
	device, inode, err := stat(resolved)
	if err != nil {
		return Identity{}, err
	}

	root := resolved
	for parent := filepath.Dir(root); parent != root; {
		above, _, err := stat(parent)
		if err != nil || above != device {
			break
		}
		root, parent = parent, filepath.Dir(parent)
	}

	return Identity{Device: device, Inode: inode, MountRoot: root}, nil
}

// stat returns the numbers of a directory and of its device.
func stat(path string) (device, inode uint64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	if !info.IsDir() {
		return 0, 0, &os.PathError{
			Op: "open", Path: path, Err: syscall.ENOTDIR,
		}
	}
	numbers, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, fmt.Errorf("%s: no device number", path)
	}

	// The types of the fields depend on the system.
	return uint64(numbers.Dev), uint64(numbers.Ino), nil //nolint:unconvert
}
