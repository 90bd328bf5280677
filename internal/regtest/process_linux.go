package regtest

import "syscall"

// dieWithParent makes the system kill a child whose parent is gone, so that a
// test that is killed leaves no nodes behind.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
