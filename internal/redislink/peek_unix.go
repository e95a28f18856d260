//go:build unix

package redislink

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dead reports whether the other end has closed the pipeline's connection. On
// a connection that is read only while answers are awaited nobody else would
// notice.
func (n *node) dead() bool {
	s := n.pipeline.Load()
	if s == nil {
		return true
	}
	conn, ok := s.raw.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	dead := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		read, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch err {
		case nil:
			dead = read == 0
		case unix.EAGAIN, unix.EINTR:
		default:
			dead = true
		}
	})
	return dead || err != nil
}
