package loadgen

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller waits for sockets to become ready, edge-triggered: each is told of
// once, and must then be read until it is empty.
type poller struct {
	fd     int
	coarse bool // the kernel has no epoll_pwait2
	events [512]unix.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("socketeer: epoll: %w", err)
	}
	return &poller{fd: fd}, nil
}

// add watches fd for everything at once, so that it never has to be changed:
// edges of writability only come after a write that did not fit.
//
// id and part come back with each event, in the 64 bits the kernel keeps.
func (p *poller) add(fd int, id, part int32) error {
	ev := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     id, Pad: part,
	}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev)
}

// wait returns the events that come within d. The sends of a paced run are
// due at odd microseconds: a timeout in milliseconds would show as latency.
func (p *poller) wait(d time.Duration) ([]unix.EpollEvent, error) {
	d = max(d, 0)
	if !p.coarse {
		ts := unix.NsecToTimespec(int64(d))
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd),
			uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)),
			uintptr(unsafe.Pointer(&ts)), 0, 0)
		if errno != unix.ENOSYS {
			return p.result(int(n), errno)
		}
		p.coarse = true
	}
	n, err := unix.EpollWait(p.fd, p.events[:], int((d+time.Millisecond-1)/time.Millisecond))
	var errno unix.Errno
	errors.As(err, &errno) // the only kind
	return p.result(n, errno)
}

func (p *poller) result(n int, errno unix.Errno) ([]unix.EpollEvent, error) {
	switch errno {
	case 0:
		return p.events[:n], nil
	case unix.EINTR:
		return nil, nil
	}
	return nil, fmt.Errorf("socketeer: epoll: %w", errno)
}

// nap sleeps the thread, so that nothing that arrives meanwhile wakes it. An
// early return, by a signal, does no harm.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil)
}

func (p *poller) close() { unix.Close(p.fd) }

// recv and send skip the scheduler's bookkeeping around system calls that may
// block: these sockets never do.

func recv(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
	return int(n), errno
}

func send(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}
