package socketeer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
)

func TestPanickingHandlers(t *testing.T) {
	n := start(t)
	n.OnConnect(func(_ context.Context, s *sock) error {
		if string(s.Handshake().Auth) != "{}" {
			panic("in OnConnect")
		}
		return nil
	})
	n.On("panic", func(context.Context, *msg) error { panic("in a handler") })
	n.On("nil", func(context.Context, *msg) error { var m *msg; _ = m.Event(); return nil })
	n.OnServerSide("x", func(context.Context, *msg) error { panic("in a server-side handler") })
	n.On("ok", answer("ok"))
	a, b := client(t, n, "/"), client(t, n, "/", map[string]int{"panic": 1})
	for range 3 {
		a.emit("panic")
		a.emit("nil")
		if got := a.ask("panic"); !strings.Contains(fmt.Sprint(got), "internal error") {
			t.Errorf("answer %v", got)
		}
		a.ask("ok")
		b.ask("ok")
	}
	for _, part := range []string{"in OnConnect", "in a handler", "nil pointer"} {
		if !n.log.has("a handler panicked", part, "blocking_test.go", `"stack"`) {
			t.Errorf("%q is not in the log: %s", part, n.log)
		}
	}
}

// A handler may block: others go on, heartbeats too, and what it sent before
// has left.
func TestHandlersThatBlock(t *testing.T) {
	n := start(t, socketeer.WithPingInterval(40*time.Millisecond), socketeer.WithPingTimeout(4*time.Second))
	goOn := make(chan struct{})
	block := func(_ context.Context, s *sock) error {
		if err := s.Emit("before"); err != nil {
			return err
		}
		<-goOn
		return s.Emit("after")
	}
	n.Of("/connect").OnConnect(block)
	n.Of("/middleware").UseConnect(guard(block))
	n.On("block", func(ctx context.Context, m *msg) error { return block(ctx, m.Socket()) })
	n.On("ok", answer("ok"))

	var blocked []*member
	for i := range 40 {
		c := client(t, n, "/")
		blocked = append(blocked, c)
		switch i % 3 {
		case 0:
			c.emit("block")
		case 1:
			c.raw("40/connect,")
		case 2:
			c.raw("40/middleware,")
		}
	}
	for i, c := range blocked {
		switch i % 3 {
		case 0:
			c.expect("before")
		case 1:
			c.packet("/connect") // CONNECT
			if got := c.packet("/connect"); string(got.Data) != `["before"]` {
				t.Fatalf("got %s", show(got))
			}
		case 2:
			if got := c.packet("/middleware"); string(got.Data) != `["before"]` {
				t.Fatalf("got %s", show(got))
			}
		}
	}
	fresh := client(t, n, "/")
	for range 20 {
		fresh.ask("ok")
	}
	// The order of one socket's events holds: its own wait, other namespaces
	// of the connection do not.
	blocked[0].emit("ok")
	n.Of("/other").On("ok", answer("ok"))
	blocked[0].peer.join("/other").ask("ok")
	until(t, "heartbeats", func() bool {
		for _, c := range blocked {
			if c.pings.Load() < 3 {
				return false
			}
		}
		return true
	})
	must(t, n.To(blocked[0].id).Emit("broadcast"))
	blocked[0].expect("broadcast")
	close(goOn)
	for i, c := range blocked {
		switch i % 3 {
		case 0:
			c.expect("after")
		case 1:
			c.packet("/connect")
		case 2:
			c.packet("/middleware")
			c.packet("/middleware")
		}
	}
}

// A handler may hold up its client, and only that; nothing is lost.
func TestBackPressure(t *testing.T) {
	const total = 80
	n := start(t, socketeer.WithMaxPending(8), socketeer.WithPingInterval(40*time.Millisecond))
	entered, goOn := make(chan struct{}, total), make(chan struct{})
	next := 0 // owned by the handlers until the last event is acknowledged
	n.On("event", func(_ context.Context, m *msg) error {
		entered <- struct{}{}
		<-goOn
		var i int
		if err := m.Decode(&i); err != nil {
			return err
		}
		if i != next {
			t.Errorf("event %d came instead of %d", i, next)
		}
		next++
		return nil
	})
	n.On("ok", answer("ok"))
	n.On("how many", func(_ context.Context, m *msg) error { return m.Ack(next) })
	c, other := client(t, n, "/"), client(t, n, "/")
	filling := strings.Repeat("x", 128<<10)
	var written atomic.Int32
	go func() {
		for i := range total {
			c.emit("event", i, filling)
			written.Add(1)
		}
	}()
	recv(t, "the first event", entered)
	// 10 MB do not fit into the kernel's buffers: the client comes to a halt.
	var last int32
	var since time.Time
	until(t, "the client waits", func() bool {
		if now := written.Load(); now != last || now == 0 {
			last, since = now, time.Now()
		}
		return time.Since(since) > 250*time.Millisecond // several heartbeats
	})
	if last == total {
		t.Fatal("all was read although nothing was handled")
	}
	other.ask("ok")
	must(t, n.To(c.id).Emit("hello")) // it is still connected, and can be sent to
	c.expect("hello")
	close(goOn)
	until(t, "all is written", func() bool { return written.Load() == total })
	if got := c.ask("how many"); got[0] != float64(total) {
		t.Errorf("%v of %d events handled", got, total)
	}
}

// A handler that waits for its client's acknowledgement gets it even if many
// events came before it.
func TestAckPassesPendingEvents(t *testing.T) {
	n := start(t, socketeer.WithMaxPending(8))
	started := make(chan struct{})
	n.On("outer", func(ctx context.Context, m *msg) error {
		close(started)
		_, err := m.Socket().EmitWithAck(ctx, "inner")
		return errors.Join(err, m.Ack("done"))
	})
	var handled atomic.Int32
	n.On("event", func(context.Context, *msg) error { handled.Add(1); return nil })
	c := client(t, n, "/")
	packet := c.event("outer", nil)
	packet.ID, packet.HasID = 7, true
	c.send(packet)
	question := c.expect("inner")
	recv(t, "the handler", started)
	for range 20 {
		c.emit("event")
	}
	c.reply(question)
	if got := fmt.Sprint(decode(t, c.next())); got != "[done]" {
		t.Errorf("got %s", got)
	}
	until(t, "all events", func() bool { return handled.Load() == 20 })
}
