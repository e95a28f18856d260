// Package rawconn reads and writes sockets by calls that never wait, without
// telling the scheduler of them. One that is told wakes the scheduler's
// monitor, a thread, whenever the process has been idle: with a few thousand
// messages a second that costs as much as the messages. Waiting is left to the
// runtime's poller, as in package net.
//
// Where that is not supported, [New] returns nil.
package rawconn

import "net"

// Wrap returns New(nc), or nc itself if that is not a plain socket.
func Wrap(nc net.Conn) net.Conn {
	if c := New(nc); c != nil {
		return c
	}
	return nc
}
