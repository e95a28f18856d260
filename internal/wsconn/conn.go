package wsconn

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/gobwas/ws"

	"github.com/socketeer-io/socketeer/internal/netpoll"
)

// Handler receives what a [Conn] reads: from a poller, which it must not
// block, or from the goroutine of [Conn.Read].
type Handler interface {
	// Message is called for each data message, in order. The payload is valid
	// only during the call. An error ends reading.
	Message(payload []byte, isBinary bool) error
	// Ping is called for each ping frame; the handler owes a pong.
	Ping(payload []byte) error
	// Read is called when what was there has been read.
	Read()
	// Paused returns nil, or a channel that is closed when reading may go on;
	// then [Conn.Again] is to be called, too.
	Paused() <-chan struct{}
	// Writable says that there may be room to write again.
	Writable()
	// Ended is called once, when reading has ended: with io.EOF when the peer
	// hung up, a *CloseError when it closed or broke the protocol, the error of
	// Message or Ping, or the network's. If it returns true, what still comes
	// is read and forgotten until the peer hangs up: closing with unread bytes
	// would reset the connection, and could take a close frame with it.
	Ended(err error) (linger bool)
	// Gone is called last. The connection has been closed.
	Gone()
}

// Options of an upgrade.
type Options struct {
	Header  http.Header // added to the 101 response
	Limit   int64       // largest message accepted, in bytes
	Deflate bool        // accept per-message deflate when offered
}

// Conn is the server side of a WebSocket connection. It is read by a poller
// ([Conn.Watch]) or, where that is not possible, by a goroutine ([Conn.Read]).
// One goroutine at a time may write; Close may be called by anyone, any time.
type Conn struct {
	nc      net.Conn                   // until watched, or always
	fd      atomic.Pointer[netpoll.FD] // when watched
	h       Handler
	p       parser
	deflate bool
	linger  bool // owned by the reader

	mu     sync.Mutex // for the two that must not overlap: watching, and closing what is watched
	closed bool       // guarded by mu
}

// Accepted is a WebSocket whose handshake has succeeded.
type Accepted struct {
	*Conn
	// Response is the HTTP response, which has not been sent: it is to be
	// written first, and may leave together with what follows.
	Response []byte
	// Early is what the client has sent already, which the reader wants first.
	Early []byte
}

// Upgrade accepts a WebSocket handshake. When it fails, the refusal has been
// written and the connection closed. The request's goroutine should return
// soon after a success, for it holds the HTTP server's buffers.
func Upgrade(w http.ResponseWriter, r *http.Request, o Options) (*Accepted, error) {
	var u ws.HTTPUpgrader
	u.Header = o.Header
	c := &Conn{}
	if o.Deflate {
		u.Negotiate = negotiate(&c.deflate)
	}
	held := holds.Get().(*hold)
	defer held.free()
	nc, rw, _, err := u.Upgrade(r, holder{w, held})
	if err != nil {
		if nc != nil {
			_, _ = nc.Write(held.response.Bytes()) // err says it all
			_ = nc.Close()
		}
		return nil, err
	}
	var early []byte
	if n := rw.Reader.Buffered(); n > 0 {
		b, _ := rw.Reader.Peek(n)
		early = append([]byte(nil), b...)
	}
	c.nc = nc
	c.p.limit = o.Limit
	if c.deflate {
		c.p.flate = &deflater{}
	}
	return &Accepted{Conn: c, Response: bytes.Clone(held.response.Bytes()), Early: early}, nil
}

// hold keeps back what the WebSocket library writes.
type hold struct {
	response bytes.Buffer
	w        *bufio.Writer
}

var holds = sync.Pool{New: func() any {
	h := &hold{}
	h.w = bufio.NewWriterSize(&h.response, 512)
	return h
}}

func (h *hold) free() {
	h.response.Reset()
	holds.Put(h)
}

// holder is a ResponseWriter whose connection, once hijacked, is written to by
// way of a hold.
type holder struct {
	http.ResponseWriter
	held *hold
}

// Hijack implements http.Hijacker.
func (h holder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nc, rw, err
	}
	return nc, bufio.NewReadWriter(rw.Reader, h.held.w), nil
}

// Deflate reports whether frames to this connection may be compressed.
func (c *Conn) Deflate() bool { return c.deflate }

// Close closes the socket at once.
func (c *Conn) Close() error {
	fd := c.fd.Load()
	if fd == nil {
		return c.nc.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return fd.Close()
}

// CloseWrite tells the peer that nothing more comes, after what was written.
func (c *Conn) CloseWrite() error {
	if fd := c.fd.Load(); fd != nil {
		return fd.CloseWrite()
	}
	if cw, ok := c.nc.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return c.nc.Close()
}

// Take prepares the connection for being watched, and reports whether it can
// be: it is a plain socket, and the system has a poller.
func (c *Conn) Take(p *netpoll.Poller) bool {
	fd, err := p.Take(c.nc)
	if err != nil {
		return false
	}
	c.fd.Store(fd)
	return true
}

// Watch has the connection, which was taken, read from now on.
func (c *Conn) Watch(early []byte, h Handler) {
	c.h = h
	if len(early) > 0 {
		if err := c.p.feed(early, h); err != nil && !c.ended(err) {
			return
		}
		h.Read()
	}
	if err := c.watch(); err != nil && c.ended(err) {
		c.gone()
	}
}

// watch does not touch a descriptor that was closed meanwhile: its number may
// be another connection's by now.
func (c *Conn) watch() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return c.fd.Load().Watch((*watched)(c))
}

// ended reports whether to go on reading in order to forget it.
func (c *Conn) ended(err error) bool {
	if c.linger {
		return true
	}
	if c.linger = c.h.Ended(err); !c.linger {
		c.gone()
	}
	return c.linger
}

func (c *Conn) gone() {
	_ = c.Close()
	c.h.Gone()
}

// Again has the connection read on after a pause.
func (c *Conn) Again() {
	if fd := c.fd.Load(); fd != nil {
		fd.Again()
	}
}

// watched is a Conn as its poller sees it.
type watched Conn

// maxReads bounds how long one connection may keep a poller.
const maxReads = 8

// Readable implements netpoll.Handler.
func (w *watched) Readable(buf []byte, hangup bool) {
	c := (*Conn)(w)
	fd := c.fd.Load()
	for range maxReads {
		// The end is worth knowing even while nothing is wanted, and what comes
		// before it is in the kernel's buffer already.
		if !c.linger && !hangup && c.h.Paused() != nil {
			return
		}
		n, err := fd.Read(buf)
		if errors.Is(err, syscall.EAGAIN) {
			return
		}
		if err != nil || n == 0 {
			if err == nil {
				err = io.EOF
			}
			if c.ended(err) {
				c.gone()
			}
			return
		}
		if !c.linger {
			err := c.p.feed(buf[:n], c.h)
			if err != nil && !c.ended(err) {
				return
			}
		}
		if n < len(buf) && !hangup {
			return
		}
	}
	fd.Again()
}

// Writable implements netpoll.Handler.
func (w *watched) Writable() { (*Conn)(w).h.Writable() }

// Read reads a connection that cannot be watched, such as one with TLS, until
// it ends. Its buffer is small because it is held while idle.
func (c *Conn) Read(early []byte, h Handler) {
	c.h = h
	defer c.gone()
	if len(early) > 0 {
		if err := c.feed(early); err != nil {
			return
		}
	}
	buf := make([]byte, 1<<10)
	for {
		if paused := h.Paused(); paused != nil && !c.linger {
			<-paused
		}
		n, err := c.nc.Read(buf)
		if n > 0 && !c.linger {
			if err := c.feed(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if !c.linger {
				c.linger = true
				h.Ended(err)
			}
			return
		}
	}
}

// feed returns an error when reading is over for good.
func (c *Conn) feed(b []byte) error {
	err := c.p.feed(b, c.h)
	c.h.Read()
	if err == nil {
		return nil
	}
	if c.linger = c.h.Ended(err); c.linger {
		return nil
	}
	c.linger = true
	return err
}

// CanTry reports whether TryWrite works: the connection is watched.
func (c *Conn) CanTry() bool { return c.fd.Load() != nil }

// TryWrite writes as much of b as the kernel takes without waiting. When that
// is not all, Writable will be called.
func (c *Conn) TryWrite(b []byte) (int, error) {
	fd := c.fd.Load()
	if fd == nil {
		return 0, netpoll.ErrNotSocket
	}
	return fd.Write(b)
}

// Write writes all of b to a connection that is not watched, waiting as long
// as it takes or until it is closed.
func (c *Conn) Write(b []byte) (int, error) { return c.nc.Write(b) }
