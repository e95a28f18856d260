package process

import (
	"os"
	"syscall"
)

// attributes puts a child into its own process group, where Ctrl-C does not
// reach it, and has the kernel kill it when its parent dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// onMainThread reports whether the caller runs on the process's first thread.
func onMainThread() bool { return syscall.Gettid() == os.Getpid() }
