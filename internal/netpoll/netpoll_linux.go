// Package netpoll watches many sockets with few goroutines, by epoll. It is
// for servers whose connections are mostly idle: a watched socket costs a table
// entry, and no goroutine, stack or buffer.
//
// Where there is no epoll, [Supported] is false, and connections keep a
// goroutine each.
package netpoll

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Supported reports whether the package works on this system.
const Supported = true

// Handler is called by a poller, on the poller's goroutine: it must not wait.
// Notifications are edge-triggered.
type Handler interface {
	// Readable says that there may be something to read: it is to be read
	// until there is no more (EAGAIN or a short read), or with hangup until
	// the end. buf is the poller's, for use during the call.
	Readable(buf []byte, hangup bool)
	// Writable says that there may be room to write.
	Writable()
}

// Poller watches sockets. Make one with [New], and have [Poller.Run] run on a
// goroutine of its own.
type Poller struct {
	epoll *os.File
	raw   syscall.RawConn
	after func()

	mu     sync.RWMutex
	fds    []*FD // by number
	gen    int32
	closed bool
}

// New returns a poller. It calls after, if not nil, when it has notified
// everyone of whom there was news.
func New(after func()) (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("socketeer: epoll: %w", err)
	}
	// The runtime's own poller watches this one: waiting costs no thread.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("socketeer: epoll: %w", err)
	}
	p := &Poller{epoll: os.NewFile(uintptr(fd), "epoll"), after: after}
	if p.raw, err = p.epoll.SyscallConn(); err != nil {
		_ = p.epoll.Close()
		return nil, fmt.Errorf("socketeer: epoll: %w", err)
	}
	return p, nil
}

const (
	maxEvents  = 256
	readBuffer = 16 << 10 // also bounds what is handled after a handler has asked for a pause
)

// Run notifies until Close.
func (p *Poller) Run() {
	events := make([]unix.EpollEvent, maxEvents)
	buf := make([]byte, readBuffer)
	// The callback returns false to wait for more; an error means closed.
	_ = p.raw.Read(func(epfd uintptr) bool {
		for {
			n, err := epollWait(int(epfd), events)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n == 0 {
				return err != nil
			}
			for i := range events[:n] {
				p.notify(&events[i], buf)
			}
			if p.after != nil {
				p.after()
			}
		}
	})
}

func (p *Poller) notify(e *unix.EpollEvent, buf []byte) {
	p.mu.RLock()
	var f *FD
	if int(e.Fd) < len(p.fds) {
		f = p.fds[e.Fd]
	}
	p.mu.RUnlock()
	if f == nil || f.gen != e.Pad || !f.acquire() {
		return // closed meanwhile; the number may be another's by now
	}
	defer f.release()
	if e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		f.h.Readable(buf, e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0)
	}
	if e.Events&(unix.EPOLLOUT|unix.EPOLLERR) != 0 {
		f.h.Writable()
	}
}

// Close ends Run. The sockets stay open, unwatched.
func (p *Poller) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.epoll.Close()
}

// FD is a socket that has been taken over from the net package. Its methods
// may be called concurrently.
type FD struct {
	p   *Poller
	fd  int
	gen int32
	h   Handler
	// refs counts users, and one for being open; closing is set by Close.
	refs    atomic.Int32
	closing atomic.Bool
}

// ErrNotSocket says that a connection is not a plain socket, such as one with
// TLS.
var ErrNotSocket = errors.New("socketeer: not a plain socket")

// Take takes the socket out of nc, which is closed, and returns it unwatched.
// When it fails, nc is as before.
func (p *Poller) Take(nc net.Conn) (*FD, error) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil, ErrNotSocket
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var dupErr error
	if err := raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, os.NewSyscallError("dup", dupErr)
	}
	f := &FD{p: p, fd: fd}
	f.refs.Store(1)
	_ = nc.Close() // the descriptor, not the socket
	return f, nil
}

// Watch begins to notify h, at once if there is something to read.
func (f *FD) Watch(h Handler) error {
	f.h = h
	p := f.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	for f.fd >= len(p.fds) {
		p.fds = append(p.fds, nil)
	}
	p.gen++
	f.gen = p.gen
	p.fds[f.fd] = f
	if err := p.control(unix.EPOLL_CTL_ADD, f); err != nil {
		p.fds[f.fd] = nil
		return err
	}
	return nil
}

func (p *Poller) control(op int, f *FD) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | edgeTriggered, Fd: int32(f.fd), Pad: f.gen}
	var result error
	if err := p.raw.Control(func(epfd uintptr) { result = unix.EpollCtl(int(epfd), op, f.fd, &e) }); err != nil {
		return err
	}
	return os.NewSyscallError("epoll_ctl", result)
}

const edgeTriggered = 1 << 31 // unix.EPOLLET as an unsigned number

// Again notifies once more of what is there, for a handler that has left
// something unread.
func (f *FD) Again() {
	if f.acquire() {
		_ = f.p.control(unix.EPOLL_CTL_MOD, f) // when it fails, all is being closed
		f.release()
	}
}

func (f *FD) acquire() bool {
	for {
		n := f.refs.Load()
		if n == 0 || f.closing.Load() {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (f *FD) release() {
	if f.refs.Add(-1) == 0 {
		_ = unix.Close(f.fd) // nothing can be done about an error
	}
}

// Read reads what is there. It returns EAGAIN when there is nothing, and 0
// when the peer has hung up.
func (f *FD) Read(b []byte) (int, error) {
	if !f.acquire() {
		return 0, net.ErrClosed
	}
	defer f.release()
	for {
		n, err := read(f.fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n, err
	}
}

// Write writes as much as the kernel takes without waiting. Less than all of
// b without an error means that Writable will be called.
func (f *FD) Write(b []byte) (int, error) {
	if !f.acquire() {
		return 0, net.ErrClosed
	}
	defer f.release()
	done := 0
	for done < len(b) {
		n, err := write(f.fd, b[done:])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return done, nil
		case err != nil:
			return done, err
		default:
			done += n
		}
	}
	return done, nil
}

// CloseWrite tells the peer that nothing more comes.
func (f *FD) CloseWrite() error {
	if !f.acquire() {
		return net.ErrClosed
	}
	defer f.release()
	return unix.Shutdown(f.fd, unix.SHUT_WR)
}

// Close closes the socket, when nobody uses it any more. It is idempotent.
func (f *FD) Close() error {
	if !f.closing.CompareAndSwap(false, true) {
		return nil
	}
	f.p.mu.Lock()
	if f.fd < len(f.p.fds) && f.p.fds[f.fd] == f {
		f.p.fds[f.fd] = nil
	}
	f.p.mu.Unlock()
	f.release()
	return nil
}
