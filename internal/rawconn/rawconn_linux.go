package rawconn

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Conn is a [net.Conn] over a plain socket. Only Read, Write and TryWrite
// differ from those of the connection it was made of. All methods may be called
// concurrently.
type Conn struct {
	net.Conn
	raw syscall.RawConn
	in  transfer
	out transfer

	receive func(fd uintptr) bool // made once: a closure for each call would be garbage
	send    func(fd uintptr)
}

// transfer is a call under way.
type transfer struct {
	mu   sync.Mutex
	b    []byte
	done int
	err  error
}

// New returns nil for what is not a plain socket, such as a connection with
// TLS.
func New(nc net.Conn) *Conn {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	c := &Conn{Conn: nc, raw: raw}
	c.receive, c.send = c.in.receive, c.out.send
	return c
}

// Read implements [net.Conn]: it waits until there is something to read, or the
// deadline has passed.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t := &c.in
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b, t.done, t.err = b, 0, nil
	err := c.raw.Read(c.receive)
	t.b = nil
	switch {
	case err != nil:
		return 0, err
	case t.err != nil:
		return 0, os.NewSyscallError("recv", t.err)
	case t.done == 0:
		return 0, io.EOF
	}
	return t.done, nil
}

func (t *transfer) receive(fd uintptr) bool {
	for {
		t.done, t.err = call(unix.SYS_RECVFROM, fd, t.b, unix.MSG_DONTWAIT)
		if !errors.Is(t.err, unix.EINTR) {
			return !errors.Is(t.err, unix.EAGAIN)
		}
	}
}

// Write implements [net.Conn]: it waits until the kernel has taken all of b, or
// the deadline has passed.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.TryWrite(b)
	if err != nil || n == len(b) {
		return n, err
	}
	more, err := c.Conn.Write(b[n:])
	return n + more, err
}

// TryWrite writes as much as the kernel takes at once. It is no error when that
// is less than all.
func (c *Conn) TryWrite(b []byte) (int, error) {
	t := &c.out
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b, t.done, t.err = b, 0, nil
	err := c.raw.Control(c.send)
	t.b = nil
	if err == nil && t.err != nil && !errors.Is(t.err, unix.EAGAIN) {
		err = os.NewSyscallError("send", t.err)
	}
	return t.done, err
}

func (t *transfer) send(fd uintptr) {
	for t.done < len(t.b) {
		n, err := call(unix.SYS_SENDTO, fd, t.b[t.done:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			t.err = err
			return
		default:
			t.done += n
		}
	}
}

func call(number, fd uintptr, b []byte, flags uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall6(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
