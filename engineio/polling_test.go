package engineio_test

import (
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/engineio"
)

func TestPollingHandshake(t *testing.T) {
	s := start(t, config{open: func(s *session) { s.send("first"); s.send("second") }})
	a := s.must("GET", "transport=polling", "")
	h := s.parse(a.body)
	want := fmt.Sprintf(`0{"sid":"%s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`+"\x1e4first\x1e4second", h.SID)
	a.is(t, 200, want)
	for name, value := range map[string]string{
		"Content-Type": "text/plain; charset=UTF-8", "Cache-Control": "no-store", "Content-Length": fmt.Sprint(len(want)),
		"Set-Cookie": "", "Access-Control-Allow-Origin": "",
	} {
		if got := a.header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	sess := <-s.sessions
	if sess.conn.ID() != h.SID || sess.conn.Transport() != "polling" {
		t.Errorf("session %q on %s", sess.conn.ID(), sess.conn.Transport())
	}
	r := sess.conn.Request()
	if r.URI != "/engine.io/?EIO=4&transport=polling" || r.Query().Get("EIO") != "4" || r.Header().Get("Host") != "localhost" || r.TLS || r.Remote == "" {
		t.Errorf("request %+v", r)
	}
}

func TestHandshakeOptions(t *testing.T) {
	s := start(t, config{Options: engineio.Options{
		PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond, MaxPayload: 1234, NoUpgrades: true,
		Cookie:         &http.Cookie{HttpOnly: true, SameSite: http.SameSiteLaxMode},
		InitialHeaders: func(h http.Header, r *http.Request) { h.Set("X-Initial", r.Method) },
		Headers:        func(h http.Header, r *http.Request) { h.Set("X-Every", r.Method) },
	}})
	a := s.must("GET", "transport=polling", "")
	h := s.parse(a.body)
	if len(h.Upgrades) != 0 || h.PingInterval != 300 || h.PingTimeout != 200 || h.MaxPayload != 1234 {
		t.Errorf("handshake %q", a.body)
	}
	if got, want := a.header.Get("Set-Cookie"), "io="+h.SID+"; Path=/; HttpOnly; SameSite=Lax"; got != want {
		t.Errorf("cookie %q, want %q", got, want)
	}
	if a.header.Get("X-Initial") != "GET" || a.header.Get("X-Every") != "GET" {
		t.Errorf("header %v", a.header)
	}
	p := &poller{s, h.SID, <-s.sessions}
	a = p.post("4x")
	if a.header.Get("X-Initial") != "" || a.header.Get("X-Every") != "POST" || a.header.Get("Set-Cookie") != "" {
		t.Errorf("header of a POST %v", a.header)
	}
	p.send("x")
	a = p.get()
	if a.header.Get("X-Initial") != "" || a.header.Get("X-Every") != "GET" {
		t.Errorf("header of a poll %v", a.header)
	}
	r, _ := s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket")
	if r.Header.Get("X-Initial") != "GET" || r.Header.Get("X-Every") != "GET" || r.Header.Get("Set-Cookie") != "" {
		t.Errorf("header of a WebSocket %v", r.Header)
	}
	r, _ = s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket&sid=" + s.poll().sid)
	if r.StatusCode != 101 || r.Header.Get("X-Initial") != "" || r.Header.Get("X-Every") != "GET" {
		t.Errorf("header of an upgrade %v", r.Header)
	}
}

func TestPollingMessages(t *testing.T) {
	s := start(t, config{})
	p := s.poll()
	a := p.post("4hello\x1ebAQIDBA==\x1e4€\x1e4")
	a.is(t, 200, "ok")
	if ct, cl := a.header.Get("Content-Type"), a.header.Get("Content-Length"); ct != "text/html" || cl != "2" {
		t.Errorf("%s, %s bytes", ct, cl)
	}
	p.expect(t, "text hello", "binary \x01\x02\x03\x04", "text €", "text ")

	p.conn.Send(message("a"), 0)
	p.conn.Send(message("b", "\x01\x02\x03\x04", ""), 0)
	if n := p.conn.Buffered(); n == 0 {
		t.Error("nothing buffered")
	}
	p.get().is(t, 200, "4a\x1e4b\x1ebAQIDBA==\x1eb")
	if n := p.conn.Buffered(); n != 0 {
		t.Errorf("%d bytes buffered", n)
	}
	get := p.parked()
	p.send("later")
	wait(t, get, "poll").is(t, 200, "4later")
}

func TestPollingParseErrors(t *testing.T) {
	s := start(t, config{})
	for name, body := range map[string]string{
		"empty": "", "unknown type": "7", "letter": "abc", "trailing separator": "4ok\x1e", "leading separator": "\x1e4ok",
		"two separators": "4ok\x1e\x1e4ok", "invalid base64": "b!!",
	} {
		t.Run(name, func(t *testing.T) {
			p := s.poll()
			get := p.parked()
			p.post(body).is(t, 200, "ok")
			wait(t, get, "poll").is(t, 200, "1")
			p.endsAs(t, engineio.ParseError)
			p.get().is(t, 400, `{"code":1,"message":"Session ID unknown"}`)
		})
	}
}

func TestPollingViolations(t *testing.T) {
	s := start(t, config{})
	t.Run("two polls", func(t *testing.T) {
		p := s.poll()
		first := p.parked()
		p.get().is(t, 400, "")
		wait(t, first, "first poll").is(t, 200, "1")
		p.endsAs(t, engineio.TransportError)
	})
	t.Run("two posts", func(t *testing.T) {
		p := s.poll()
		first := s.raw()
		first.Send("POST /engine.io/?EIO=4&" + p.query() + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n4")
		eventually(t, "first post", p.conn.Posting)
		p.post("4second").is(t, 400, "")
		p.endsAs(t, engineio.TransportError)
		first.Send("late")
		if r, body := first.Response(); r.StatusCode != 200 || body != "ok" {
			t.Errorf("first got %d %q", r.StatusCode, body)
		}
		p.get().is(t, 200, "1")
		if len(p.messages) > 0 {
			t.Errorf("%q came after the end", <-p.messages)
		}
	})
	t.Run("octet-stream", func(t *testing.T) {
		p := s.poll()
		p.post("4x", "Content-Type", "application/octet-stream").is(t, 400, "")
		p.endsAs(t, engineio.TransportError)
	})
	t.Run("ping from the client", func(t *testing.T) {
		p := s.poll()
		p.post("2\x1e4x").is(t, 200, "ok")
		p.endsAs(t, engineio.TransportError)
		p.get().is(t, 200, "1")
		if len(p.messages) > 0 {
			t.Errorf("%q came after the end", <-p.messages)
		}
	})
	t.Run("session's error", func(t *testing.T) {
		refusal := errors.New("not allowed")
		s := start(t, config{handle: func(*session, []byte, bool) error { return refusal }})
		p := s.poll()
		get := p.parked()
		p.post("4x").is(t, 200, "ok")
		if e := p.endsAs(t, engineio.ForcedClose); !errors.Is(e.err, refusal) {
			t.Errorf("because of %v", e.err)
		}
		wait(t, get, "poll").is(t, 200, "1")
	})
	t.Run("harmless types", func(t *testing.T) {
		p := s.poll()
		p.post("0{}\x1e3\x1e5\x1e6\x1e4x").is(t, 200, "ok")
		p.expect(t, "text x")
	})
}

func TestPollingTooLarge(t *testing.T) {
	s := start(t, config{Options: engineio.Options{MaxPayload: 1000}})
	p := s.poll()
	get := p.parked()
	p.post("4"+sized(1000, "x")).is(t, 413, "")
	// Endless, without a length.
	c := s.raw()
	c.Send("POST /engine.io/?EIO=4&" + p.query() + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n4\r\n")
	var err error
	sent := 0
	for chunk := "400\r\n" + sized(0x400, "x") + "\r\n"; err == nil && sent < 64<<20; sent += len(chunk) {
		err = c.Send(chunk)
	}
	if err == nil {
		t.Errorf("took %d bytes", sent)
	}
	eventually(t, "end of the post", func() bool { return !p.conn.Posting() })
	// Announced, but not sent.
	c = s.raw()
	c.Send("POST /engine.io/?EIO=4&" + p.query() + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n")
	if r, body := c.Response(); r.StatusCode != 413 || body != "" {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	// A little too much announced, and not sent: it is not waited for long.
	small := start(t, config{Options: engineio.Options{MaxPayload: 10, PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}})
	c = small.raw()
	c.Send("POST /engine.io/?EIO=4&" + small.poll().query() + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n4")
	if r, _ := c.Response(); r.StatusCode != 413 {
		t.Errorf("got %d", r.StatusCode)
	}
	c = small.raw()
	c.Send("POST /engine.io/?EIO=4&transport=polling&sid=unknown HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n4")
	if r, _ := c.Response(); r.StatusCode != 400 {
		t.Errorf("got %d", r.StatusCode)
	}
	// The session lives.
	p.post("4"+sized(999, "x")).is(t, 200, "ok")
	p.expect(t, "text "+sized(999, "x"))
	p.send("alive")
	wait(t, get, "poll").is(t, 200, "4alive")
}

func TestPollingAborted(t *testing.T) {
	s := start(t, config{})
	t.Run("poll", func(t *testing.T) {
		p := s.poll()
		c := s.raw()
		c.Send("GET /engine.io/?EIO=4&" + p.query() + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
		eventually(t, "parked poll", p.conn.Parked)
		c.Close()
		p.endsAs(t, engineio.TransportError)
	})
	t.Run("post", func(t *testing.T) {
		p := s.poll()
		c := s.raw()
		c.Send("POST /engine.io/?EIO=4&" + p.query() + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n4")
		eventually(t, "post", p.conn.Posting)
		c.Close()
		p.endsAs(t, engineio.TransportError)
	})
	t.Run("post that stalls", func(t *testing.T) {
		s := start(t, config{Options: engineio.Options{PingInterval: 50 * time.Millisecond, PingTimeout: time.Second}})
		p := s.poll()
		get := p.later("GET", "") // answered by the ping
		c := s.raw()
		c.Send("POST /engine.io/?EIO=4&" + p.query() + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n4")
		if r, _ := c.Response(); r.StatusCode != 400 {
			t.Errorf("got %d", r.StatusCode)
		}
		if e := wait(t, p.ended, "end"); e.reason != engineio.TransportError && e.reason != engineio.PingTimeout {
			t.Errorf("ended as %v", e)
		}
		wait(t, get, "poll")
	})
	if n := s.Count(); n != 0 {
		t.Errorf("%d sessions left", n)
	}
}

func TestPollingClose(t *testing.T) {
	s := start(t, config{})
	t.Run("by the client", func(t *testing.T) {
		p := s.poll()
		get := p.parked()
		p.post("1").is(t, 200, "ok")
		wait(t, get, "poll").is(t, 200, "6")
		p.endsAs(t, engineio.TransportClose)
		p.get().is(t, 400, `{"code":1,"message":"Session ID unknown"}`)
		if err := p.send("x"); !errors.Is(err, engineio.ErrClosed) {
			t.Errorf("send: %v", err)
		}
	})
	t.Run("by the server, while a poll waits", func(t *testing.T) {
		p := s.poll()
		get := p.parked()
		p.conn.Close()
		wait(t, get, "poll").is(t, 200, "1")
		p.endsAs(t, engineio.ForcedClose)
	})
	t.Run("by the server, before a poll", func(t *testing.T) {
		p := s.poll()
		p.send("bye")
		p.conn.Close()
		p.conn.Close()
		p.endsAs(t, engineio.ForcedClose)
		p.post("4late").is(t, 400, `{"code":1,"message":"Session ID unknown"}`)
		told := p.get().body
		for range 2 {
			if !strings.HasSuffix(told, "1") {
				told += "\x1e" + p.get().body
			}
		}
		if told != "4bye\x1e1" {
			t.Errorf("told %q", told)
		}
		p.get().is(t, 400, `{"code":1,"message":"Session ID unknown"}`)
	})
}

func TestPollingCompression(t *testing.T) {
	text := sized(5000, "compress me ")
	gunzip := func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	inflate := func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }
	for _, tc := range []struct {
		name     string
		o        engineio.Options
		accept   string
		size     int
		plain    bool
		encoding string
		decode   func(io.Reader) (io.Reader, error)
	}{
		{"gzip", engineio.Options{}, "gzip, deflate, br", 5000, false, "gzip", gunzip},
		{"deflate", engineio.Options{}, "deflate", 5000, false, "deflate", inflate},
		{"in the client's order", engineio.Options{}, "deflate, gzip", 5000, false, "deflate", inflate},
		{"refused", engineio.Options{}, "gzip;q=0, deflate;q=0.5", 5000, false, "deflate", inflate},
		{"case", engineio.Options{}, "GZIP", 5000, false, "gzip", gunzip},
		{"not wanted", engineio.Options{}, "", 5000, false, "", nil},
		{"unknown", engineio.Options{}, "br, identity", 5000, false, "", nil},
		{"too small", engineio.Options{}, "gzip", 1022, false, "", nil},
		{"just large enough", engineio.Options{}, "gzip", 1023, false, "gzip", gunzip},
		{"another threshold", engineio.Options{CompressionThreshold: 10}, "gzip", 9, false, "gzip", gunzip},
		{"off", engineio.Options{NoCompression: true}, "gzip", 5000, false, "", nil},
		{"not worth it", engineio.Options{}, "gzip", 5000, true, "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := start(t, config{Options: tc.o}).poll()
			m := message(text[:tc.size])
			if tc.plain {
				m.Uncompressed()
			}
			p.conn.Send(m, 0)
			a := p.must("GET", p.query(), "", "Accept-Encoding", tc.accept)
			if got := a.header.Get("Content-Encoding"); got != tc.encoding {
				t.Fatalf("encoding %q", got)
			}
			body := a.body
			if tc.decode != nil {
				r, err := tc.decode(strings.NewReader(a.body))
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				body = string(b)
				if tc.size > 2000 && len(a.body) > 500 {
					t.Errorf("%d bytes", len(a.body))
				}
			}
			if body != "4"+text[:tc.size] {
				t.Errorf("got %.100q", body)
			}
		})
	}
}

// A client that takes neither poll nor ping is given up, as is one that does
// not read the answer to its poll.
func TestPollerThatDoesNotRead(t *testing.T) {
	s := start(t, config{Options: engineio.Options{PingTimeout: 300 * time.Millisecond, SendBuffer: 64 << 20, NoCompression: true}})
	p := s.poll()
	c := s.raw()
	p.conn.Send(message(sized(32<<20, "x")), 0)
	c.Send("GET /engine.io/?EIO=4&" + p.query() + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	p.endsAs(t, engineio.TransportError)
}
