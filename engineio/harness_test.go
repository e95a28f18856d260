package engineio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/test/hostile/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// session records what happens to a connection.
type session struct {
	conn     *engineio.Conn
	messages chan string // "text hi" or "binary hi"
	ended    chan ending
	upgraded chan struct{}
	handle   func(s *session, data []byte, isBinary bool) error
}

type ending struct {
	reason engineio.Reason
	err    error
}

func (s *session) Message(data []byte, isBinary bool) error {
	if s.handle != nil {
		return s.handle(s, data, isBinary)
	}
	kind := "text "
	if isBinary {
		kind = "binary "
	}
	s.messages <- kind + string(data)
	return nil
}

func (s *session) Close(reason engineio.Reason, err error) { s.ended <- ending{reason, err} }
func (s *session) Upgraded()                               { close(s.upgraded) }

func (s *session) send(text string) error { return s.conn.Send(message(text), 0) }

func message(text string, binaries ...string) *engineio.Message {
	var bins [][]byte
	for _, b := range binaries {
		bins = append(bins, []byte(b))
	}
	return engineio.NewMessage(append(make([]byte, engineio.Headroom), text...), bins...)
}

// config is what a server is started with.
type config struct {
	engineio.Options
	open   func(s *session)
	handle func(s *session, data []byte, isBinary bool) error
	piped  bool // connections are pipes, for use in a synctest bubble
	tls    bool
}

// server is a running server and a client of it.
type server struct {
	*engineio.Server
	t        testing.TB
	dial     func() (net.Conn, error)
	client   *http.Client
	sessions chan *session
	refused  chan *engineio.ConnectionError
}

func start(t testing.TB, c config) *server {
	t.Helper()
	s := &server{t: t, sessions: make(chan *session, 1000), refused: make(chan *engineio.ConnectionError, 1000)}
	if c.OnConnectionError == nil {
		c.OnConnectionError = func(e *engineio.ConnectionError) { s.refused <- e }
	}
	var err error
	s.Server, err = engineio.NewServer(c.Options, func(conn *engineio.Conn) engineio.Session {
		sess := &session{conn: conn, messages: make(chan string, 10_000), ended: make(chan ending, 10), upgraded: make(chan struct{}), handle: c.handle}
		if c.open != nil {
			c.open(sess)
		}
		s.sessions <- sess
		return sess
	})
	if err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	if c.piped {
		s.WithoutPollers()
		p := newPipes()
		l, s.dial = p, p.dial
	} else {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		s.dial = func() (net.Conn, error) { return net.Dial("tcp", addr) }
	}
	if c.tls {
		l, s.dial = secured(t, l, s.dial)
	}
	s.client = &http.Client{Transport: &http.Transport{
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return s.dial() },
		DisableCompression: true,
	}}
	h := &http.Server{Handler: s.Server}
	var serving sync.WaitGroup
	serving.Go(func() { _ = h.Serve(l) })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), peer.Patience)
		defer cancel()
		s.Close(ctx)
		h.Close()
		s.client.CloseIdleConnections()
		serving.Wait()
	})
	return s
}

// pipes is a listener of connections in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// answer is an HTTP response.
type answer struct {
	status int
	body   string
	header http.Header
	last   bool // the server closes the HTTP connection
}

func (a answer) is(t testing.TB, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("got %d %.300q, want %d %.300q", a.status, a.body, status, body)
	}
}

// do sends a request; query comes after EIO=4.
func (s *server) do(method, query, body string, header ...string) (answer, error) {
	r, err := http.NewRequest(method, "http://localhost/engine.io/?EIO=4&"+query, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if method == http.MethodGet {
		r.Body = nil
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(b), resp.Header, resp.Close}, err
}

func (s *server) must(method, query, body string, header ...string) answer {
	s.t.Helper()
	a, err := s.do(method, query, body, header...)
	if err != nil {
		s.t.Error(err)
	}
	return a
}

// hello is the handshake as clients read it.
type hello struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

func (s *server) parse(packet string) (h hello) {
	s.t.Helper()
	open, _, _ := strings.Cut(packet, "\x1e")
	if !strings.HasPrefix(open, "0") || json.Unmarshal([]byte(open[1:]), &h) != nil || h.SID == "" {
		s.t.Fatalf("not a handshake: %q", packet)
	}
	return h
}

// poller is a client on polling.
type poller struct {
	*server
	sid string
	*session
}

func (s *server) poll() *poller {
	s.t.Helper()
	a := s.must("GET", "transport=polling", "")
	if a.status != 200 {
		s.t.Fatalf("handshake: %d %q", a.status, a.body)
	}
	return &poller{s, s.parse(a.body).SID, <-s.sessions}
}

func (p *poller) query() string { return "transport=polling&sid=" + p.sid }

func (p *poller) get() answer {
	p.server.t.Helper()
	return p.must("GET", p.query(), "")
}

func (p *poller) post(body string, header ...string) answer {
	p.server.t.Helper()
	return p.must("POST", p.query(), body, header...)
}

// later sends a request in the background; it has been received when the
// returned function waits for its answer, if the caller makes sure of it.
func (p *poller) later(method, body string) <-chan answer {
	ch := make(chan answer, 1)
	go func() {
		a, err := p.do(method, p.query(), body)
		if err != nil {
			a = answer{body: err.Error()}
		}
		ch <- a
	}()
	return ch
}

// parked sends a poll and returns when it waits in the server.
func (p *poller) parked() <-chan answer {
	p.server.t.Helper()
	ch := p.later("GET", "")
	eventually(p.server.t, "parked poll", p.conn.Parked)
	return ch
}

// socket is a client on WebSocket.
type socket struct {
	*peer.Conn
	sid string
	*session
}

// Close and Message are the client's, not the session's.
func (c *socket) Close() error    { return c.Conn.Close() }
func (c *socket) Message() string { return c.Conn.Message() }

// raw is a connection that has sent nothing.
func (s *server) raw() *peer.Conn {
	s.t.Helper()
	nc, err := s.dial()
	if err != nil {
		s.t.Fatal(err)
	}
	return peer.New(s.t, nc)
}

// upgrade asks for a WebSocket; query comes after EIO=4&transport=websocket.
func (s *server) upgrade(query string, header ...string) *peer.Conn {
	s.t.Helper()
	c := s.raw()
	if r, body := c.Upgrade("/engine.io/?EIO=4&transport=websocket"+query, header...); r.StatusCode != 101 {
		s.t.Fatalf("upgrade: %d %q", r.StatusCode, body)
	}
	return c
}

func (s *server) connect() *socket { s.t.Helper(); return s.connectWith("") }

func (s *server) connectWith(query string) *socket {
	s.t.Helper()
	c := s.upgrade(query)
	return &socket{c, s.parse(c.Message()).SID, <-s.sessions}
}

// wait takes something from a channel.
func wait[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(peer.Patience):
		t.Fatalf("no %s", what)
	}
	return v
}

func (s *session) expect(t testing.TB, messages ...string) {
	t.Helper()
	for _, want := range messages {
		if got := wait(t, s.messages, want); got != want {
			t.Fatalf("got %.200q, want %.200q", got, want)
		}
	}
}

func (s *session) endsAs(t testing.TB, want engineio.Reason) ending {
	t.Helper()
	e := wait(t, s.ended, string(want))
	if e.reason != want {
		t.Errorf("ended as %q (%v), want %q", e.reason, e.err, want)
	}
	if len(s.ended) > 0 {
		t.Error("ended twice")
	}
	return e
}

// eventually waits until cond holds, which nothing can be waited for that tells.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(peer.Patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("no %s", what)
		}
	}
}

func (s *server) refusal(code engineio.Code, name string) {
	s.t.Helper()
	e := wait(s.t, s.refused, "refusal")
	if e.Code != code || e.Name != name || e.Request == nil {
		s.t.Errorf("refused with %v, want code %d %s", e, code, name)
	}
}

func sized(n int, text string) string { return string(bytes.Repeat([]byte(text), n/len(text)+1))[:n] }

// pass lets time pass, in a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }
