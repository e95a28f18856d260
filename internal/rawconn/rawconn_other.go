//go:build !linux

package rawconn

import "net"

// Conn is a [net.Conn] over a plain socket.
type Conn struct{ net.Conn }

// New returns nil: there are no such connections on this system.
func New(net.Conn) *Conn { return nil }

// TryWrite is not called, as there are none.
func (*Conn) TryWrite([]byte) (int, error) { return 0, net.ErrClosed }
