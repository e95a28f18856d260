package socketeer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/engineio"
)

// ending is a way in which a socket's life ends.
type ending struct {
	name, reason string
	told         bool // the client gets a DISCONNECT
	stays        bool // the other namespace stays
	opts         []socketeer.Option
	peer         []peerOption
	act          func(n *node, s *sock, m *member)
}

func TestDisconnectReasons(t *testing.T) {
	fast := []socketeer.Option{
		socketeer.WithPingInterval(50 * time.Millisecond), socketeer.WithPingTimeout(50 * time.Millisecond),
	}
	for _, test := range []ending{
		{name: "connection cut", reason: "transport close", act: func(_ *node, _ *sock, m *member) { m.cut() }},
		{name: "close frame", reason: "transport close", act: func(_ *node, _ *sock, m *member) { _ = m.ws.WriteClose(1000, "") }},
		{name: "close packet", reason: "transport close", act: func(_ *node, _ *sock, m *member) { m.raw("1") }},
		{name: "ping of a client", reason: "transport error", act: func(_ *node, _ *sock, m *member) { m.raw("2") }},
		{name: "no packet", reason: "parse error", act: func(_ *node, _ *sock, m *member) { m.raw("x") }},
		{name: "no Socket.IO", reason: "forced close", act: func(_ *node, _ *sock, m *member) { m.raw("4nonsense") }},
		{name: "Conn().Close", reason: "forced close", act: func(_ *node, s *sock, _ *member) { s.Conn().Close() }},
		{name: "silence", reason: "ping timeout", opts: fast, peer: []peerOption{deaf}, act: func(*node, *sock, *member) {}},
		{name: "client leaves", reason: "client namespace disconnect", stays: true,
			act: func(_ *node, _ *sock, m *member) { m.leaveNamespace() }},
		{name: "Disconnect(false)", reason: "server namespace disconnect", told: true, stays: true,
			act: func(_ *node, s *sock, _ *member) { s.Disconnect(false) }},
		{name: "Disconnect(true)", reason: "server namespace disconnect", told: true,
			act: func(_ *node, s *sock, _ *member) { s.Disconnect(true) }},
		{name: "Disconnect of a room", reason: "server namespace disconnect", told: true, stays: true,
			act: func(n *node, s *sock, _ *member) { _ = n.To(s.ID()).Disconnect(context.Background(), false) }},
		{name: "Close", reason: "server shutting down", act: func(n *node, _ *sock, _ *member) { _ = n.Close() }},
		{name: "slow consumer", reason: "slow consumer", opts: []socketeer.Option{socketeer.WithSendBuffer(1000)},
			act: func(_ *node, s *sock, _ *member) {
				big := strings.Repeat("x", 600)
				for err := error(nil); err == nil; {
					err = s.Emit("big", big)
				}
			}},
	} {
		t.Run(test.name, test.run)
	}
}

func (test ending) run(t *testing.T) {
	n := start(t, test.opts...)
	type end struct {
		nsp, reason   string
		connected, in bool
		ctx, handler  error
	}
	ends := make(chan end, 10)
	onConnect := func(_ context.Context, s *sock) error {
		s.OnDisconnecting(func(context.Context, string) {
			if s.Connected() {
				t.Error("still connected")
			}
		})
		s.OnDisconnect(func(ctx context.Context, reason string) {
			_, in := s.Namespace().Socket(s.ID())
			ends <- end{s.Namespace().Name(), reason, s.Connected(), in, s.Context().Err(), ctx.Err()}
		})
		return nil
	}
	n.OnConnect(onConnect)
	n.Of("/other").OnConnect(onConnect)
	p := dial(t, n.url, test.peer...)
	other, m := p.join("/other"), p.join("/")
	test.act(n, n.socket(t, m), m)
	want := map[string]bool{"/": true, "/other": true}
	if test.stays {
		delete(want, "/other")
	}
	for len(want) > 0 {
		e := recv(t, "the disconnect", ends)
		if e.reason != test.reason || !want[e.nsp] || e.connected || e.in || e.ctx == nil || e.handler == nil {
			t.Errorf("got %+v, want reason %q", e, test.reason)
		}
		delete(want, e.nsp)
	}
	if test.told {
		m.left()
	}
	switch {
	case test.stays:
		must(t, n.Of("/other").Emit("still"))
		other.expect("still")
	case test.name == "silence":
	default:
		p.waitClosed()
	}
	if len(ends) > 0 {
		t.Errorf("one more disconnect: %+v", <-ends)
	}
}

func TestOnDisconnectComesLast(t *testing.T) {
	n := start(t)
	var order list
	entered, goOn, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	n.On("slow", func(_ context.Context, m *msg) error {
		order.add("slow")
		close(entered)
		<-goOn
		order.add("slow ends")
		return nil
	})
	n.On("queued", func(context.Context, *msg) error { order.add("queued"); return nil })
	n.OnConnect(func(_ context.Context, s *sock) error {
		s.OnDisconnect(func(context.Context, string) { order.add("disconnect"); close(done) })
		s.OnDisconnecting(func(context.Context, string) { order.add("disconnecting") })
		s.OnDisconnecting(func(context.Context, string) { panic("in OnDisconnecting") })
		return nil
	})
	c := client(t, n, "/")
	s := n.socket(t, c)
	c.emit("slow")
	recv(t, "the slow handler", entered)
	c.emit("queued")
	c.leaveNamespace()
	until(t, "it is disconnected", func() bool { return !s.Connected() })
	close(goOn)
	recv(t, "OnDisconnect", done)
	got := strings.Join(order.all(), ", ")
	if got != "slow, slow ends, queued, disconnecting, disconnect" {
		t.Errorf("order: %s", got)
	}
	if !n.log.has("panicked", "in OnDisconnecting") {
		t.Errorf("log: %s", n.log)
	}
}

func TestDisconnectInAHandler(t *testing.T) {
	n := start(t)
	n.On("kick me", func(_ context.Context, m *msg) error {
		m.Socket().Disconnect(false)
		if err := m.Socket().Emit("too late"); !errors.Is(err, socketeer.ErrDisconnected) {
			t.Errorf("Emit: %v", err)
		}
		m.Socket().Disconnect(false)
		return nil
	})
	c := client(t, n, "/")
	c.emit("kick me")
	c.left()
	c.peer.join("/")
}

func TestSocketContext(t *testing.T) {
	n := start(t)
	c := client(t, n, "/")
	s := n.socket(t, c)
	root := s.Context()
	if _, ok := root.Deadline(); ok || root.Err() != nil || root.Value("x") != nil {
		t.Error("not an empty context")
	}
	child, cancel := context.WithCancel(root)
	defer cancel()
	grandchild, cancel2 := context.WithTimeout(context.WithValue(child, ctxKey{}, 1), time.Hour)
	defer cancel2()
	over, cancel3 := context.WithCancel(root)
	cancel3()
	if over.Err() == nil || root.Err() != nil {
		t.Error("cancelling a child is not told from the end of the socket")
	}
	ran, never := make(chan struct{}), make(chan struct{}, 1)
	context.AfterFunc(root, func() { close(ran) })
	stop := context.AfterFunc(root, func() { never <- struct{}{} })
	if !stop() || stop() {
		t.Error("stop does not report what it did")
	}
	handler := make(chan error, 1)
	entered := make(chan struct{})
	n.On("wait", func(ctx context.Context, _ *msg) error {
		close(entered)
		<-ctx.Done()
		handler <- ctx.Err()
		return nil
	})
	c.emit("wait")
	recv(t, "the handler", entered)
	c.cut()
	if err := recv(t, "the handler's end", handler); !errors.Is(err, context.Canceled) {
		t.Errorf("handler: %v", err)
	}
	for _, ctx := range []context.Context{root, child, grandchild} {
		recv(t, "the end of the context", ctx.Done())
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("error %v", ctx.Err())
		}
	}
	recv(t, "AfterFunc", ran)
	if len(never) > 0 {
		t.Error("a stopped function ran")
	}
	// What begins after the end has ended.
	late, cancel4 := context.WithCancel(s.Context())
	defer cancel4()
	recv(t, "a late child", late.Done())
	again := make(chan struct{})
	context.AfterFunc(s.Context(), func() { close(again) })
	recv(t, "a late AfterFunc", again)
	recv(t, "Done of a new context", s.Context().Done())
}

type ctxKey struct{}

func TestEmitWithAckUnderTheSocketsContext(t *testing.T) {
	n := start(t)
	for range 20 {
		c := client(t, n, "/")
		s := n.socket(t, c)
		got := make(chan error, 1)
		go func() {
			_, err := s.EmitWithAck(s.Context(), "question")
			got <- err
		}()
		c.expect("question")
		c.cut()
		if err := recv(t, "the end", got); !errors.Is(err, socketeer.ErrDisconnected) {
			t.Fatalf("error %v", err)
		}
	}
}

func TestSocketData(t *testing.T) {
	n := start(t)
	c := client(t, n, "/")
	s := n.socket(t, c)
	if s.Value("k") != nil {
		t.Error("a value before Set")
	}
	s.Set("k", 1)
	s.Set("k", []string{"a"})
	s.Set("user", user{"eve"})
	if fmt.Sprint(s.Value("k")) != "[a]" || s.Value("other") != nil {
		t.Errorf("values %v, %v", s.Value("k"), s.Value("other"))
	}
	data := func() string {
		for r, err := range n.All().Sockets(ctx(t)) {
			must(t, err)
			return string(r.Data)
		}
		return ""
	}
	if got := data(); got != `{"k":["a"],"user":{"name":"eve"}}` {
		t.Errorf("data %s", got)
	}
	for _, bad := range []any{make(chan int), panicky{}} {
		s.Set("bad", bad)
		if got := data(); got != "{}" {
			t.Errorf("data %s", got)
		}
	}
	if !n.log.has("not JSON") || !n.log.has("panicked") {
		t.Errorf("log: %s", n.log)
	}
}

type panicky struct{}

func (panicky) MarshalJSON() ([]byte, error) { panic("not me") }

func TestSlowConsumerIsCounted(t *testing.T) {
	n := start(t, socketeer.WithSendBuffer(64<<10))
	reasons := make(chan string, 1)
	n.OnConnect(func(_ context.Context, s *sock) error {
		s.OnDisconnect(func(_ context.Context, reason string) { reasons <- reason })
		return nil
	})
	p := dial(t, n.url, stuck)
	p.raw("40")
	good := client(t, n, "/")
	until(t, "both are there", func() bool { return n.Len() == 2 })
	big, sent := strings.Repeat("x", 32<<10), 0
	for n.Len() == 2 { // the one that does not read holds up nobody
		for range 16 {
			must(t, n.Except(good.id).Emit("big", big))
		}
		sent++
		must(t, n.Emit("small", sent))
		good.expect("small", sent)
	}
	if got := recv(t, "the disconnect", reasons); got != "slow consumer" {
		t.Errorf("reason %q", got)
	}
	if got := n.Engine().Stats().Closed[engineio.SlowConsumer]; got != 1 {
		t.Errorf("%d slow consumers counted", got)
	}
	must(t, n.Emit("after", sent))
	good.expect("after", sent)
}
