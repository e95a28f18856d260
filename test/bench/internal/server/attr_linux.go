package server

import "syscall"

// Attributes puts a process into its own group, where Ctrl-C does not reach
// it, and has the kernel kill it when the harness is killed.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
