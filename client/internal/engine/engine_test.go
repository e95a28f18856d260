package engine_test

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/client/internal/engine"
	"github.com/socketeer-io/socketeer/protocol/eio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hello = `0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100}`

// memory is a network in memory, so that time can be a bubble's.
type memory struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error   { m.once.Do(func() { close(m.done) }); return nil }
func (m *memory) Addr() net.Addr { return &net.TCPAddr{} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.done:
		return nil, errors.New("server is gone")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve starts a server and returns what a client needs to reach it.
func serve(t *testing.T, h http.HandlerFunc) engine.Options {
	t.Helper()
	m := &memory{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(m)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-ended
	})
	u, err := url.Parse("http://server.test/socket.io/")
	if err != nil {
		t.Fatal(err)
	}
	return engine.Options{
		URL:        u,
		Transports: []string{engine.Polling, engine.WebSocket},
		Upgrade:    true,
		NetDial:    m.dial,
		ReadLimit:  1000,
		SendBuffer: 1000,
		Logger:     slog.New(slog.DiscardHandler),
	}
}

// script answers GETs one by one, then holds them; POSTs are accepted.
func script(gets ...string) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "ok")
			return
		}
		mu.Lock()
		if len(gets) == 0 {
			mu.Unlock()
			<-r.Context().Done()
			return
		}
		body := gets[0]
		gets = gets[1:]
		mu.Unlock()
		_, _ = io.WriteString(w, body)
	}
}

func open(t *testing.T, opts engine.Options) *engine.Conn {
	t.Helper()
	c, err := engine.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct{ name, body, want string }{
		{"empty", ``, "malformed"},
		{"message first", `4hello`, "expected a handshake, got message"},
		{"no object", `0[]`, ""},
		{"no times", `0{"sid":"s","upgrades":[],"pingInterval":0,"pingTimeout":0,"maxPayload":1}`, ""},
		{"html", `<html>`, "malformed"},
		{"too long", `0` + strings.Repeat(" ", 2000), "over the limit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := serve(t, script(tc.body))
			_, err := engine.Open(t.Context(), opts)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestHTTPErrors(t *testing.T) {
	for _, transport := range []string{engine.Polling, engine.WebSocket} {
		for _, tc := range []struct {
			status int
			body   string
			want   engine.HTTPError
		}{
			{400, `{"code":4,"message":"Forbidden"}`, engine.HTTPError{Status: 400, Code: 4, Message: "Forbidden"}},
			{400, `{"code":0,"message":"Transport unknown"}`, engine.HTTPError{Status: 400, Code: 0, Message: "Transport unknown"}},
			{502, `<html>bad gateway</html>`, engine.HTTPError{Status: 502, Code: -1}},
			{503, `{"error":"x"}`, engine.HTTPError{Status: 503, Code: -1}},
		} {
			t.Run(fmt.Sprint(transport, tc.body), func(t *testing.T) {
				opts := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(tc.status)
					_, _ = io.WriteString(w, tc.body)
				})
				opts.Transports = []string{transport}
				_, err := engine.Open(t.Context(), opts)
				var got *engine.HTTPError
				if !errors.As(err, &got) || *got != tc.want {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func TestRunEnds(t *testing.T) {
	for _, tc := range []struct {
		name   string
		gets   []string
		reason string
	}{
		{"closed with the handshake", []string{hello + "\x1e1"}, engine.ReasonTransportClose},
		{"closed later", []string{hello, "4a\x1e1"}, engine.ReasonTransportClose},
		{"second handshake", []string{hello, hello}, engine.ReasonParseError},
		{"upgrade packet", []string{hello, "5"}, engine.ReasonParseError},
		{"pong", []string{hello, "3"}, engine.ReasonParseError},
		{"unknown type", []string{hello, "4a\x1e9"}, engine.ReasonParseError},
		{"bad base64", []string{hello, "b!"}, engine.ReasonParseError},
		{"handler", []string{hello, "4refuse"}, engine.ReasonParseError},
		{"too long", []string{hello, "4" + strings.Repeat("x", 1000)}, engine.ReasonTransportError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := open(t, serve(t, script(tc.gets...)))
			end := c.Run(func(p eio.Packet) error {
				if string(p.Data) == "refuse" {
					return errors.New("refused")
				}
				return nil
			})
			if end.Reason != tc.reason {
				t.Errorf("got %v, want %s", end, tc.reason)
			}
			if !errors.Is(end, net.ErrClosed) {
				t.Errorf("%v is no net.ErrClosed", end)
			}
			if err := c.Send(eio.Packet{}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("send after the end: %v", err)
			}
		})
	}
}

func TestSessionLost(t *testing.T) {
	n := 0
	c := open(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 1 {
			_, _ = io.WriteString(w, hello)
			return
		}
		if got := r.URL.Query().Get("sid"); got != "s" {
			t.Errorf("sid %q", got)
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"code":1,"message":"Session ID unknown"}`)
	}))
	end := c.Run(func(eio.Packet) error { return nil })
	var lost *engine.HTTPError
	if end.Reason != engine.ReasonTransportError || !errors.As(end, &lost) || lost.Code != 1 {
		t.Errorf("got %v", end)
	}
}

// TestPingTimeout measures the patience with a silent server, and that whatever
// comes renews it.
func TestPingTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		polls := 0
		c := open(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch polls++; polls {
			case 1:
				_, _ = io.WriteString(w, hello)
			case 2, 3:
				time.Sleep(40 * time.Second)
				_, _ = io.WriteString(w, "4still here")
			default:
				<-r.Context().Done()
			}
		}))
		start := time.Now()
		end := c.Run(func(eio.Packet) error { return nil })
		if end.Reason != engine.ReasonPingTimeout {
			t.Errorf("got %v", end)
		}
		if got, want := time.Since(start), (40+40+45)*time.Second; got != want {
			t.Errorf("after %v, want %v", got, want)
		}
	})
}

// TestCloseLosesPatience says goodbye to a server that does not answer.
func TestCloseLosesPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		c := open(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			if first {
				first = false
				_, _ = io.WriteString(w, hello)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body) // else the end is not noticed
			<-r.Context().Done()
		}))
		start := time.Now()
		if err := c.Send(eio.Packet{Type: eio.Message, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		c.Close(3 * time.Second)
		end := c.Run(func(eio.Packet) error { return nil })
		if end.Reason != engine.ReasonForcedClose || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %v", end, time.Since(start))
		}
	})
}

// TestUpgradeGivenUp has servers that answer the WebSocket wrongly or not at all:
// polling goes on.
func TestUpgradeGivenUp(t *testing.T) {
	offer := strings.Replace(hello, "[]", `["websocket"]`, 1)
	for name, ws := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) },
		"silent":  func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"mute":    accept(),
		"wrong":   accept("3"),
		"eager":   accept("4too early"),
		"ends":    accept("\x88"),
		// The poll that the server holds is not answered for the hand-over.
		"holds on": accept("3probe"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				polls := 0
				c := open(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Upgrade") != "" {
						ws(w, r)
						return
					}
					switch polls++; polls {
					case 1:
						_, _ = io.WriteString(w, offer)
					case 2:
						time.Sleep(15 * time.Second) // longer than an upgrade may take
						_, _ = io.WriteString(w, "4by polling\x1e1")
					}
				}))
				var got []string
				end := c.Run(func(p eio.Packet) error {
					got = append(got, string(p.Data))
					return nil
				})
				if end.Reason != engine.ReasonTransportClose || !slices.Equal(got, []string{"by polling"}) {
					t.Errorf("got %q, %v", got, end)
				}
				if c.Transport() != engine.Polling {
					t.Errorf("transport %q", c.Transport())
				}
			})
		})
	}
}

// accept answers a WebSocket handshake and the first bytes after it with text
// messages, and then listens. A message of a control frame's opcode is that.
func accept(messages ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, 1.3
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + guid))
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		if _, err := rw.Reader.Peek(1); err != nil {
			return
		}
		go func() {
			for _, m := range messages {
				frame := append([]byte{0x81, byte(len(m))}, m...)
				if m == "\x88" {
					frame = []byte{0x88, 0}
				}
				if _, err := conn.Write(frame); err != nil {
					return
				}
			}
		}()
		_, _ = io.Copy(io.Discard, rw)
	}
}

// TestSendQueue fills the queue while a request hangs.
func TestSendQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		gets := script(hello)
		var posts []string
		c := open(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				gets(w, r)
				return
			}
			body, _ := io.ReadAll(r.Body)
			<-release
			posts = append(posts, string(body))
			_, _ = io.WriteString(w, "ok")
		}))
		ended := make(chan *engine.CloseError, 1)
		go func() { ended <- c.Run(func(eio.Packet) error { return nil }) }()
		synctest.Wait()
		if !c.Writable() {
			t.Error("not writable before the first packet")
		}
		send := func(s string) error { return c.Send(eio.Packet{Type: eio.Message, Data: []byte(s)}) }
		sent := 0
		for ; sent < 1000; sent++ {
			err := send(fmt.Sprintf("%03d", sent))
			if errors.Is(err, engine.ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if sent < 2 || sent == 1000 || c.Writable() {
			t.Errorf("full after %d packets, writable %v", sent, c.Writable())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait: %v", err)
		}
		waited := make(chan error, 1)
		go func() { waited <- c.Wait(t.Context()) }()
		synctest.Wait()
		close(release)
		if err := <-waited; err != nil {
			t.Errorf("wait: %v", err)
		}
		c.Close(time.Minute)
		if end := <-ended; end.Reason != engine.ReasonForcedClose {
			t.Errorf("got %v", end)
		}
		all := strings.Split(strings.Join(posts, "\x1e"), "\x1e")
		for i, p := range all[:len(all)-1] {
			if p != fmt.Sprintf("4%03d", i) {
				t.Errorf("packet %d is %q", i, p)
			}
		}
		if len(all) != sent+1 || all[sent] != "1" {
			t.Errorf("%d packets arrived of %d and the close", len(all), sent)
		}
		for _, p := range posts {
			if len(p) > 100 {
				t.Errorf("a payload of %d bytes", len(p))
			}
		}
	})
}

func TestFits(t *testing.T) {
	c := open(t, serve(t, script(hello, "1"))) // at most 100 bytes
	for _, tc := range []struct {
		n      int
		binary bool
		want   bool
	}{
		{99, false, true}, {100, false, false}, {72, true, true}, {75, true, false},
	} {
		p := eio.Packet{Type: eio.Message, Data: make([]byte, tc.n), Binary: tc.binary}
		if got := c.Fits([]eio.Packet{{}, p}); got != tc.want {
			t.Errorf("%d bytes, binary %v: %v", tc.n, tc.binary, got)
		}
	}
	c.Run(func(eio.Packet) error { return nil })
}
