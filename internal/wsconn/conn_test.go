package wsconn_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/netpoll"
	"github.com/socketeer-io/socketeer/internal/wsconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is a handler whose events can be waited for.
type collector struct {
	messages chan string
	ended    chan error
	gone     chan struct{}
	linger   bool
}

func newCollector() *collector {
	return &collector{messages: make(chan string, 16), ended: make(chan error, 16), gone: make(chan struct{})}
}

func (c *collector) Message(b []byte, _ bool) error { c.messages <- string(b); return nil }
func (c *collector) Ping([]byte) error              { return nil }
func (c *collector) Read()                          {}
func (c *collector) Paused() <-chan struct{}        { return nil }
func (c *collector) Writable()                      {}
func (c *collector) Ended(err error) bool           { c.ended <- err; return c.linger }
func (c *collector) Gone()                          { close(c.gone) }

func wait[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("no " + what)
	}
	return v
}

// accepting starts a server and returns its connections as they come, with
// their early bytes, and the address.
func accepting(t *testing.T, o wsconn.Options) (conns <-chan accepted, addr string) {
	t.Helper()
	ch := make(chan accepted, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Upgrade(w, r, o)
		if err != nil {
			return
		}
		if _, err := c.Write(c.Response); err != nil {
			t.Error(err)
		}
		ch <- accepted{c.Conn, c.Early}
	}))
	t.Cleanup(srv.Close)
	return ch, srv.Listener.Addr().String()
}

type accepted struct {
	*wsconn.Conn
	early []byte
}

const handshake = "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// open sends a handshake and what comes with it, and returns the response.
func open(t *testing.T, addr, more, early string) (net.Conn, *http.Response) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(nc, handshake+more+"\r\n"+early)
	r, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	return nc, r
}

func poller(t *testing.T) *netpoll.Poller {
	t.Helper()
	if !netpoll.Supported {
		t.Skip("no poller on this system")
	}
	p, err := netpoll.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { p.Run(); close(done) }()
	t.Cleanup(func() { p.Close(); <-done })
	return p
}

func TestConnReads(t *testing.T) {
	for _, watched := range []bool{false, true} {
		name := map[bool]string{false: "by a goroutine", true: "by a poller"}[watched]
		t.Run(name, func(t *testing.T) {
			conns, addr := accepting(t, wsconn.Options{Limit: 1 << 20})
			start := func(c accepted, h wsconn.Handler) { go c.Read(c.early, h) }
			if watched {
				p := poller(t)
				start = func(c accepted, h wsconn.Handler) {
					if !c.Take(p) {
						t.Error("not taken")
					}
					c.Watch(c.early, h)
				}
			}
			t.Run("early bytes first", func(t *testing.T) {
				nc, _ := open(t, addr, "", string(frame(fin|opText, "early"))+"\x81")
				h := newCollector()
				start(wait(t, conns, "connection"), h)
				nc.Write(frame(fin|opText, "late")[1:])
				for _, want := range []string{"early", "late"} {
					if got := wait(t, h.messages, want); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
				nc.Close()
				if err := wait(t, h.ended, "end"); !errors.Is(err, io.EOF) {
					t.Errorf("ended by %v", err)
				}
				wait(t, h.gone, "Gone")
			})
			t.Run("violation in the early bytes", func(t *testing.T) {
				nc, _ := open(t, addr, "", "\xff\xff")
				h := newCollector()
				start(wait(t, conns, "connection"), h)
				if err := wait(t, h.ended, "end"); code(err) != 1002 {
					t.Errorf("ended by %v", err)
				}
				wait(t, h.gone, "Gone")
				if _, err := nc.Read(make([]byte, 1)); err == nil {
					t.Error("still open")
				}
			})
			t.Run("lingers", func(t *testing.T) {
				nc, _ := open(t, addr, "", "")
				h := newCollector()
				h.linger = true
				c := wait(t, conns, "connection")
				start(c, h)
				nc.Write(join(frame(fin|opClose, ""), frame(fin|opText, "forgotten"), []byte("\xff\xff\xff")))
				if err := wait(t, h.ended, "end"); code(err) != wsconn.CloseNoStatus {
					t.Errorf("ended by %v", err)
				}
				select {
				case <-h.gone:
					t.Error("did not linger")
				default:
				}
				if err := c.CloseWrite(); err != nil {
					t.Error(err)
				}
				if _, err := io.Copy(io.Discard, nc); err != nil {
					t.Error(err)
				}
				nc.Close()
				wait(t, h.gone, "Gone")
				if len(h.messages)+len(h.ended) > 0 {
					t.Error("something after the end")
				}
			})
		})
	}
}

// A connection that is closed before it is watched must not be watched by its
// number, which may be another's by then.
func TestConnClosedBeforeWatched(t *testing.T) {
	p := poller(t)
	conns, addr := accepting(t, wsconn.Options{Limit: 1 << 20})
	open(t, addr, "", "")
	closed := wait(t, conns, "connection")
	if !closed.Take(p) {
		t.Fatal("not taken")
	}
	closed.Close()

	nc, _ := open(t, addr, "", "")
	other, h := wait(t, conns, "connection"), newCollector()
	if !other.Take(p) {
		t.Fatal("not taken")
	}
	other.Watch(other.early, h)

	late := newCollector()
	closed.Watch(nil, late)
	if err := wait(t, late.ended, "end"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended by %v", err)
	}
	wait(t, late.gone, "Gone")

	nc.Write(frame(fin|opText, "heard"))
	if got := wait(t, h.messages, "message for the other connection"); got != "heard" {
		t.Errorf("got %q", got)
	}
	other.Close()
}

func TestUpgradeNegotiatesDeflate(t *testing.T) {
	for _, tc := range []struct {
		name, offer string
		enabled     bool
		accepted    bool
		status      int
	}{
		{"off", "permessage-deflate", false, false, 101},
		{"on", "permessage-deflate", true, true, 101},
		{"as the official client offers it", "permessage-deflate; client_max_window_bits", true, true, 101},
		{"small server window", "permessage-deflate; server_max_window_bits=10", true, false, 101},
		{"second choice", "permessage-deflate; server_max_window_bits=10, permessage-deflate", true, true, 101},
		{"something else", "x-webkit-deflate-frame", true, false, 101},
		{"nothing", "", true, false, 101},
		{"malformed", "permessage-deflate; server_max_window_bits=nonsense", true, false, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conns, addr := accepting(t, wsconn.Options{Limit: 100, Deflate: tc.enabled})
			more := ""
			if tc.offer != "" {
				more = "Sec-WebSocket-Extensions: " + tc.offer + "\r\n"
			}
			_, r := open(t, addr, more, "")
			if tc.status != r.StatusCode && (tc.status == 101 || r.StatusCode < 400) {
				t.Fatalf("status %d", r.StatusCode)
			}
			if tc.status != 101 {
				return
			}
			c := wait(t, conns, "connection")
			defer c.Close()
			answer := r.Header.Get("Sec-WebSocket-Extensions")
			if c.Deflate() != tc.accepted || strings.Contains(answer, "permessage-deflate") != tc.accepted {
				t.Errorf("deflate %v, answer %q", c.Deflate(), answer)
			}
			if tc.accepted && (!strings.Contains(answer, "server_no_context_takeover") || !strings.Contains(answer, "client_no_context_takeover")) {
				t.Errorf("answer %q", answer)
			}
		})
	}
}

// The two sides of this package talk to each other.
func TestClientAndConn(t *testing.T) {
	conns, addr := accepting(t, wsconn.Options{Limit: 1 << 20, Header: http.Header{"X-Test": {"yes"}}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, err := wsconn.Dial(ctx, "ws://"+addr, wsconn.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	h := newCollector()
	c := wait(t, conns, "connection")
	go c.Read(c.early, h)
	if err := client.WriteMessage([]byte("up"), false); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, h.messages, "message"); got != "up" {
		t.Errorf("got %q", got)
	}
	out := wsconn.AppendFrame(nil, []byte("down"), true)
	out = wsconn.AppendPong(out, []byte("p"))
	out = wsconn.AppendClose(out, 1008, strings.Repeat("r", 200))
	if _, err := c.Write(out); err != nil {
		t.Fatal(err)
	}
	if b, isBinary, err := client.ReadMessage(); string(b) != "down" || !isBinary || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
	var gone *wsconn.PeerClosed
	if _, _, err := client.ReadMessage(); !errors.As(err, &gone) || gone.Code != 1008 || len(gone.Reason) != 123 {
		t.Errorf("got %v", err)
	}
	client.Close()
	wait(t, h.gone, "Gone")
}

// PutHeader and AppendFrame agree.
func TestPutHeader(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		b := make([]byte, wsconn.MaxHeader+n)
		got := b[wsconn.PutHeader(b[:wsconn.MaxHeader], n):]
		if want := wsconn.AppendFrame(nil, make([]byte, n), false); string(got) != string(want) {
			t.Errorf("%d bytes: header %x", n, got[:min(len(got), 10)])
		}
	}
}
