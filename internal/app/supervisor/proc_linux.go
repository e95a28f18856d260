package supervisor

import "syscall"

// procAttr puts a child into its own process group, where Ctrl-C does not
// reach it, and has the kernel kill it when the supervisor dies.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
