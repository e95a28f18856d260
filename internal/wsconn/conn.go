package wsconn

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/gobwas/ws"
)

// Options of an upgrade.
type Options struct {
	Header  http.Header // added to the 101 response
	Limit   int64       // largest message accepted, in bytes
	Deflate bool        // accept per-message deflate when offered
}

// Conn is the server side of a WebSocket connection.
//
// [Conn.Read] belongs to one goroutine, writing to one at a time; Close may be
// called by anyone, at any time.
type Conn struct {
	nc      net.Conn
	raw     syscall.RawConn // nil when the connection is not a plain socket (TLS)
	p       parser
	deflate bool
}

// Upgrade accepts a WebSocket handshake. When it fails, the refusal has been
// written and the connection closed. The request's goroutine should return
// soon after a success, for it holds the HTTP server's buffers: bytes the
// client sent early are in the returned slice, which [Conn.Read] wants first.
func Upgrade(w http.ResponseWriter, r *http.Request, o Options) (c *Conn, early []byte, err error) {
	var u ws.HTTPUpgrader
	u.Header = o.Header
	c = &Conn{}
	if o.Deflate {
		u.Negotiate = negotiate(&c.deflate)
	}
	nc, rw, _, err := u.Upgrade(r, w)
	if err != nil {
		if nc != nil {
			_ = nc.Close()
		}
		return nil, nil, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		b, _ := rw.Reader.Peek(n)
		early = append([]byte(nil), b...)
	}
	c.nc = nc
	c.p.limit = o.Limit
	if c.deflate {
		c.p.flate = &deflater{}
	}
	if sc, ok := nc.(syscall.Conn); ok && rawSockets {
		if c.raw, err = sc.SyscallConn(); err != nil {
			_ = nc.Close()
			return nil, nil, err
		}
	}
	return c, early, nil
}

// Deflate reports whether frames to this connection may be compressed.
func (c *Conn) Deflate() bool { return c.deflate }

// Close closes the socket at once.
func (c *Conn) Close() error { return c.nc.Close() }

// CloseWrite tells the peer that nothing more comes, after what was written.
func (c *Conn) CloseWrite() error {
	if cw, ok := c.nc.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return c.nc.Close()
}

const readBuffer = 8 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// Read reads until the connection ends and hands what it reads to h, early
// bytes first. It returns io.EOF when the peer hung up, a *CloseError when it
// closed or broke the protocol, h's error, or the network's.
func (c *Conn) Read(early []byte, h Handler) error {
	if len(early) > 0 {
		if err := c.p.feed(early, h); err != nil {
			return err
		}
	}
	if c.raw == nil {
		return c.readStream(h)
	}
	var result error
	err := c.raw.Read(func(fd uintptr) bool {
		done, err := c.drain(fd, h)
		result = err
		return done
	})
	if err != nil {
		return err
	}
	return result
}

// drain reads what is there, with a buffer borrowed for just that, and
// reports whether reading is over.
func (c *Conn) drain(fd uintptr, h Handler) (bool, error) {
	buf := readBuffers.Get().(*[readBuffer]byte)
	defer readBuffers.Put(buf)
	for {
		n, err := sysRead(fd, buf[:])
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return false, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return true, err
		case n == 0:
			return true, io.EOF
		}
		if err := c.p.feed(buf[:n], h); err != nil {
			return true, err
		}
	}
}

// readStream reads a connection that only blocks, such as TLS. Its buffer is
// small because it is held while idle.
func (c *Conn) readStream(h Handler) error {
	buf := make([]byte, 1<<10)
	for {
		n, err := c.nc.Read(buf)
		if n > 0 {
			if err := c.p.feed(buf[:n], h); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// Writer writes to connections without allocating. It belongs to one
// goroutine.
type Writer struct {
	b    []byte
	wait bool
	n    int
	err  error
	fn   func(fd uintptr) bool
}

// NewWriter returns a writer.
func NewWriter() *Writer {
	w := &Writer{}
	w.fn = w.write
	return w
}

// CanTry reports whether TryWrite works on c: it is a plain socket.
func (c *Conn) CanTry() bool { return c.raw != nil }

// TryWrite writes as much of b as the kernel takes without waiting, and
// returns how much that was.
func (w *Writer) TryWrite(c *Conn, b []byte) (int, error) {
	if c.raw == nil {
		return 0, errNotRaw
	}
	return w.do(c, b, false)
}

// Write writes all of b, waiting as long as it takes or until c is closed.
func (w *Writer) Write(c *Conn, b []byte) (int, error) {
	if c.raw == nil {
		return c.nc.Write(b)
	}
	return w.do(c, b, true)
}

func (w *Writer) do(c *Conn, b []byte, wait bool) (int, error) {
	w.b, w.wait, w.n, w.err = b, wait, 0, nil
	err := c.raw.Write(w.fn)
	w.b = nil
	if err == nil {
		err = w.err
	}
	return w.n, err
}

func (w *Writer) write(fd uintptr) bool {
	for w.n < len(w.b) {
		n, err := sysWrite(fd, w.b[w.n:])
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return !w.wait
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			w.err = err
			return true
		}
		w.n += n
	}
	return true
}

// Discard reads and forgets what still comes, until the peer hangs up or c is
// closed: closing with unread bytes would reset the connection and could take
// a close frame on its way with it.
func (c *Conn) Discard() {
	_, _ = io.Copy(io.Discard, c.nc)
}
