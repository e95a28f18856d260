package socketeer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer"
)

func TestMessage(t *testing.T) {
	n := start(t)
	checked := make(chan error, 1)
	n.On("event", func(_ context.Context, m *msg) error {
		checked <- func() error {
			var text string
			var point struct{ X, Y int }
			if err := m.Decode(&text, nil, &point); err != nil {
				return err
			}
			if text != "a" || point.X != 1 || point.Y != 2 {
				return fmt.Errorf("decoded %q %v", text, point)
			}
			var extra any
			if err := m.Decode(nil, nil, nil, &extra); !errors.Is(err, socketeer.ErrNoSuchArgument) {
				return fmt.Errorf("argument that is not there: %w", err)
			}
			if err := m.Decode(&point); err == nil {
				return errors.New("a string decoded into a struct")
			}
			if m.Event() != "event" || m.NumArgs() != 3 || m.WantsAck() || m.Socket().Namespace() != n.Of("/") {
				return fmt.Errorf("event %q, %d arguments, ack %v", m.Event(), m.NumArgs(), m.WantsAck())
			}
			if string(m.Raw(1)) != "7" || m.Raw(3) != nil || m.Raw(-1) != nil {
				return fmt.Errorf("raw %s %s %s", m.Raw(1), m.Raw(3), m.Raw(-1))
			}
			if want := `["event","a",7,{"X":1,"Y":2}]`; string(m.Data()) != want {
				return fmt.Errorf("data %s", m.Data())
			}
			if err := m.Ack(); err != nil {
				return fmt.Errorf("ack that nobody wants: %w", err)
			}
			return nil
		}()
		return nil
	})
	c := client(t, n, "/")
	c.emit("event", "a", 7, map[string]int{"X": 1, "Y": 2})
	if err := recv(t, "the event", checked); err != nil {
		t.Error(err)
	}
	n.On("0", answer("numeric name"))
	c.raw(`421[0]`)
	if got := c.next(); string(got.Data) != `["numeric name"]` {
		t.Errorf("got %s", show(got))
	}
}

func TestHandlersAndTheirOrder(t *testing.T) {
	n := start(t)
	var seen list
	note := func(what string) socketeer.Handler {
		return func(_ context.Context, m *msg) error { seen.add(what); return nil }
	}
	n.On("event", note("nsp"))
	n.OnAny(note("nsp any"))
	n.PrependAny(note("nsp any, first"))
	n.Use(func(next socketeer.Handler) socketeer.Handler {
		return func(ctx context.Context, m *msg) error { seen.add("nsp use"); return next(ctx, m) }
	})
	n.OnConnect(func(_ context.Context, s *sock) error {
		s.OnAny(note("own any"))
		s.PrependAny(note("own any, first"))
		s.Use(func(next socketeer.Handler) socketeer.Handler {
			return func(ctx context.Context, m *msg) error { seen.add("own use"); return next(ctx, m) }
		})
		s.On("event", note("own 1"))
		s.On("event", note("own 2"))
		s.On("event", func(_ context.Context, m *msg) error { return m.Ack() })
		return nil
	})
	c := client(t, n, "/")
	c.ask("event")
	want := []string{"nsp any, first", "nsp any", "own any, first", "own any", "nsp use", "own use", "nsp", "own 1", "own 2"}
	if got := seen.all(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOffAndOnce(t *testing.T) {
	n := start(t)
	var seen list
	note := func(what string) socketeer.Handler {
		return func(context.Context, *msg) error { seen.add(what); return nil }
	}
	c := client(t, n, "/")
	s := n.socket(t, c)
	n.On("fence", answer())
	n.Once("event", note("nsp once"))
	s.Once("event", note("own once"))
	offNever := s.Once("event", note("never"))
	off := s.On("event", note("own"))
	offAny := s.OnAny(note("any"))
	offNsp := n.On("event", note("nsp"))
	offNever()
	c.emit("event")
	c.emit("event")
	c.ask("fence")
	want := []string{"any", "nsp once", "nsp", "own once", "own", "any", "nsp", "own", "any"}
	if got := seen.all(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, off := range []func(){off, offAny, offNsp, off} { // twice does no harm
		off()
	}
	c.emit("event")
	c.ask("fence")
	if got := seen.all(); !slices.Equal(got, want) {
		t.Errorf("handlers that were taken back ran: %q", got[len(want):])
	}
}

func TestPacketMiddleware(t *testing.T) {
	n := start(t)
	n.Use(func(next socketeer.Handler) socketeer.Handler {
		return func(ctx context.Context, m *msg) error {
			switch m.Event() {
			case "drop":
				return nil
			case "forbidden":
				return &socketeer.Error{Code: "403", Message: "forbidden", Data: []int{1}}
			case "broken":
				return errors.New("secret")
			case "panic":
				panic("secret")
			}
			return next(ctx, m)
		}
	})
	n.OnAny(func(_ context.Context, m *msg) error {
		if m.Event() == "drop" {
			return m.Ack("seen")
		}
		return nil
	})
	n.On("ok", answer("ok"))
	never := func(context.Context, *msg) error { t.Error("handler of a dropped event"); return nil }
	c := client(t, n, "/")
	for _, event := range []string{"drop", "forbidden", "broken", "panic"} {
		n.On(event, never)
	}
	internal := `[{"error":{"code":"internal","message":"internal error"}}]`
	for _, test := range []struct{ event, want string }{
		{"ok", `["ok"]`},
		{"drop", `["seen"]`},
		{"forbidden", `[{"error":{"code":"403","message":"forbidden","data":[1]}}]`},
		{"broken", internal},
		{"panic", internal},
	} {
		if got := string(mustJSON(t, c.ask(test.event))); !sameJSON(t, got, test.want) {
			t.Errorf("%s: got %s, want %s", test.event, got, test.want)
		}
		c.emit(test.event) // without an ack, there is nothing to tell
	}
	c.ask("ok")
	if !n.log.has("handler failed", "secret") || !n.log.has("panicked", "secret", "events_test.go") {
		t.Errorf("log: %s", n.log)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	must(t, json.Unmarshal([]byte(a), &x))
	must(t, json.Unmarshal([]byte(b), &y))
	return string(mustJSON(t, x)) == string(mustJSON(t, y))
}

func TestErrorsOfSeveralHandlers(t *testing.T) {
	n := start(t)
	var ran list
	n.On("event", func(context.Context, *msg) error { ran.add("1"); return &socketeer.Error{Message: "first"} })
	n.On("event", func(context.Context, *msg) error { ran.add("2"); return &socketeer.Error{Message: "second"} })
	got := client(t, n, "/").ask("event")
	if !sameJSON(t, string(mustJSON(t, got)), `[{"error":{"message":"first"}}]`) {
		t.Errorf("answer %v", got)
	}
	equal(t, "handlers that ran", ran.all(), []string{"1", "2"})
}

func TestOnAnyOutgoing(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		home, away := nodes[0], nodes[len(nodes)-1]
		c := client(t, home, "/")
		s := home.socket(t, c)
		var seen list
		off := s.OnAnyOutgoing(func(event string, data json.RawMessage) {
			seen.add(event + string(data))
			if more := append(data, "not for it"...); len(more) == len(data) { //nolint:gocritic // as a careless listener
				t.Error("nothing appended")
			}
			if event == "direct" {
				panic("outgoing")
			}
		})
		s.OnAnyOutgoing(func(event string, _ json.RawMessage) {
			if event == "remote" {
				panic("outgoing")
			}
		})
		offFirst := s.PrependAnyOutgoing(func(string, json.RawMessage) { seen.add("first") })
		home.On("ask", answer("acks are not events"))
		must(t, s.Emit("bytes", []byte("for the client")))
		c.expect("bytes", []byte("for the client"))
		must(t, s.Emit("direct", 1))
		must(t, away.Emit("remote", 2))
		c.expect("direct", 1)
		c.expect("remote", 2)
		c.ask("ask")
		answered := make(chan error, 1)
		go func() {
			_, err := s.EmitWithAck(ctx(t), "asked")
			answered <- err
		}()
		c.reply(c.expect("asked"))
		must(t, recv(t, "the reply", answered))
		go func() {
			_, err := away.All().EmitWithAck(ctx(t), "all")
			answered <- err
		}()
		c.reply(c.expect("all"))
		must(t, recv(t, "the replies", answered))
		off()
		offFirst()
		must(t, s.Emit("after"))
		c.expect("after")
		want := []string{"first", `bytes["bytes",{"_placeholder":true,"num":0}]`, "first", `direct["direct",1]`, "first", `remote["remote",2]`, "first", `asked["asked"]`, "first", `all["all"]`}
		if got := seen.all(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestBinary(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		home, away := nodes[0], nodes[len(nodes)-1]
		type file struct {
			Name    string `json:"name"`
			Content []byte `json:"content"`
		}
		got := make(chan file, 1)
		home.On("upload", func(_ context.Context, m *msg) error {
			var f file
			var all []any
			if err := m.Decode(&f, &all); err != nil {
				return err
			}
			if len(m.Attachments()) != 2 || !bytes.Equal(all[1].([]byte), []byte{9}) {
				return fmt.Errorf("attachments %v, list %v", m.Attachments(), all)
			}
			got <- f
			return m.Ack(f.Content, map[string]any{"copy": f.Content})
		})
		c := client(t, home, "/")
		reply := c.ask("upload", file{"a", []byte{1, 2}}, []any{1, []byte{9}})
		if f := recv(t, "the upload", got); f.Name != "a" || !bytes.Equal(f.Content, []byte{1, 2}) {
			t.Errorf("got %v", f)
		}
		if b := reply[1].(map[string]any)["copy"].([]byte); !bytes.Equal(b, []byte{1, 2}) {
			t.Errorf("reply %v", reply)
		}
		must(t, home.socket(t, c).Emit("file", []byte("direct"), []byte{}))
		must(t, away.To(c.id).Emit("file", file{"b", []byte("broadcast")}, 1))
		c.expect("file", []byte("direct"), []byte{})
		c.expect("file", file{"b", []byte("broadcast")}, 1)

		// What came is sent on as it is, also to the clients of other nodes.
		home.On("pass on", func(_ context.Context, m *msg) error {
			return errors.Join(m.Ack(m.Arg(0)), home.Emit("passed", m.Arg(1), []any{m.Arg(0)}, m.Arg(2)))
		})
		there := client(t, away, "/")
		if got := c.ask("pass on", file{"a", []byte{3}}, []byte{4}); !bytes.Equal(got[0].(map[string]any)["content"].([]byte), []byte{3}) {
			t.Errorf("reply %v", got)
		}
		for _, c := range []*member{c, there} {
			c.expect("passed", []byte{4}, []any{file{"a", []byte{3}}}, nil)
		}

		replies := make(chan []socketeer.Reply, 1)
		go func() {
			r, _ := away.To(c.id).EmitWithAck(ctx(t), "swap", []byte("there"))
			replies <- r
		}()
		c.reply(c.expect("swap", []byte("there")), []byte("back"))
		var back []byte
		r := recv(t, "the reply", replies)
		if len(r) != 1 {
			t.Fatalf("%d replies", len(r))
		}
		if err := r[0].Decode(&back); err != nil || string(back) != "back" {
			t.Errorf("%q, %v", back, err)
		}
	})
}

func TestWhatCannotBeEmitted(t *testing.T) {
	n := start(t)
	c := client(t, n, "/")
	s := n.socket(t, c)
	for name, emit := range map[string]func(event string, args ...any) error{
		"socket": s.Emit, "volatile": s.Volatile().Emit, "namespace": n.Emit, "room": n.To("x").Emit,
		"ack": func(event string, args ...any) error {
			_, err := s.EmitWithAck(ctx(t), event, args...)
			return err
		},
		"acks": func(event string, args ...any) error {
			_, err := n.All().EmitWithAck(ctx(t), event, args...)
			return err
		},
	} {
		for _, event := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
			if err := emit(event); !errors.Is(err, socketeer.ErrReserved) {
				t.Errorf("%s: %s: %v", name, event, err)
			}
		}
		if err := emit("event", make(chan int)); err == nil || !strings.Contains(err.Error(), "event") {
			t.Errorf("%s: a channel: %v", name, err)
		}
	}
	must(t, s.Emit("only this"))
	c.expect("only this")

	c.cut()
	until(t, "it is gone", func() bool { return !s.Connected() })
	if err := s.Emit("event"); !errors.Is(err, socketeer.ErrDisconnected) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the disconnect: %v", err)
	}
	if _, err := s.EmitWithAck(ctx(t), "event"); !errors.Is(err, socketeer.ErrDisconnected) {
		t.Errorf("after the disconnect: %v", err)
	}
	if err := s.Join(ctx(t), "room"); !errors.Is(err, socketeer.ErrDisconnected) {
		t.Errorf("Join after the disconnect: %v", err)
	}
}

func TestVolatileAndCompress(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		home, away := nodes[0], nodes[len(nodes)-1]
		c := client(t, home, "/")
		s := home.socket(t, c)
		must(t, s.Volatile().Emit("a"))
		c.expect("a")
		must(t, s.Compress(false).Volatile().Compress(true).Emit("b"))
		must(t, away.Compress(false).Volatile().Emit("c"))
		c.expect("b")
		c.expect("c")
	})
	t.Run("polling", func(t *testing.T) { // nobody polls: nothing is writable
		n := start(t)
		n.OnConnect(func(_ context.Context, s *sock) error {
			return errors.Join(s.Volatile().Emit("lost"), n.Volatile().Emit("lost"), s.Emit("kept"))
		})
		_, hello := get(t, n.url+"/socket.io/?EIO=4&transport=polling", nil)
		sid := hello[strings.Index(hello, `"sid":"`)+7:][:20]
		post(t, n.url+"/socket.io/?EIO=4&transport=polling&sid="+sid, "40")
		until(t, "volatile events are dropped", func() bool { return n.Engine().Stats().VolatileDropped == 2 })
		var got string
		until(t, "the event that is not volatile", func() bool {
			_, body := get(t, n.url+"/socket.io/?EIO=4&transport=polling&sid="+sid, nil)
			got += body
			return strings.Contains(got, "kept")
		})
		if strings.Contains(got, "lost") {
			t.Errorf("got %q", got)
		}
	})
}

func TestProtocolViolations(t *testing.T) {
	n := start(t)
	reasons := make(chan string, 1)
	n.OnConnect(func(_ context.Context, s *sock) error {
		s.OnDisconnect(func(_ context.Context, reason string) { reasons <- reason })
		return nil
	})
	for _, packet := range []string{
		"40", "42/other,[\"x\"]", "44{}", "49", "42{}", "42[]", `42["x"`, `42["connect"]`, `450-["x"]`,
		`4511-["x"]`, `451-["x",{"_placeholder":true,"num":1}]` + "\x00", "42", `41{"a":1}`, `43["no id"]`,
	} {
		t.Run(packet, func(t *testing.T) {
			c := client(t, n, "/")
			c.raw(packet)
			c.waitClosed()
			if got := recv(t, "the disconnect", reasons); got != "forced close" {
				t.Errorf("reason %q", got)
			}
		})
	}
	for _, packet := range []string{`42["x"]`, "41", "40[]", `40"s"`} {
		p := dial(t, n.url)
		p.raw(packet)
		p.waitClosed()
	}
	// Too late is not wrong: the server ended the namespace meanwhile.
	c := client(t, n, "/")
	n.socket(t, c).Disconnect(false)
	recv(t, "the disconnect", reasons)
	c.emit("late")
	c.left()
	c.peer.join("/")
}
