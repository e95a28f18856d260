//go:build unix && !linux

package process

import "syscall"

// attributes puts a child into its own process group, where Ctrl-C does not
// reach it. Only Linux can tie its life to its parent's.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// onMainThread matters only where a thread's end ends its children.
func onMainThread() bool { return false }
