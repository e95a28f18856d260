package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/client"
)

func TestBackoff(t *testing.T) {
	const first, most = time.Second, 5 * time.Second
	for n, want := range map[int][2]time.Duration{ // with a jitter of a half
		1:    {500 * time.Millisecond, 1500 * time.Millisecond},
		2:    {time.Second, 3 * time.Second},
		3:    {2 * time.Second, most},
		4:    {2500 * time.Millisecond, most},
		1000: {2500 * time.Millisecond, most},
	} {
		low, high := most, time.Duration(0)
		for range 1000 {
			d := client.Backoff(n, first, most, 0.5)
			low, high = min(low, d), max(high, d)
		}
		if low < want[0] || high > want[1] {
			t.Errorf("after %d failures: %v to %v, want within %v", n, low, high, want)
		}
		if spread := want[1] - want[0]; high-low < spread*3/4 {
			t.Errorf("after %d failures: only %v to %v of %v", n, low, high, want)
		}
	}
	if d := client.Backoff(3, first, most, 0); d != 4*time.Second {
		t.Errorf("without jitter %v", d)
	}
}

func TestConnectData(t *testing.T) {
	for _, tc := range []struct {
		auth        any
		pid, offset string
		want        string
	}{
		{nil, "", "", ""},
		{map[string]int{"a": 1}, "", "", `{"a":1}`},
		{(*struct{})(nil), "", "", ""},
		{nil, "p", "", `{"pid":"p"}`},
		{nil, "p", "o", `{"pid":"p","offset":"o"}`},
		{struct{}{}, "p", "o", `{"pid":"p","offset":"o"}`},
		{map[string]string{"t": "x"}, "p", "o", `{"pid":"p","offset":"o","t":"x"}`},
		{json.RawMessage(`{"t":1}`), "p", "", `{"pid":"p","t":1}`},
	} {
		got, err := client.ConnectData(tc.auth, tc.pid, tc.offset)
		if err != nil || string(got) != tc.want {
			t.Errorf("%v: %s, %v, want %s", tc, got, err, tc.want)
		}
	}
	for _, auth := range []any{1, "x", []int{1}, func() {}} {
		if got, err := client.ConnectData(auth, "", ""); err == nil {
			t.Errorf("%T: %s", auth, got)
		}
	}
}

func TestParseRefusal(t *testing.T) {
	for data, want := range map[string]client.Error{
		`{"message":"no"}`:                        {Message: "no"},
		`{"message":"no","data":{"a":[1]}}`:       {Message: "no", Data: json.RawMessage(`{"a":[1]}`)},
		`{"message":"no","code":"C","data":null}`: {Message: "no", Code: "C", Data: json.RawMessage(`null`)},
		`"plain"`:                  {Message: "plain"},
		`{"message":7,"data":"x"}`: {Data: json.RawMessage(`"x"`)},
		`[]`:                       {},
		``:                         {},
	} {
		if got := client.ParseRefusal([]byte(data)); !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, want %+v", data, *got, want)
		}
	}
}

func TestReplyError(t *testing.T) {
	for raw, want := range map[string]string{
		`{"error":{"message":"m"}}`:            "m",
		`{"error":{"code":"c","message":"m"}}`: "c: m",
		`{"error":{"message":"m"},"other":1}`:  "",
		`{"error":"m"}`:                        "",
		`{"error":{}}`:                         "",
		`{"error":null}`:                       "",
		`{"x":{"error":1}}`:                    "",
		`["error"]`:                            "",
		``:                                     "",
	} {
		got := ""
		if e := client.ReplyError(json.RawMessage(raw)); e != nil {
			got = e.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"message":"no","data":{"a":[1]}}`))
	f.Add([]byte(`{"error":{"code":"c","message":"m","data":{}}}`))
	f.Add([]byte(`"plain"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if client.ParseRefusal(data) == nil {
			t.Error("no refusal")
		}
		if e := client.ReplyError(data); e != nil && !json.Valid(data) {
			t.Errorf("%q is the error %v", data, e)
		}
		merged, err := client.ConnectData(json.RawMessage(data), "p", "o")
		if err == nil && !json.Valid(merged) {
			t.Errorf("%q becomes %q", data, merged)
		}
	})
}

func TestOffAndOnAny(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		c := connected(t, p.URL())
		seen := make(chan string, 16)
		note := func(s string) client.Handler {
			return func(_ context.Context, m *client.Message) error {
				if m.Event() == "said" {
					seen <- s
				}
				return nil
			}
		}
		off1 := c.On("said", note("first"))
		c.On("said", note("second"))
		offAny := c.OnAny(note("any"))
		offLast := c.On("said", note("last"))
		expect := func(want ...string) {
			t.Helper()
			if err := c.Emit("say back"); err != nil {
				t.Fatal(err)
			}
			for _, w := range want {
				if got := receive(t, seen, "event"); got != w {
					t.Errorf("%q handled it, want %q", got, w)
				}
			}
		}
		expect("any", "first", "second", "last")
		off1()
		off1()
		expect("any", "second", "last")
		offAny()
		expect("second", "last")
		offLast()
		expect("second")
		call[int](t, c.Socket, "echo", 1)
		if len(seen) > 0 {
			t.Errorf("%d more", len(seen))
		}
	})
}

// TestSharedEvents uses the server's typed events from the client's side.
func TestSharedEvents(t *testing.T) {
	type line struct{ From, Text string }
	said := socketeer.NewEvent[line]("said")
	sayBack := socketeer.NewEvent[line]("say back")
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		c := newClient(t, p.URL())
		got := on[line](c.Socket, said.Name())
		connect(t, c)
		want := line{"me", "hello"}
		if err := sayBack.Emit(c, want); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, got, "said"); got != want {
			t.Errorf("got %v", got)
		}
	})
}

func TestTLS(t *testing.T) {
	io, err := socketeer.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	behave(io)
	srv := httptest.NewUnstartedServer(io)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		io.Close()
		srv.Close()
	})
	cfg := srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			c := newClient(t, srv.URL, append(tr.opts, client.WithTLSConfig(cfg))...)
			upgraded := onUpgrade(c)
			connect(t, c)
			if tr.name == "upgrade" {
				receive(t, upgraded, "upgrade")
			}
			if got := call[shown](t, c.Socket, "handshake"); got.Transport != tr.ends {
				t.Errorf("transport %q", got.Transport)
			}
			c = newClient(t, strings.Replace(srv.URL, "https", "wss", 1), tr.opts...)
			if err := c.Connect(t.Context()); err == nil {
				t.Error("an unknown certificate was accepted")
			}
		})
	}
}

func TestErrorTexts(t *testing.T) {
	for want, err := range map[string]error{
		"c: m": &client.Error{Code: "c", Message: "m"},
		"m":    &client.Error{Message: "m"},
		"socketeer: server answered with status 400: Session ID unknown": &client.HTTPError{Status: 400, Code: 1, Message: "Session ID unknown"},
		"socketeer: server answered with status 502":                     &client.HTTPError{Status: 502, Code: -1},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	if errors.Is(client.ErrClosed, client.ErrDisconnected) {
		t.Error("closed is disconnected")
	}
}

func TestVolatile(t *testing.T) {
	eachPeer(t, peerOptions{MaxPayload: 1000}, func(t *testing.T, p peer) {
		c := connected(t, p.URL())
		said := on[int](c.Socket, "said")
		// One at a time, so that the connection is writable sooner or later.
		for i := 0; ; i++ {
			before := c.Stats().Volatile
			if err := c.Volatile().Emit("say back", i); err != nil {
				t.Fatal(err)
			}
			if c.Stats().Volatile > before {
				call[int](t, c.Socket, "echo", i)
				continue
			}
			if got := receive(t, said, "said"); got != i {
				t.Errorf("said %d, want %d", got, i)
			}
			break
		}
		if err := c.Volatile().Emit("connect"); !errors.Is(err, client.ErrReserved) {
			t.Errorf("reserved: %v", err)
		}
		for c.Stats().Refused == 0 {
			err := c.Volatile().Emit("x", strings.Repeat("x", 1000))
			if err != nil && !errors.Is(err, client.ErrTooLarge) {
				t.Fatal(err)
			}
		}
		c.Close()
		if err := c.Volatile().Emit("x"); !errors.Is(err, client.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

// TestLimits has the server send more than the client accepts.
func TestLimits(t *testing.T) {
	eachTransport(t, func(t *testing.T, p peer, opts []client.Option) {
		for name, tc := range map[string]struct {
			opt    client.Option
			args   []any
			reason string
		}{
			"read limit":  {client.WithReadLimit(5000), []any{strings.Repeat("x", 5000)}, client.ReasonTransportError},
			"attachments": {client.WithMaxAttachments(2), []any{[]byte{1}, []byte{2}, []byte{3}}, client.ReasonParseError},
		} {
			t.Run(name, func(t *testing.T) {
				c := newClient(t, p.URL(), append(opts, tc.opt)...)
				down := onDisconnect(c.Socket)
				connect(t, c)
				if err := c.Emit("say back", tc.args...); err != nil {
					t.Fatal(err)
				}
				if got := receive(t, down, "disconnect"); got != tc.reason {
					t.Errorf("reason %q, want %q", got, tc.reason)
				}
			})
		}
	})
}

// TestLateAck answers an event when the connection that brought it is gone.
func TestLateAck(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		c := newClient(t, p.URL())
		asked := make(chan *client.Message, 1)
		c.On("question", func(_ context.Context, m *client.Message) error {
			asked <- m
			return nil
		})
		up := onConnect(c.Socket)
		connect(t, c)
		receive(t, up, "connect")
		if err := c.Emit("ask", "question", 1, []byte{7}); err != nil {
			t.Fatal(err)
		}
		m := receive(t, asked, "question")
		if m.Socket() != c.Socket || string(m.Data()) != `["question",1,{"_placeholder":true,"num":0}]` || m.Raw(2) != nil || !m.WantsAck() {
			t.Errorf("message %s", m.Data())
		}
		if err := c.Emit("hang up"); err != nil {
			t.Fatal(err)
		}
		receive(t, up, "reconnect")
		if err := m.Ack(2); !errors.Is(err, client.ErrDisconnected) {
			t.Errorf("late acknowledgement: %v", err)
		}
	})
}

// TestCallError gets the Go server's form of an error.
func TestCallError(t *testing.T) {
	p := startGo(t, peerOptions{})
	c := connected(t, p.URL())
	// The server's handler fails because the argument is missing.
	_, err := client.Call[int](t.Context(), c.Socket, "leave")
	var e *client.Error
	if !errors.As(err, &e) || e.Message == "" {
		t.Errorf("got %v", err)
	}
}

// TestDialer goes by a connection and a cookie jar of the caller's.
func TestDialer(t *testing.T) {
	eachPeer(t, peerOptions{Cookie: true}, func(t *testing.T, p peer) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(p.URL())
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range transports {
			var dialled atomic.Int64
			jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: "v"}})
			c := newClient(t, "http://somewhere.test/", append(tr.opts,
				client.WithHeader(http.Header{"Host": {u.Host}}),
				client.WithCookieJar(cookiesOf{jar, u}),
				client.WithDialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
					dialled.Add(1)
					return new(net.Dialer).DialContext(ctx, network, u.Host)
				}))...)
			connect(t, c)
			if got := call[shown](t, c.Socket, "handshake"); !strings.Contains(got.Cookie, "session=v") || dialled.Load() == 0 {
				t.Errorf("%s: server saw %+v, %d connections", tr.name, got, dialled.Load())
			}
			c.Close()
		}
	})
}

// cookiesOf is a jar that takes every URL for one.
type cookiesOf struct {
	http.CookieJar
	u *url.URL
}

func (j cookiesOf) Cookies(*url.URL) []*http.Cookie { return j.CookieJar.Cookies(j.u) }
