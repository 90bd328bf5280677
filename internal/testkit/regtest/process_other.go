//go:build !linux

package regtest

import "syscall"

// dieWithParent has no effect where the system does not offer it: children of
// a killed test have to be ended by hand there.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{}
}
