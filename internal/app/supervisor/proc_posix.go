//go:build unix && !linux

package supervisor

import "syscall"

// procAttr puts a child into its own process group, where Ctrl-C does not
// reach it. Only Linux can tie its life to the supervisor's.
func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
