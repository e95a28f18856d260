package wsconn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/socketeer-io/socketeer/internal/wsconn"
)

// clientPeer starts a server that hands each accepted WebSocket to handle, and
// returns its ws URL.
func clientPeer(t *testing.T, handle func(conn net.Conn)) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		handle(conn)
	}))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func dialClient(t *testing.T, url string, opts wsconn.DialOptions) *wsconn.Client {
	t.Helper()
	c, err := wsconn.Dial(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestClientEcho(t *testing.T) {
	url := clientPeer(t, func(conn net.Conn) {
		for {
			data, op, err := wsutil.ReadClientData(conn)
			if err != nil {
				return
			}
			if err := wsutil.WriteServerMessage(conn, op, data); err != nil {
				return
			}
		}
	})
	c := dialClient(t, url, wsconn.DialOptions{})
	for _, tc := range []struct {
		name   string
		data   []byte
		binary bool
	}{
		{"empty", nil, false},
		{"text", []byte("héllo"), false},
		{"binary", []byte{0, 0xff, 0x80}, true},
		{"16-bit length", bytes.Repeat([]byte("a"), 40_000), false},
		{"64-bit length", bytes.Repeat([]byte{0xfe}, 200_000), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sent := bytes.Clone(tc.data)
			if err := c.WriteMessage(sent, tc.binary); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(sent, tc.data) {
				t.Error("the caller's data was masked in place")
			}
			got, binary, err := c.ReadMessage()
			if err != nil || binary != tc.binary || !bytes.Equal(got, tc.data) {
				t.Fatalf("got %d bytes, binary=%v, err=%v", len(got), binary, err)
			}
		})
	}
}

func TestClientAppendKeepsOrder(t *testing.T) {
	url := clientPeer(t, func(conn net.Conn) {
		for {
			data, op, err := wsutil.ReadClientData(conn)
			if err != nil || wsutil.WriteServerMessage(conn, op, data) != nil {
				return
			}
		}
	})
	c := dialClient(t, url, wsconn.DialOptions{})
	for _, m := range []string{"a", "b", "c"} {
		c.Append([]byte(m), false)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b", "c"} {
		got, _, err := c.ReadMessage()
		if err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestClientAnswersPingsAndReassembles(t *testing.T) {
	pong := make(chan string, 1)
	url := clientPeer(t, func(conn net.Conn) {
		for _, f := range []ws.Frame{
			ws.NewFrame(ws.OpText, false, []byte("one ")),
			ws.NewPingFrame([]byte("p")),
			ws.NewFrame(ws.OpContinuation, false, []byte("two ")),
			ws.NewPongFrame(nil),
			ws.NewFrame(ws.OpContinuation, true, []byte("three")),
		} {
			if err := ws.WriteFrame(conn, f); err != nil {
				return
			}
		}
		h, err := ws.ReadHeader(conn)
		if err != nil {
			return
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		ws.Cipher(body, h.Mask, 0)
		pong <- fmt.Sprint(h.OpCode, string(body))
	})
	c := dialClient(t, url, wsconn.DialOptions{})
	got, binary, err := c.ReadMessage()
	if err != nil || binary || string(got) != "one two three" {
		t.Fatalf("got %q, %v, %v", got, binary, err)
	}
	if got, want := <-pong, fmt.Sprint(ws.OpPong, "p"); got != want {
		t.Errorf("server got %q, want %q", got, want)
	}
}

func TestClientPing(t *testing.T) {
	var handled atomic.Int64
	url := clientPeer(t, func(conn net.Conn) {
		for {
			h, err := ws.ReadHeader(conn)
			if err != nil {
				return
			}
			body := make([]byte, h.Length)
			if _, err := io.ReadFull(conn, body); err != nil {
				return
			}
			ws.Cipher(body, h.Mask, 0)
			if h.OpCode != ws.OpPing {
				handled.Add(1)
				continue
			}
			for _, b := range [][]byte{[]byte("not yours"), body} {
				if err := ws.WriteFrame(conn, ws.NewPongFrame(b)); err != nil {
					return
				}
			}
		}
	})
	c := dialClient(t, url, wsconn.DialOptions{})
	ended := make(chan error, 1)
	go func() {
		_, _, err := c.ReadMessage()
		ended <- err
	}()
	for i := range 3 {
		c.Append([]byte("x"), false)
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := handled.Load(); got != int64(i+1) {
			t.Errorf("pong after %d messages, want %d", got, i+1)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestClientRefusesBadFrames(t *testing.T) {
	for _, tc := range []struct {
		name   string
		frames []ws.Frame
		code   ws.StatusCode
	}{
		{"masked", []ws.Frame{ws.MaskFrame(ws.NewTextFrame([]byte("x")))}, ws.StatusProtocolError},
		{"reserved bits", []ws.Frame{{Header: ws.Header{Fin: true, Rsv: 4, OpCode: ws.OpText}}}, ws.StatusProtocolError},
		{"reserved opcode", []ws.Frame{{Header: ws.Header{Fin: true, OpCode: 3}}}, ws.StatusProtocolError},
		{"continuation first", []ws.Frame{ws.NewFrame(ws.OpContinuation, true, nil)}, ws.StatusProtocolError},
		{"second text unfinished first", []ws.Frame{
			ws.NewFrame(ws.OpText, false, nil), ws.NewFrame(ws.OpText, true, nil),
		}, ws.StatusProtocolError},
		{"fragmented ping", []ws.Frame{ws.NewFrame(ws.OpPing, false, nil)}, ws.StatusProtocolError},
		{"not UTF-8", []ws.Frame{ws.NewTextFrame([]byte{0xff})}, ws.StatusInvalidFramePayloadData},
		{"too big", []ws.Frame{ws.NewBinaryFrame(make([]byte, 101))}, ws.StatusMessageTooBig},
		{"too big in parts", []ws.Frame{
			ws.NewFrame(ws.OpBinary, false, make([]byte, 60)), ws.NewFrame(ws.OpContinuation, true, make([]byte, 41)),
		}, ws.StatusMessageTooBig},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code := make(chan ws.StatusCode, 1)
			url := clientPeer(t, func(conn net.Conn) {
				for _, f := range tc.frames {
					if err := ws.WriteFrame(conn, f); err != nil {
						return
					}
				}
				f, err := ws.ReadFrame(conn)
				if err != nil {
					return
				}
				got, _ := ws.ParseCloseFrameData(ws.UnmaskFrame(f).Payload)
				code <- got
			})
			c := dialClient(t, url, wsconn.DialOptions{MaxMessage: 100})
			if _, _, err := c.ReadMessage(); err == nil {
				t.Fatal("no error")
			}
			if got := <-code; got != tc.code {
				t.Errorf("server was told %d, want %d", got, tc.code)
			}
		})
	}
}

func TestClientPeerCloses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		body   []byte
		code   uint16
		reason string
	}{
		{"with code", ws.NewCloseFrameBody(1001, "bye"), 1001, "bye"},
		{"without code", nil, 1005, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answered := make(chan ws.OpCode, 1)
			url := clientPeer(t, func(conn net.Conn) {
				if err := ws.WriteFrame(conn, ws.NewCloseFrame(tc.body)); err != nil {
					return
				}
				f, err := ws.ReadFrame(conn)
				if err == nil {
					answered <- f.Header.OpCode
				}
			})
			c := dialClient(t, url, wsconn.DialOptions{})
			_, _, err := c.ReadMessage()
			var gone *wsconn.PeerClosed
			if !errors.As(err, &gone) || gone.Code != tc.code || gone.Reason != tc.reason {
				t.Fatalf("got %v", err)
			}
			if !errors.Is(err, net.ErrClosed) {
				t.Error("not a net.ErrClosed")
			}
			if op := <-answered; op != ws.OpClose {
				t.Errorf("server got opcode %d", op)
			}
		})
	}
}

func TestClientCloseFrameIsTheLast(t *testing.T) {
	got := make(chan ws.OpCode, 2)
	url := clientPeer(t, func(conn net.Conn) {
		defer close(got)
		for {
			f, err := ws.ReadFrame(conn)
			if err != nil {
				return
			}
			got <- f.Header.OpCode
		}
	})
	c := dialClient(t, url, wsconn.DialOptions{})
	if err := c.WriteClose(1000, ""); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMessage([]byte("late"), false); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if op := <-got; op != ws.OpClose {
		t.Errorf("opcode %d", op)
	}
	if op, more := <-got; more {
		t.Errorf("opcode %d after the close frame", op)
	}
}

func TestDialRefused(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "example.org" || r.Header.Get("X-Token") != "t" {
			t.Errorf("host %q, header %q", r.Host, r.Header)
		}
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"code":4}`)
	}))
	t.Cleanup(srv.Close)
	_, err := wsconn.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), wsconn.DialOptions{
		Header: http.Header{"X-Token": {"t"}, "Host": {"example.org"}},
	})
	var refused *wsconn.HandshakeError
	if !errors.As(err, &refused) || refused.Status != 403 || string(refused.Body) != `{"code":4}` {
		t.Fatalf("got %v", err)
	}
}

func TestDialHonoursContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan struct{})
	_, err = wsconn.Dial(ctx, "ws://"+l.Addr().String(), wsconn.DialOptions{
		NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			go func() { cancel(); close(cancelled) }()
			return conn, err
		},
	})
	<-cancelled
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
}

func TestClientCloseUnblocksRead(t *testing.T) {
	reading := make(chan struct{})
	url := clientPeer(t, func(conn net.Conn) {
		close(reading)
		io.Copy(io.Discard, conn)
	})
	c := dialClient(t, url, wsconn.DialOptions{})
	go func() {
		<-reading
		c.Close()
	}()
	if _, _, err := c.ReadMessage(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

func TestClientEndOfStreamIsUnexpected(t *testing.T) {
	url := clientPeer(t, func(conn net.Conn) { conn.Write([]byte{0x81, 5, 'h'}) })
	c := dialClient(t, url, wsconn.DialOptions{})
	if _, _, err := c.ReadMessage(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v", err)
	}
}

func FuzzClientReadMessage(f *testing.F) {
	f.Add([]byte{0x81, 2, 'h', 'i'})
	f.Add([]byte{0x01, 1, 'h', 0x80, 1, 'i'})
	f.Add([]byte{0x82, 127, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x89, 0, 0x88, 2, 3, 0xe9})
	f.Fuzz(func(t *testing.T, stream []byte) {
		const limit = 1 << 16
		url, conn := clientPipe(stream)
		c, err := wsconn.Dial(t.Context(), url, wsconn.DialOptions{
			MaxMessage: limit,
			NetDial:    func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for {
			data, _, err := c.ReadMessage()
			if err != nil {
				return
			}
			if len(data) > limit {
				t.Fatalf("message of %d bytes", len(data))
			}
		}
	})
}

// clientPipe returns a connection whose other end accepts the handshake, says
// stream and ends.
func clientPipe(stream []byte) (string, net.Conn) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		if _, err := ws.Upgrade(server); err != nil {
			return
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			io.Copy(io.Discard, server)
		}()
		server.Write(stream)
		server.Close()
		<-read
	}()
	return "ws://fuzz.test/", client
}
