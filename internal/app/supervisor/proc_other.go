//go:build !unix

package supervisor

import (
	"os/exec"
	"syscall"
)

func procAttr() *syscall.SysProcAttr { return nil }

// terminate ends the child at once: there is no polite way here.
func terminate(cmd *exec.Cmd) { kill(cmd) }

// kill ends the child. It may be gone already, which is fine.
func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
