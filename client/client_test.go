package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/client"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// quick makes reconnects fast enough for tests.
var quick = client.WithReconnectDelay(10*time.Millisecond, 50*time.Millisecond, 0.5)

// newClient returns a client that is closed, and waited for, with the test.
func newClient(t *testing.T, url string, opts ...client.Option) *client.Client {
	t.Helper()
	if testing.Verbose() {
		h := slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})
		opts = append([]client.Option{client.WithLogger(slog.New(h))}, opts...)
	}
	c, err := client.New(url, append([]client.Option{quick}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		receive(t, c.Done(), "end of the client's goroutines")
	})
	return c
}

func connect(t *testing.T, c interface {
	Connect(ctx context.Context) error
}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
}

func connected(t *testing.T, url string, opts ...client.Option) *client.Client {
	t.Helper()
	c := newClient(t, url, opts...)
	connect(t, c)
	return c
}

// call emits, and returns the first argument of the acknowledgement.
func call[R any](t *testing.T, s *client.Socket, event string, args ...any) R {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := client.Call[R](ctx, s, event, args...)
	if err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	return r
}

func join(t *testing.T, s *client.Socket, room string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.EmitWithAck(ctx, "join", room); err != nil {
		t.Fatalf("join: %v", err)
	}
}

// on collects the first argument of an event.
func on[T any](s *client.Socket, event string) <-chan T {
	ch := make(chan T, 1024)
	client.Handle(s, event, func(_ context.Context, v T) error {
		ch <- v
		return nil
	})
	return ch
}

func onDisconnect(s *client.Socket) <-chan string {
	ch := make(chan string, 1024)
	s.OnDisconnect(func(_ context.Context, reason string) { ch <- reason })
	return ch
}

func onConnect(s *client.Socket) <-chan string {
	ch := make(chan string, 1024)
	s.OnConnect(func(context.Context) { ch <- s.ID() })
	return ch
}

func onUpgrade(c *client.Client) <-chan string {
	ch := make(chan string, 1024)
	c.OnUpgrade(func(_ context.Context, transport string) { ch <- transport })
	return ch
}

// transports are the ways to connect.
var transports = []struct {
	name string
	opts []client.Option
	ends string // the transport after a while
}{
	{"polling", []client.Option{client.WithTransports(client.Polling)}, client.Polling},
	{"no upgrade", []client.Option{client.WithUpgrade(false)}, client.Polling},
	{"websocket", []client.Option{client.WithTransports(client.WebSocket)}, client.WebSocket},
	{"upgrade", nil, client.WebSocket},
}

// eachTransport runs a test against each server by each way to connect.
func eachTransport(t *testing.T, test func(t *testing.T, p peer, opts []client.Option)) {
	t.Helper()
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		for _, tr := range transports {
			t.Run(tr.name, func(t *testing.T) { test(t, p, tr.opts) })
		}
	})
}

type shown struct {
	Token, Cookie, Color, Transport string
	Auth                            map[string]any
}

func TestTransports(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		for _, tr := range transports {
			t.Run(tr.name, func(t *testing.T) {
				c := newClient(t, p.URL()+"?color=green", append(tr.opts,
					client.WithHeader(http.Header{"X-Token": {"t1"}}),
					client.WithAuth(map[string]any{"user": "u1"}),
				)...)
				upgraded := onUpgrade(c)
				welcome := on[map[string]any](c.Socket, "welcome")
				connect(t, c)
				if got := receive(t, welcome, "welcome"); got["user"] != "u1" {
					t.Errorf("welcome %v", got)
				}
				if tr.name == "upgrade" {
					if got := receive(t, upgraded, "upgrade"); got != client.WebSocket {
						t.Errorf("upgraded to %q", got)
					}
				}
				if got := c.Transport(); got != tr.ends {
					t.Errorf("transport %q, want %q", got, tr.ends)
				}
				got := call[shown](t, c.Socket, "handshake")
				if got.Token != "t1" || got.Color != "green" || got.Auth["user"] != "u1" || got.Transport != tr.ends {
					t.Errorf("server saw %+v", got)
				}
				if !c.Connected() || !c.Active() || len(c.ID()) != 20 {
					t.Errorf("connected %v, active %v, id %q", c.Connected(), c.Active(), c.ID())
				}
			})
		}
	})
}

func TestEventsAndAcks(t *testing.T) {
	eachTransport(t, func(t *testing.T, p peer, opts []client.Option) {
		c := newClient(t, p.URL(), opts...)
		said := make(chan []any, 1)
		c.On("said", func(_ context.Context, m *client.Message) error {
			var a string
			var b map[string]int
			var d []bool
			if err := m.Decode(&a, &b, nil, &d); err != nil {
				return err
			}
			said <- []any{a, b["x"], string(m.Raw(2)), d[1], m.NumArgs(), m.WantsAck()}
			return nil
		})
		connect(t, c)
		if err := c.Emit("say back", "ä€😀", map[string]int{"x": 7}, nil, []bool{false, true}); err != nil {
			t.Fatal(err)
		}
		if got, want := receive(t, said, "said"), []any{"ä€😀", 7, "null", true, 4, false}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		reply, err := c.EmitWithAck(t.Context(), "echo", 1, "two", []int{3})
		if err != nil {
			t.Fatal(err)
		}
		var one int
		var two string
		var three []int
		if err := reply.Decode(&one, &two, &three); err != nil || one != 1 || two != "two" || three[0] != 3 || reply.NumArgs() != 3 {
			t.Errorf("got %s, %v", reply.Data(), err)
		}
		if err := reply.Decode(nil, nil, nil, &one); !errors.Is(err, client.ErrNoSuchArgument) {
			t.Errorf("a fourth argument: %v", err)
		}
		if reply, err := c.EmitWithAck(t.Context(), "echo"); err != nil || reply.NumArgs() != 0 {
			t.Errorf("empty acknowledgement: %v, %v", reply, err)
		}
	})
}

func TestServerAsks(t *testing.T) {
	eachTransport(t, func(t *testing.T, p peer, opts []client.Option) {
		c := newClient(t, p.URL(), opts...)
		answered := on[any](c.Socket, "answered")
		// A handler may wait for an acknowledgement itself.
		client.HandleCall(c.Socket, "double", func(ctx context.Context, n int) (int, error) {
			again, err := client.Call[int](ctx, c.Socket, "echo", n)
			return 2 * again, err
		})
		client.HandleCall(c.Socket, "refuse", func(context.Context, int) (int, error) {
			return 0, &client.Error{Code: "odd", Message: "no odd numbers"}
		})
		client.HandleCall(c.Socket, "break", func(context.Context, int) (int, error) {
			return 0, errors.New("secret")
		})
		client.HandleCall(c.Socket, "panic", func(context.Context, int) (int, error) { panic("oops") })
		acks := make(chan error, 2)
		c.On("twice", func(_ context.Context, m *client.Message) error {
			acks <- m.Ack("once")
			acks <- m.Ack("again")
			return nil
		})
		connect(t, c)

		internal := map[string]any{"error": map[string]any{"code": "internal", "message": "internal error"}}
		for _, tc := range []struct {
			event string
			want  any
		}{
			{"double", 42.0},
			{"refuse", map[string]any{"error": map[string]any{"code": "odd", "message": "no odd numbers"}}},
			{"break", internal},
			{"panic", internal},
			{"twice", "once"},
		} {
			if err := c.Emit("ask", tc.event, 21); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, answered, "answer to "+tc.event); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%s: server got %v, want %v", tc.event, got, tc.want)
			}
		}
		if err := <-acks; err != nil {
			t.Error(err)
		}
		if err := <-acks; !errors.Is(err, client.ErrAcknowledged) {
			t.Errorf("second ack: %v", err)
		}
		if st := c.Stats(); st.Panics != 1 || st.HandlerErrors != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestBinary(t *testing.T) {
	type inner struct {
		Name string
		Data []byte
	}
	type outer struct {
		List []inner
		Map  map[string][]byte
		N    int
	}
	v := outer{
		List: []inner{{"a", []byte{1, 2, 3}}, {"b", []byte{}}},
		Map:  map[string][]byte{"k": {0xff, 0, 0x1e}},
		N:    5,
	}
	eachTransport(t, func(t *testing.T, p peer, opts []client.Option) {
		c := newClient(t, p.URL(), opts...)
		said := make(chan outer, 1)
		c.On("said", func(_ context.Context, m *client.Message) error {
			var top []byte
			var o outer
			if err := m.Decode(&top, &o); err != nil {
				return err
			}
			if string(top) != "top" || len(m.Attachments()) != 4 {
				t.Errorf("top %q, %d attachments", top, len(m.Attachments()))
			}
			said <- o
			return nil
		})
		connect(t, c)
		if err := c.Emit("say back", []byte("top"), v); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, said, "said"); !reflect.DeepEqual(got, v) {
			t.Errorf("got %+v", got)
		}
		if got := call[outer](t, c.Socket, "echo", v); !reflect.DeepEqual(got, v) {
			t.Errorf("ack: got %+v", got)
		}
		big := make([]byte, 600_000)
		big[len(big)-1] = 9
		if got := call[[]byte](t, c.Socket, "echo", big); !reflect.DeepEqual(got, big) {
			t.Errorf("%d bytes back, of %d", len(got), len(big))
		}
	})
}

func TestNamespaces(t *testing.T) {
	eachTransport(t, func(t *testing.T, p peer, opts []client.Option) {
		c := connected(t, p.URL(), opts...)
		good := c.Of("/admin", client.WithAuth(map[string]string{"token": "secret"}))
		welcome := on[map[string]any](good, "welcome")
		connect(t, good)
		if got := receive(t, welcome, "welcome"); got["token"] != "secret" {
			t.Errorf("welcome %v", got)
		}
		if good.ID() == c.ID() || good.Namespace() != "/admin" || c.Of("admin") != good {
			t.Errorf("id %q, %q; namespace %q", good.ID(), c.ID(), good.Namespace())
		}
		if got := call[string](t, good, "echo", "x"); got != "x" {
			t.Errorf("echo %q", got)
		}
		good.Disconnect()
		if good.Active() || !c.Connected() {
			t.Errorf("active %v; other connected %v", good.Active(), c.Connected())
		}
		connect(t, good)

		var refused *client.Error
		err := c.Of("/nowhere").Connect(t.Context())
		if !errors.As(err, &refused) || refused.Message != "Invalid namespace" {
			t.Errorf("unknown namespace: %v", err)
		}
		if got := call[string](t, c.Socket, "echo", "still"); got != "still" {
			t.Errorf("echo %q", got)
		}
	})
}

func TestNamespaceRefused(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		token := "wrong"
		c := newClient(t, p.URL()+"/admin", client.WithAuthFunc(func(context.Context) (any, error) {
			if token == "" {
				return nil, errors.New("no token yet")
			}
			return map[string]string{"token": token}, nil
		}))
		errs := make(chan error, 4)
		c.OnConnectError(func(_ context.Context, err error) { errs <- err })

		var refused *client.Error
		err := c.Connect(t.Context())
		if !errors.As(err, &refused) || refused.Message != "not authorized" || string(refused.Data) != `{"hint":"ask nicely"}` {
			t.Fatalf("got %v", err)
		}
		if got := receive(t, errs, "connect error"); !errors.Is(got, err) {
			t.Errorf("told %v", got)
		}
		if c.Active() {
			t.Error("tries again after a refusal")
		}
		token = ""
		if err := c.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "no token yet") {
			t.Fatalf("got %v", err)
		}
		token = "secret"
		connect(t, c)
		if c.Namespace() != "/admin" {
			t.Errorf("namespace %q", c.Namespace())
		}
	})
}

func TestRooms(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		var told [3]<-chan string
		for i := range told {
			c := connected(t, p.URL(), transports[i%2*2].opts...)
			told[i] = on[string](c.Socket, "told")
			join(t, c.Socket, "everyone")
			if i < 2 {
				join(t, c.Socket, "some")
			}
		}
		c := connected(t, p.URL())
		for _, room := range []string{"some", "everyone"} {
			if err := c.Emit("tell room", room, room); err != nil {
				t.Fatal(err)
			}
		}
		for i, ch := range told {
			if i < 2 {
				if got := receive(t, ch, "told"); got != "some" {
					t.Errorf("client %d was told %q first", i, got)
				}
			}
			if got := receive(t, ch, "told"); got != "everyone" {
				t.Errorf("client %d was told %q", i, got)
			}
		}
	})
}

func TestEmitRefusals(t *testing.T) {
	eachPeer(t, peerOptions{MaxPayload: 1000}, func(t *testing.T, p peer) {
		c := newClient(t, p.URL(), client.WithSendBuffer(2000))
		for _, event := range []string{"connect", "disconnect", "connect_error"} {
			if err := c.Emit(event); !errors.Is(err, client.ErrReserved) {
				t.Errorf("%s: %v", event, err)
			}
		}
		if err := c.Emit("x", func() {}); err == nil {
			t.Error("a function was encoded")
		}
		n := 0
		for ; n < 100; n++ {
			if err := c.Emit("count", n); err != nil {
				if !errors.Is(err, client.ErrBufferFull) {
					t.Fatal(err)
				}
				break
			}
		}
		if n == 0 || n == 100 {
			t.Fatalf("buffer full after %d events", n)
		}
		if err := c.Volatile().Emit("count", -1); err != nil {
			t.Error(err)
		}
		connect(t, c)
		if got := call[counted](t, c.Socket, "counted"); got != (counted{n, true}) {
			t.Errorf("server counted %+v, want %d", got, n)
		}
		if err := c.Emit("x", strings.Repeat("x", 1000)); !errors.Is(err, client.ErrTooLarge) {
			t.Errorf("too large: %v", err)
		}
		if st := c.Stats(); st.Refused != 2 || st.Volatile != 1 {
			t.Errorf("stats %+v", st)
		}
		c.Close()
		if err := c.Emit("x"); !errors.Is(err, client.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if err := c.Connect(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

type counted struct {
	Count   int
	Ordered bool
}

func TestNewRefusesBadOptions(t *testing.T) {
	for _, tc := range []struct {
		url  string
		opts []client.Option
	}{
		{url: "localhost:3000"},
		{url: "ftp://localhost"},
		{url: "http://"},
		{url: "http://x", opts: []client.Option{client.WithTransports()}},
		{url: "http://x", opts: []client.Option{client.WithTransports("pigeon")}},
		{url: "http://x", opts: []client.Option{client.WithReconnectDelay(0, 0, 0)}},
		{url: "http://x", opts: []client.Option{client.WithReconnectDelay(1, 2, 1.5)}},
		{url: "http://x", opts: []client.Option{client.WithSendBuffer(0)}},
		{url: "http://x", opts: []client.Option{client.WithConnectTimeout(-1)}},
		{url: "http://x", opts: []client.Option{client.WithReconnectAttempts(-1)}},
	} {
		if _, err := client.New(tc.url, tc.opts...); err == nil {
			t.Errorf("New(%q) with %d options succeeded", tc.url, len(tc.opts))
		}
	}
}

func TestQueryAndPathOptions(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		c := connected(t, p.URL(), client.WithQuery(url.Values{"color": {"r&d"}}), client.WithPath("socket.io"))
		if got := call[shown](t, c.Socket, "handshake"); got.Color != "r&d" {
			t.Errorf("server saw %+v", got)
		}
		other := newClient(t, p.URL(), client.WithPath("/elsewhere/"))
		err := other.Connect(t.Context())
		var refused *client.HTTPError
		if !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
			t.Errorf("other path: %v", err)
		}
	})
}
