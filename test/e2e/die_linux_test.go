package e2e_test

import "syscall"

// dieWithParent makes a process end when the test binary is killed, which
// gives no cleanup a chance.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
