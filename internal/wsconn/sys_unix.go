//go:build unix

package wsconn

import "syscall"

// rawSockets says that file descriptors can be read and written directly.
const rawSockets = true

func sysRead(fd uintptr, b []byte) (int, error)  { return syscall.Read(int(fd), b) }
func sysWrite(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
