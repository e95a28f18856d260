package process

import "syscall"

// attributes puts a child into its own process group, where Ctrl-C does not
// reach it, and has the kernel kill it when its parent dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
