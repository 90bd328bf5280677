package regtest

import "syscall"

// dieWithParent makes the system kill a child whose parent is gone, so that a
// test that is killed leaves no nodes behind. A process group of its own keeps
// the interrupt of a terminal from it: its parent stops it in good order.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
