// Package peer is a client without manners, for tests: it sends whatever bytes
// it is told to, and tells exactly what comes back.
package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Opcodes of WebSocket frames, and bits of their first byte.
const (
	Continuation = 0x0
	Text         = 0x1
	Binary       = 0x2
	Close        = 0x8
	Ping         = 0x9
	Pong         = 0xa

	Fin  = 0x80
	RSV1 = 0x40
	RSV2 = 0x20
)

// Patience is how long anything may take.
const Patience = 10 * time.Second

// Conn is a connection to a server. Its methods fail the test when something
// does not work, unless they return an error.
type Conn struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

// Dial connects over TCP. The test closes the connection at its end.
func Dial(t testing.TB, addr string) *Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return New(t, nc)
}

// New uses a connection.
func New(t testing.TB, nc net.Conn) *Conn {
	t.Cleanup(func() { _ = nc.Close() })
	return &Conn{Conn: nc, t: t, br: bufio.NewReader(nc)}
}

// Send writes bytes. That the server does not take them is no failure.
func (c *Conn) Send(b string) error {
	_ = c.SetWriteDeadline(time.Now().Add(Patience))
	_, err := io.WriteString(c.Conn, b)
	return err
}

// Handshake is a request for a WebSocket, without the empty line at its end.
func Handshake(uri string, header ...string) string {
	return "GET " + uri + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + strings.Join(append(header, ""), "\r\n")
}

// Upgrade asks for a WebSocket and returns the answer, its body read.
func (c *Conn) Upgrade(uri string, header ...string) (*http.Response, string) {
	c.t.Helper()
	if err := c.Send(Handshake(uri, header...) + "\r\n"); err != nil {
		c.t.Fatal(err)
	}
	return c.Response()
}

// Response reads an HTTP response.
func (c *Conn) Response() (*http.Response, string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(Patience))
	r, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.t.Fatalf("no response: %v", err)
	}
	if r.StatusCode == http.StatusSwitchingProtocols {
		return r, ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatalf("no body: %v", err)
	}
	return r, string(body)
}

var mask = [4]byte{0xa1, 0xb2, 0xc3, 0xd4}

// Frame makes a masked frame.
func Frame(first byte, payload string) string {
	b := []byte(Header(first, uint64(len(payload))))
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

// Header makes the header of a masked frame, which may promise any length.
func Header(first byte, n uint64) string {
	b := []byte{first}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), n)
	}
	return string(append(b, mask[:]...))
}

// Text sends text messages.
func (c *Conn) Text(messages ...string) {
	c.t.Helper()
	var b strings.Builder
	for _, m := range messages {
		b.WriteString(Frame(Fin|Text, m))
	}
	if err := c.Send(b.String()); err != nil {
		c.t.Fatal(err)
	}
}

// ReadFrame reads one frame.
func (c *Conn) ReadFrame() (first byte, payload string, err error) {
	_ = c.SetReadDeadline(time.Now().Add(Patience))
	var h [2]byte
	if _, err := io.ReadFull(c.br, h[:]); err != nil {
		return 0, "", err
	}
	n := uint64(h[1])
	switch {
	case h[1]&0x80 != 0:
		return 0, "", errors.New("the server's frame is masked")
	case n == 126:
		var b [2]byte
		_, err = io.ReadFull(c.br, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case n == 127:
		var b [8]byte
		_, err = io.ReadFull(c.br, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(c.br, b)
	return h[0], string(b), err
}

// Message returns the next message. Heartbeats ("2") are answered on the way.
func (c *Conn) Message() string {
	c.t.Helper()
	for {
		first, payload, err := c.ReadFrame()
		if err != nil {
			c.t.Fatalf("no message: %v", err)
		}
		switch {
		case first == Fin|Text && payload == "2":
			c.Text("3")
		case first == Fin|Text || first == Fin|Binary:
			return payload
		default:
			c.t.Fatalf("frame %#x %q instead of a message", first, payload)
		}
	}
}

// Expect reads messages and compares them.
func (c *Conn) Expect(messages ...string) {
	c.t.Helper()
	for _, want := range messages {
		if got := c.Message(); got != want {
			c.t.Fatalf("got %.200q, want %.200q", got, want)
		}
	}
}

// Ending is how a server ended a connection.
type Ending struct {
	Code int      // of its close frame, 1005 when that had none; 0 when there was no frame
	Last []string // messages before
}

// String describes it.
func (e Ending) String() string { return fmt.Sprintf("close code %d after %q", e.Code, e.Last) }

// End reads until the server has closed the connection.
func (c *Conn) End() (e Ending) {
	c.t.Helper()
	for {
		first, payload, err := c.ReadFrame()
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			c.t.Fatalf("still open after %q", e.Last)
		case err != nil:
			return e
		case first == Fin|Close && len(payload) >= 2:
			e.Code = int(binary.BigEndian.Uint16([]byte(payload)))
		case first == Fin|Close:
			e.Code = 1005
		case payload != "2":
			e.Last = append(e.Last, payload)
		}
	}
}

// Reset closes the connection so that the server gets an RST.
func (c *Conn) Reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Conn.Close()
}
