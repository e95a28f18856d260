//go:build unix

package supervisor

import (
	"os/exec"
	"syscall"
)

// terminate asks the child to stop. It may be gone already, which is fine.
func terminate(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) }

// kill ends the child and whatever it started in its group.
func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
