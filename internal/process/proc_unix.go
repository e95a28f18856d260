//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// Terminate asks the child to stop. It may be gone already, which is fine.
func Terminate(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) }

// Kill ends the child and whatever it started in its group.
func Kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
