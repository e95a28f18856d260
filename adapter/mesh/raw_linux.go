package mesh

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// raw reads and writes a socket by calls that never wait, without telling the
// scheduler of them. One that is told wakes its monitor, a thread, whenever the
// process has been idle: with few messages a second, that costs as much as the
// message. One goroutine may read while another one writes.
type raw struct {
	conn syscall.RawConn
	in   transfer
	out  transfer

	receive func(fd uintptr) bool // made once: a closure for each call would be garbage
	send    func(fd uintptr)
}

// transfer is a call under way.
type transfer struct {
	b    []byte
	done int
	err  error
}

// newRaw returns nil for what is not a plain socket, such as one with TLS.
func newRaw(nc net.Conn) *raw {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	conn, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	r := &raw{conn: conn}
	r.receive, r.send = r.in.receive, r.out.send
	return r
}

// read waits until there is something to read. After a read that did not fill
// b nobody needs to look whether there is more: the runtime's poller is
// edge-triggered, and what comes later is told to who waits next.
func (r *raw) read(b []byte) (int, error) {
	r.in = transfer{b: b}
	if err := r.conn.Read(r.receive); err != nil {
		return 0, err
	}
	switch n, err := r.in.done, r.in.err; {
	case err != nil:
		return 0, os.NewSyscallError("recv", err)
	case n == 0:
		return 0, io.EOF
	default:
		return n, nil
	}
}

func (t *transfer) receive(fd uintptr) bool {
	for {
		t.done, t.err = call(unix.SYS_RECVFROM, fd, t.b, unix.MSG_DONTWAIT)
		if !errors.Is(t.err, unix.EINTR) {
			return !errors.Is(t.err, unix.EAGAIN)
		}
	}
}

// write writes as much as the kernel takes at once.
func (r *raw) write(b []byte) (int, error) {
	r.out = transfer{b: b}
	if err := r.conn.Control(r.send); err != nil {
		return 0, err
	}
	n, err := r.out.done, r.out.err
	r.out = transfer{}
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return n, os.NewSyscallError("send", err)
	}
	return n, nil
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
