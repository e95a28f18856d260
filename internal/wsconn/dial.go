package wsconn

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const (
	clientReadBuffer  = 1 << 10  // what a client keeps between messages
	clientKeepBuffer  = 64 << 10 // a larger write buffer is given back
	payloadChunk      = 32 << 10 // a declared length is trusted up to here, the rest grows as bytes arrive
	maxHandshakeBody  = 4 << 10  // of a refused handshake
	defaultMaxMessage = 16 << 20
)

// ErrMessageTooBig says that the peer sent a message over the limit.
var ErrMessageTooBig = errors.New("socketeer: websocket message over the limit")

// DialOptions says how to open a client connection. The zero value works.
type DialOptions struct {
	// Header is sent with the handshake. A "Host" entry replaces the URL's host.
	Header http.Header
	// TLS is used for wss URLs; nil means the defaults. It is not modified.
	TLS *tls.Config
	// NetDial opens the connection underneath; nil means a net.Dialer.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// MaxMessage is the largest message accepted, in bytes; 0 means 16 MiB.
	MaxMessage int64
}

// HandshakeError says that the server answered the WebSocket handshake with
// something else than 101.
type HandshakeError struct {
	Status int
	Body   []byte // the first bytes of the answer's body
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("socketeer: websocket handshake refused with status %d", e.Status)
}

// PeerClosed says that the peer closed the connection by a close frame.
type PeerClosed struct {
	Code   uint16 // 1005 when the frame carried none (RFC 6455, 7.1.5)
	Reason string
}

func (e *PeerClosed) Error() string {
	return fmt.Sprintf("socketeer: websocket closed by the peer with code %d %q", e.Code, e.Reason)
}

// Unwrap makes errors.Is(err, net.ErrClosed) true.
func (e *PeerClosed) Unwrap() error { return net.ErrClosed }

// Client is the client's side of a WebSocket connection.
//
// One goroutine may read while any number write; Close may be called at any
// time and makes both return.
type Client struct {
	conn net.Conn

	// owned by the reader
	br  *bufio.Reader
	hdr [ws.MaxHeaderSize]byte
	max int64

	pong chan []byte // what the last pong carried

	wmu      sync.Mutex
	wbuf     bytes.Buffer // frames not yet written; guarded by wmu
	sayBye   bool         // a close frame was queued; guarded by wmu
	closeErr error        // set by closed
	closed   sync.Once
}

// Dial opens a WebSocket connection to a ws or wss URL. The context bounds the
// handshake only. A server that refuses makes it return a *[HandshakeError].
func Dial(ctx context.Context, url string, opts DialOptions) (*Client, error) {
	var refused *HandshakeError
	d := ws.Dialer{
		ReadBufferSize:  clientReadBuffer,
		WriteBufferSize: clientReadBuffer,
		Header:          ws.HandshakeHeaderHTTP(withoutHost(opts.Header)),
		Host:            opts.Header.Get("Host"),
		NetDial:         opts.NetDial,
		TLSConfig:       http1Only(opts.TLS),
		OnStatusError: func(status int, _ []byte, resp io.Reader) {
			refused = &HandshakeError{Status: status, Body: refusalBody(resp)}
		},
	}
	conn, br, _, err := d.Dial(ctx, url)
	if err != nil {
		if refused != nil {
			return nil, refused
		}
		return nil, fmt.Errorf("socketeer: websocket dial: %w", err)
	}
	c := &Client{conn: conn, max: opts.MaxMessage, pong: make(chan []byte, 1)}
	if c.max <= 0 {
		c.max = defaultMaxMessage
	}
	if br == nil {
		br = bufio.NewReaderSize(conn, clientReadBuffer)
	}
	c.br = br
	return c, nil
}

// withoutHost leaves Host to the dialer, which would otherwise send it twice.
func withoutHost(h http.Header) http.Header {
	if h.Get("Host") == "" {
		return h
	}
	h = h.Clone()
	h.Del("Host")
	return h
}

// http1Only keeps a configuration made for HTTP/2 from negotiating it, on
// which this handshake does not work.
func http1Only(cfg *tls.Config) *tls.Config {
	if cfg == nil {
		return nil
	}
	cfg = cfg.Clone()
	cfg.NextProtos = nil
	return cfg
}

// refusalBody reads what it can of a refusal without waiting for a connection
// that the server keeps open.
func refusalBody(r io.Reader) []byte {
	resp, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxHandshakeBody))
	return body
}

// ReadMessage returns the next message, in memory that is the caller's. Pings
// are answered on the way. When the peer closes it returns a *[PeerClosed];
// after any error the connection is of no further use and wants a Close.
func (c *Client) ReadMessage() (data []byte, binary bool, err error) {
	var op ws.OpCode // of the message being assembled, OpContinuation when none
	state := ws.StateClientSide
	for {
		h, err := ws.ReadHeaderBuffer(c.br, c.hdr[:0])
		if err != nil {
			return nil, false, unexpected(err)
		}
		if err := ws.CheckHeader(h, state); err != nil {
			return nil, false, c.fail(ws.StatusProtocolError, fmt.Errorf("socketeer: websocket: %w", err))
		}
		if h.OpCode.IsControl() {
			if err := c.control(h); err != nil {
				return nil, false, err
			}
			continue
		}
		if h.OpCode != ws.OpContinuation {
			op = h.OpCode
		}
		if h.Length > c.max-int64(len(data)) {
			return nil, false, c.fail(ws.StatusMessageTooBig, ErrMessageTooBig)
		}
		if data, err = c.readPayload(data, int(h.Length)); err != nil {
			return nil, false, err
		}
		if !h.Fin {
			state = state.Set(ws.StateFragmented)
			continue
		}
		if op == ws.OpText && !utf8.Valid(data) {
			return nil, false, c.fail(ws.StatusInvalidFramePayloadData, errors.New("socketeer: websocket: text message is not UTF-8"))
		}
		return data, op == ws.OpBinary, nil
	}
}

// readPayload appends n bytes to data, allocating no more ahead of their
// arrival than a chunk.
func (c *Client) readPayload(data []byte, n int) ([]byte, error) {
	for n > 0 {
		m := min(n, max(payloadChunk, len(data)))
		at := len(data)
		data = slices.Grow(data, m)[:at+m]
		if _, err := io.ReadFull(c.br, data[at:]); err != nil {
			return nil, unexpected(err)
		}
		n -= m
	}
	return data, nil
}

// unexpected turns the end of the stream, which no close frame announced, into
// an error that is not mistaken for an orderly end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("socketeer: websocket read: %w", err)
}

// control handles a ping, pong or close frame.
func (c *Client) control(h ws.Header) error {
	payload, err := c.readPayload(nil, int(h.Length))
	if err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		c.wmu.Lock()
		defer c.wmu.Unlock()
		c.appendFrame(ws.OpPong, payload)
		return c.flushLocked()
	case ws.OpPong:
		select {
		case <-c.pong: // nobody waits for the one before
		default:
		}
		c.pong <- payload
	case ws.OpClose:
		gone := &PeerClosed{Code: uint16(ws.StatusNoStatusRcvd)}
		if len(payload) >= 2 {
			gone.Code = binary.BigEndian.Uint16(payload)
			gone.Reason = string(payload[2:])
			payload = payload[:2]
		} else {
			payload = nil
		}
		// The peer may be gone already: it has said so, and what became of
		// the answer changes nothing.
		_ = c.writeClose(payload)
		return gone
	}
	return nil
}

// fail tells the peer what it did wrong and returns err.
func (c *Client) fail(code ws.StatusCode, err error) error {
	_ = c.WriteClose(uint16(code), "")
	return err
}

// WriteMessage writes one message and everything appended before. The data may
// be reused after it returns.
func (c *Client) WriteMessage(data []byte, binary bool) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.appendFrame(messageOp(binary), data)
	return c.flushLocked()
}

// Append queues one message for the next Flush, so that several leave in one
// write. The data may be reused after it returns.
func (c *Client) Append(data []byte, binary bool) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.appendFrame(messageOp(binary), data)
}

// Flush writes what was appended.
func (c *Client) Flush() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.flushLocked()
}

// Ping returns when the peer has handled everything written before: it sends a
// ping frame and waits for the pong, which another goroutine's ReadMessage has to
// take in. Only one Ping at a time.
func (c *Client) Ping(ctx context.Context) error {
	mark := ws.NewMask() // four random bytes
	c.wmu.Lock()
	c.appendFrame(ws.OpPing, mark[:])
	err := c.flushLocked()
	c.wmu.Unlock()
	if err != nil {
		return err
	}
	for {
		select {
		case payload := <-c.pong:
			if bytes.Equal(payload, mark[:]) {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// WriteClose says goodbye with a code (0 for none) and a reason: no message is
// written any more, those from the peer can still be read until it closes in
// turn.
func (c *Client) WriteClose(code uint16, reason string) error {
	if code == 0 {
		return c.writeClose(nil)
	}
	return c.writeClose(ws.NewCloseFrameBody(ws.StatusCode(code), reason))
}

func (c *Client) writeClose(body []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.appendFrame(ws.OpClose, body)
	c.sayBye = true
	return c.flushLocked()
}

// SetReadDeadline bounds the reads to come; the zero time removes the bound.
func (c *Client) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

// Close cuts the connection underneath without a word to the peer. Calls in
// progress return. It may be called several times.
func (c *Client) Close() error {
	c.closed.Do(func() { c.closeErr = c.conn.Close() })
	return c.closeErr
}

func messageOp(binary bool) ws.OpCode {
	if binary {
		return ws.OpBinary
	}
	return ws.OpText
}

// appendFrame queues a masked frame. Nothing may follow a close frame (RFC
// 6455, 5.5.1). The caller holds wmu.
func (c *Client) appendFrame(op ws.OpCode, payload []byte) {
	if c.sayBye {
		return
	}
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Mask: ws.NewMask(), Length: int64(len(payload))}
	// Writes to a bytes.Buffer do not fail.
	_ = ws.WriteHeader(&c.wbuf, h)
	at := c.wbuf.Len()
	c.wbuf.Write(payload)
	ws.Cipher(c.wbuf.Bytes()[at:], h.Mask, 0)
}

// flushLocked writes the queued frames. The caller holds wmu.
func (c *Client) flushLocked() error {
	if c.wbuf.Len() == 0 {
		return nil
	}
	_, err := c.conn.Write(c.wbuf.Bytes())
	c.wbuf.Reset()
	if c.wbuf.Cap() > clientKeepBuffer {
		c.wbuf = bytes.Buffer{}
	}
	if err != nil {
		return fmt.Errorf("socketeer: websocket write: %w", err)
	}
	return nil
}
