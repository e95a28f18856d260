package socketeer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// guard is a connect middleware that may refuse.
func guard(f socketeer.ConnectFunc) func(socketeer.ConnectFunc) socketeer.ConnectFunc {
	return func(next socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(ctx context.Context, s *sock) error {
			if err := f(ctx, s); err != nil {
				return err
			}
			return next(ctx, s)
		}
	}
}

func TestConnectMiddleware(t *testing.T) {
	n := start(t)
	n.UseConnect(guard(func(_ context.Context, s *sock) error {
		var auth struct{ Do string }
		if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil {
			return err
		}
		switch auth.Do {
		case "refuse":
			return &socketeer.Error{Code: "E1", Message: "not you", Data: map[string]any{"retry": 5}}
		case "wrap":
			return fmt.Errorf("database says: %w", &socketeer.Error{Message: "banned"})
		case "fail":
			return errors.New("database password is hunter2")
		case "panic":
			panic("hunter2")
		}
		s.Set("seen", auth.Do)
		if s.Connected() {
			t.Error("connected in a middleware")
		}
		return nil
	}))
	n.On("seen", func(_ context.Context, m *msg) error { return m.Ack(m.Socket().Value("seen")) })

	p := dial(t, n.url)
	for _, c := range []struct{ do, want string }{
		{"refuse", `{"code":"E1","message":"not you","data":{"retry":5}}`},
		{"wrap", `{"message":"banned"}`},
		{"fail", `{"code":"internal","message":"internal error"}`},
		{"panic", `{"code":"internal","message":"internal error"}`},
	} {
		if got := p.refused("/", map[string]string{"do": c.do}); got != c.want {
			t.Errorf("%s: refused with %s, want %s", c.do, got, c.want)
		}
	}
	if !n.log.has("middleware failed", "database password") || !n.log.has("panicked", "stack") {
		t.Errorf("log: %s", n.log)
	}
	if n.Len() != 0 {
		t.Errorf("%d sockets after refusals", n.Len())
	}
	// The connection is as good as before.
	if got := p.join("/", map[string]string{"do": "enter"}).ask("seen"); got[0] != "enter" {
		t.Errorf("seen: %v", got)
	}
}

func TestConnectMiddlewareOrder(t *testing.T) {
	n := start(t)
	var order list
	step := func(name string) func(socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(next socketeer.ConnectFunc) socketeer.ConnectFunc {
			return func(ctx context.Context, s *sock) error {
				order.add(name)
				err := next(ctx, s)
				order.add("after " + name)
				return err
			}
		}
	}
	n.UseConnect(step("a"))
	n.UseConnect(step("b"))
	for _, name := range []string{"c", "d"} {
		n.OnConnect(func(_ context.Context, s *sock) error {
			order.add(name)
			return errors.New("changes nothing")
		})
	}
	n.On("event", func(_ context.Context, m *msg) error { order.add("event"); return m.Ack() })
	client(t, n, "/").ask("event")
	want := []string{"a", "b", "after b", "after a", "c", "d", "event"}
	if got := order.all(); !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}

func TestMiddlewareThatDoesNotGoOnRefuses(t *testing.T) {
	n := start(t)
	n.UseConnect(func(socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(context.Context, *sock) error { return nil }
	})
	if got := dial(t, n.url).refused("/", nil); got != `{"message":"refused"}` {
		t.Errorf("refused with %s", got)
	}
}

func TestMiddlewareMayEmitAndDisconnect(t *testing.T) {
	n := start(t)
	n.UseConnect(guard(func(_ context.Context, s *sock) error {
		if string(s.Handshake().Auth) == `{"leave":true}` {
			s.Disconnect(false)
		}
		return s.Emit("early")
	}))
	n.OnConnect(func(_ context.Context, s *sock) error { return s.Emit("late") })
	p := dial(t, n.url)
	p.raw(`40`)
	for i, want := range []string{`["early"]`, "", `["late"]`} {
		if got := p.packet("/"); i == 1 && got.Type != sio.Connect || i != 1 && string(got.Data) != want {
			t.Fatalf("packet %d: %s", i, show(got))
		}
	}
	dial(t, n.url).refused("/", map[string]bool{"leave": true})
}

// From when its client is told that it is connected, a socket is in the rooms
// that its middleware joined, on all nodes.
func TestRoomsOfAMiddleware(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		home, away := nodes[0], nodes[len(nodes)-1]
		home.UseConnect(guard(func(ctx context.Context, s *sock) error {
			if err := s.Join(ctx, "news", "left"); err != nil {
				return err
			}
			s.Leave("left")
			equal(t, "Rooms in the middleware", s.Rooms(), []string{s.ID(), "news"})
			if string(s.Handshake().Auth) == `{"bad":true}` {
				return &socketeer.Error{Message: "no"}
			}
			return s.SetUser(ctx, "eve")
		}))
		for i := range 20 {
			m := client(t, home, "/")
			must(t, away.To("news").Emit("hello", i))
			must(t, away.To("user:eve").Except("news").Emit("wrong"))
			must(t, away.To("user:eve").Emit("eve", i))
			m.expect("hello", i)
			m.expect("eve", i)
			m.cut()
			until(t, "it is gone", func() bool { return home.Len() == 0 })
		}
		if got := home.Rooms(); len(got) != 0 {
			t.Errorf("rooms left: %q", got)
		}
		dial(t, home.url).refused("/", map[string]bool{"bad": true})
		if got := home.Rooms(); len(got) != 0 {
			t.Errorf("rooms of a refused client: %q", got)
		}
	})
}

// A socket that is still being asked for is nobody's target.
func TestConnectingSocketsAreNotThere(t *testing.T) {
	n := start(t)
	inside, goOn := make(chan *sock), make(chan struct{})
	n.UseConnect(func(next socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(ctx context.Context, s *sock) error {
			if err := s.Join(ctx, "room"); err != nil {
				return err
			}
			inside <- s
			<-goOn
			return next(ctx, s)
		}
	})
	p := dial(t, n.url)
	p.raw("40")
	s := recv(t, "the middleware", inside)
	if _, ok := n.Socket(s.ID()); ok || n.Len() != 0 {
		t.Error("there is a socket already")
	}
	for r := range n.To("room", s.ID()).Sockets(ctx(t)) {
		t.Errorf("%s is among the sockets", r.ID)
	}
	must(t, n.Emit("nobody"))
	must(t, n.To("room", s.ID()).Emit("nobody"))
	must(t, n.To("room").Disconnect(ctx(t), true))
	close(goOn)
	if got := p.packet("/"); got.Type != sio.Connect {
		t.Fatalf("got %s", show(got))
	}
}

func TestClientThatGoesDuringTheMiddleware(t *testing.T) {
	n := start(t, socketeer.WithPingInterval(50*time.Millisecond), socketeer.WithPingTimeout(50*time.Millisecond))
	inside, ended := make(chan struct{}), make(chan error, 1)
	n.UseConnect(guard(func(ctx context.Context, s *sock) error {
		s.OnDisconnect(func(context.Context, string) { t.Error("OnDisconnect without a connect") })
		close(inside)
		<-ctx.Done()
		ended <- s.Join(ctx, "room")
		return nil
	}))
	n.OnConnect(func(context.Context, *sock) error { t.Error("OnConnect"); return nil })
	p := dial(t, n.url)
	p.raw("40")
	recv(t, "the middleware", inside)
	p.cut()
	if err := recv(t, "the end of the context", ended); !errors.Is(err, socketeer.ErrDisconnected) {
		t.Errorf("Join: %v", err)
	}
	until(t, "nothing is left", func() bool { return n.Engine().Count() == 0 && n.Len() == 0 && len(n.Rooms()) == 0 })
}

func TestSetUser(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		home, away := nodes[0], nodes[len(nodes)-1]
		m := client(t, home, "/")
		s := home.socket(t, m)
		if s.User() != "" {
			t.Errorf("User: %q", s.User())
		}
		must(t, s.SetUser(ctx(t), "u1"))
		must(t, s.SetUser(ctx(t), "u1"))
		equal(t, "Rooms", s.Rooms(), []string{m.id, "user:u1"})
		must(t, away.To("user:u1").Emit("one"))
		m.expect("one")
		must(t, s.SetUser(ctx(t), "u2"))
		if s.User() != "u2" {
			t.Errorf("User: %q", s.User())
		}
		must(t, away.To("user:u1").Emit("one"))
		must(t, away.To("user:u2").Emit("two"))
		m.expect("two")
		must(t, s.SetUser(ctx(t), ""))
		equal(t, "Rooms", s.Rooms(), []string{m.id})
	})
}

func TestHandshake(t *testing.T) {
	n := start(t)
	before := time.Now()
	p := dial(t, n.url, withQuery("room=a&tag=1&tag=2"), withHeader("X-Custom", "v"), withHeader("Origin", n.url))
	m := p.join("/", map[string]any{"token": "t0p"})
	h := n.socket(t, m).Handshake()

	if got := h.Header.Get("X-Custom"); got != "v" {
		t.Errorf("header %q", got)
	}
	if got := h.Header.Get("Host"); "http://"+got != n.url {
		t.Errorf("host %q", got)
	}
	want := url.Values{"EIO": {"4"}, "transport": {"websocket"}, "room": {"a"}, "tag": {"1", "2"}}
	if h.Query.Encode() != want.Encode() {
		t.Errorf("query %v", h.Query)
	}
	if h.URL != "/socket.io/?EIO=4&transport=websocket&room=a&tag=1&tag=2" {
		t.Errorf("url %q", h.URL)
	}
	if h.Address != "127.0.0.1" || h.Secure || !h.XDomain {
		t.Errorf("address %q, secure %v, xdomain %v", h.Address, h.Secure, h.XDomain)
	}
	if h.Time.Before(before.Add(-time.Second)) || h.Time.After(time.Now()) {
		t.Errorf("time %v", h.Time)
	}
	if string(h.Auth) != `{"token":"t0p"}` {
		t.Errorf("auth %s", h.Auth)
	}
	plain := n.socket(t, client(t, n, "/")).Handshake()
	if string(plain.Auth) != "{}" || plain.XDomain {
		t.Errorf("auth %s, xdomain %v", plain.Auth, plain.XDomain)
	}
}

func TestIDs(t *testing.T) {
	n := start(t)
	seen := map[string]bool{}
	for range 5 {
		p := dial(t, n.url)
		for _, id := range []string{p.hello.SID, p.join("/").id} {
			if len(id) != 20 || id[:4] != p.hello.SID[:4] || seen[id] {
				t.Errorf("id %q", id)
			}
			seen[id] = true
		}
	}
}

func TestConnectTimeout(t *testing.T) {
	n := start(t, socketeer.WithConnectTimeout(100*time.Millisecond), socketeer.WithPingInterval(200*time.Millisecond))
	n.Of("/slow").UseConnect(guard(func(ctx context.Context, _ *sock) error {
		<-ctx.Done()
		return ctx.Err()
	}))
	n.Of("/no").UseConnect(guard(func(context.Context, *sock) error { return &socketeer.Error{Message: "no"} }))
	idle, refused, waiting, joined := dial(t, n.url), dial(t, n.url), dial(t, n.url), dial(t, n.url)
	refused.refused("/no", nil)
	waiting.raw("40/slow,")
	m := joined.join("/")
	for _, p := range []*peer{idle, refused, waiting} {
		p.waitClosed()
		p.cut()
	}
	// It is cancelled by the first namespace, and not started by leaving it.
	m.leaveNamespace()
	until(t, "the namespace is left", func() bool { return n.Len() == 0 })
	joined.join("/")
	until(t, "the others are closed", func() bool { return n.Engine().Count() == 1 })
}

// Broadcasts do not overtake the CONNECT, and none that is sent after the
// client has got it passes the client by.
func TestBroadcastsAndTheConnect(t *testing.T) {
	n := start(t)
	n.UseConnect(guard(func(ctx context.Context, s *sock) error { return s.Join(ctx, "room") }))
	listener := client(t, n, "/")
	stop := make(chan struct{})
	var noise sync.WaitGroup
	noise.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = n.To("room").Emit("noise")
				_ = n.Emit("noise")
				listener.next()
				listener.next()
			}
		}
	})
	defer noise.Wait()
	defer close(stop)
	for i := range 100 {
		p := dial(t, n.url)
		p.raw("40")
		if got := p.packet("/"); got.Type != sio.Connect {
			t.Fatalf("%s came before the CONNECT", show(got))
		}
		must(t, n.Emit("all", i))
		must(t, n.To("room").Emit("room", i))
		for _, want := range []string{fmt.Sprintf(`["all",%d]`, i), fmt.Sprintf(`["room",%d]`, i)} {
			for got := ""; got != want; {
				got = string(p.packet("/").Data)
			}
		}
		p.cut()
	}
}
