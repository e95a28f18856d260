package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
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
