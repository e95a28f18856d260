//go:build !linux

package server

import "syscall"

// Attributes has nothing to add where there are no process groups to leave.
func Attributes() *syscall.SysProcAttr { return nil }
