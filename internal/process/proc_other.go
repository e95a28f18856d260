//go:build !unix

package process

import (
	"os/exec"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

// onMainThread matters only where a thread's end ends its children.
func onMainThread() bool { return false }

// Terminate ends the child at once: there is no polite way here.
func Terminate(cmd *exec.Cmd) { Kill(cmd) }

// Kill ends the child. It may be gone already, which is fine.
func Kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
