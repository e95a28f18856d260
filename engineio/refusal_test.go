package engineio_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/rs/cors"

	"github.com/socketeer-io/socketeer/engineio"
)

func TestRefusals(t *testing.T) {
	s := start(t, config{Options: engineio.Options{NodeTag: "node"}})
	p, w := s.poll(), s.connect()
	forged := "node" + strings.Repeat("A", 16)
	for _, tc := range []struct {
		name, method, query string
		upgrade             bool
		code                engineio.Code
		is                  string
	}{
		{"no transport", "GET", "EIO=4", false, 0, ""},
		{"empty transport", "GET", "EIO=4&transport=", false, 0, ""},
		{"unknown transport", "GET", "EIO=4&transport=webtransport", false, 0, ""},
		{"__proto__", "GET", "EIO=4&transport=__proto__", false, 0, ""},
		{"constructor", "GET", "EIO=4&transport=constructor", false, 0, ""},
		{"transport twice", "GET", "EIO=4&transport=polling&transport=polling", false, 0, ""},
		{"transport as a list", "GET", "EIO=4&transport[]=polling", false, 0, ""},
		{"broken query", "GET", "%zz", false, 0, ""},
		{"unknown sid", "GET", "EIO=4&transport=polling&sid=unknown", false, 1, ""},
		{"sid of this node's form", "GET", "EIO=4&transport=polling&sid=" + forged, false, 1, ""},
		{"POST to an unknown sid", "POST", "EIO=4&transport=polling&sid=" + forged, false, 1, ""},
		{"POST for a handshake", "POST", "EIO=4&transport=polling", false, 2, ""},
		{"OPTIONS without CORS", "OPTIONS", "EIO=4&transport=polling", false, 2, ""},
		{"DELETE of a session", "DELETE", "EIO=4&transport=polling&sid=" + p.sid, false, 2, ""},
		{"WebSocket without an upgrade", "GET", "EIO=4&transport=websocket", false, 3, "TRANSPORT_HANDSHAKE_ERROR"},
		{"poll of a WebSocket session", "GET", "EIO=4&transport=polling&sid=" + w.sid, false, 3, "TRANSPORT_MISMATCH"},
		{"POST to a WebSocket session", "POST", "EIO=4&transport=polling&sid=" + w.sid, false, 3, "TRANSPORT_MISMATCH"},
		{"WebSocket request of a polling session", "GET", "EIO=4&transport=websocket&sid=" + p.sid, false, 3, "TRANSPORT_MISMATCH"},
		{"another revision", "GET", "EIO=3&transport=polling&sid=" + p.sid, false, 3, "PROTOCOL_MISMATCH"},
		{"no revision any more", "GET", "transport=polling&sid=" + p.sid, false, 3, "PROTOCOL_MISMATCH"},
		{"no EIO", "GET", "transport=polling", false, 5, ""},
		{"EIO=abc", "GET", "EIO=abc&transport=polling", false, 5, ""},
		{"EIO=3", "GET", "EIO=3&transport=polling", false, 5, ""},
		{"EIO=5", "GET", "EIO=5&transport=polling", false, 5, ""},

		{"upgrade: unknown transport", "GET", "EIO=4&transport=constructor", true, 0, ""},
		{"upgrade: unknown sid", "GET", "EIO=4&transport=websocket&sid=unknown", true, 1, ""},
		{"upgrade: polling", "GET", "EIO=4&transport=polling", true, 3, "TRANSPORT_HANDSHAKE_ERROR"},
		{"upgrade: polling session on polling", "GET", "EIO=4&transport=polling&sid=" + p.sid, true, 3, "TRANSPORT_MISMATCH"},
		{"upgrade: WebSocket session", "GET", "EIO=4&transport=websocket&sid=" + w.sid, true, 3, "ALREADY_UPGRADED"},
		{"upgrade: revision 3", "GET", "EIO=3&transport=websocket", true, 5, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.raw()
			request := fmt.Sprintf("%s /engine.io/?%s HTTP/1.1\r\nHost: localhost\r\n", tc.method, tc.query)
			if tc.upgrade {
				request += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			}
			c.Send(request + "\r\n")
			r, body := c.Response()
			want, contentType := fmt.Sprintf(`{"code":%d,"message":"%s"}`, tc.code, tc.code), "application/json"
			if tc.upgrade {
				want, contentType = tc.code.String(), "text/html"
				if !r.Close || r.ContentLength != int64(len(want)) {
					t.Errorf("header %v", r.Header)
				}
			}
			if r.StatusCode != 400 || body != want || r.Header.Get("Content-Type") != contentType {
				t.Errorf("got %d %q (%s), want %q", r.StatusCode, body, r.Header.Get("Content-Type"), want)
			}
			s.refusal(tc.code, tc.is)
		})
	}
	// Nothing of it touched the sessions.
	w.Text("4still here")
	w.expect(t, "text still here")
	p.post("4me too").is(t, 200, "ok")
	p.expect(t, "text me too")
	if got := s.Stats().Refused; got != 30 {
		t.Errorf("%d refused", got)
	}
}

func TestMalformedUpgrades(t *testing.T) {
	s := start(t, config{})
	for name, header := range map[string]string{
		"no key":          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
		"short key":       "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
		"old version":     "Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		"no connection":   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		"with a sid, too": "Connection: Upgrade\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			query := ""
			if name == "with a sid, too" {
				query = "&sid=" + s.poll().sid
			}
			c := s.raw()
			c.Send("GET /engine.io/?EIO=4&transport=websocket" + query + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" + header + "\r\n")
			if r, _ := c.Response(); r.StatusCode < 400 || r.StatusCode > 499 {
				t.Errorf("status %d", r.StatusCode)
			}
			s.refusal(engineio.BadRequest, "TRANSPORT_HANDSHAKE_ERROR")
		})
	}
	if n := len(s.sessions); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

// After a failed upgrade the session may try again.
func TestUpgradeAfterMalformedOne(t *testing.T) {
	s := start(t, config{})
	p := s.poll()
	c := s.raw()
	c.Send("GET /engine.io/?EIO=4&transport=websocket&sid=" + p.sid + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n")
	c.Response()
	eventually(t, "end of the upgrade", func() bool { return !p.conn.Upgrading() })
	up := s.upgrade("&sid=" + p.sid)
	up.Text("2probe")
	up.Expect("3probe")
}

func TestAllowedTransports(t *testing.T) {
	s := start(t, config{Options: engineio.Options{Transports: []string{"websocket"}}})
	s.must("GET", "transport=polling", "").is(t, 400, `{"code":0,"message":"Transport unknown"}`)
	s.connect()

	s = start(t, config{Options: engineio.Options{Transports: []string{"polling"}}})
	if h := s.parse(s.must("GET", "transport=polling", "").body); len(h.Upgrades) != 0 {
		t.Errorf("offers %q", h.Upgrades)
	}
	if r, body := s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket"); r.StatusCode != 400 || body != "Transport unknown" {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	if _, err := engineio.NewServer(engineio.Options{Transports: []string{"pigeon"}}, nil); err == nil {
		t.Error("unknown transport accepted")
	}
	if _, err := engineio.NewServer(engineio.Options{NodeTag: "a/b="}, nil); err == nil {
		t.Error("node tag accepted")
	}
}

func TestAllowRequest(t *testing.T) {
	refusal := errors.New("internal reason")
	s := start(t, config{Options: engineio.Options{AllowRequest: func(r *http.Request) error {
		switch r.URL.Query().Get("who") {
		case "stranger":
			return refusal
		case "known":
			return fmt.Errorf("wrapped: %w", &engineio.Refusal{Message: `Not "you"`})
		}
		return nil
	}}})
	a := s.must("GET", "transport=polling&who=stranger", "")
	a.is(t, 403, `{"code":4,"message":"Forbidden"}`)
	if e := wait(t, s.refused, "refusal"); e.Code != engineio.Forbidden || !errors.Is(e, refusal) {
		t.Errorf("refused with %v", e)
	}
	s.must("GET", "transport=polling&who=known", "").is(t, 403, `{"code":4,"message":"Not \"you\""}`)
	if r, body := s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket&who=stranger"); r.StatusCode != 400 || body != "Forbidden" {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	if r, body := s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket&who=known"); r.StatusCode != 400 || body != `Not "you"` {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	s.poll()
	// It is asked for handshakes only.
	p := s.poll()
	s.must("POST", p.query()+"&who=stranger", "4x").is(t, 200, "ok")
}

func TestOrigins(t *testing.T) {
	strict := start(t, config{})
	open := start(t, config{Options: engineio.Options{CORS: &cors.Options{AllowedOrigins: []string{"https://good.test"}, AllowCredentials: true}}})
	all := start(t, config{Options: engineio.Options{CORS: &cors.Options{}}})
	for _, tc := range []struct {
		name, origin string
		s            *server
		status       int
		allow        string // Access-Control-Allow-Origin on polling
	}{
		{"none", "", strict, 101, ""},
		{"its own", "http://localhost", strict, 101, ""},
		{"its own, in capitals", "http://LOCALHOST", strict, 101, ""},
		{"another", "https://evil.test", strict, 400, ""},
		{"another port", "http://localhost:81", strict, 400, ""},
		{"a prefix of it", "http://localhost.evil.test", strict, 400, ""},
		{"null", "null", strict, 400, ""},
		{"nonsense", "http://[", strict, 400, ""},
		{"listed", "https://good.test", open, 101, "https://good.test"},
		{"not listed", "https://evil.test", open, 400, ""},
		{"all are", "https://evil.test", all, 101, "*"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var header []string
			var pollHeader []string
			if tc.origin != "" {
				header, pollHeader = []string{"Origin: " + tc.origin}, []string{"Origin", tc.origin}
			}
			r, body := tc.s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket", header...)
			if r.StatusCode != tc.status {
				t.Errorf("WebSocket: got %d %q, want %d", r.StatusCode, body, tc.status)
			}
			if tc.status == 400 {
				tc.s.refusal(engineio.Forbidden, "ORIGIN")
			}
			a := tc.s.must("GET", "transport=polling", "", pollHeader...)
			if got := a.header.Get("Access-Control-Allow-Origin"); a.status != 200 || got != tc.allow {
				t.Errorf("polling: got %d, allowed %q, want %q", a.status, got, tc.allow)
			}
		})
	}
}

func TestCORS(t *testing.T) {
	s := start(t, config{Options: engineio.Options{CORS: &cors.Options{
		AllowedOrigins: []string{"https://good.test"}, AllowCredentials: true, AllowedHeaders: []string{"X-Mine"}, AllowedMethods: []string{"GET", "POST"},
	}}})
	a := s.must("OPTIONS", "transport=polling", "", "Origin", "https://good.test",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-mine")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "https://good.test" || a.header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	a = s.must("GET", "transport=polling&sid=unknown", "", "Origin", "https://good.test")
	if a.status != 400 || a.header.Get("Access-Control-Allow-Origin") != "https://good.test" || !strings.Contains(strings.Join(a.header["Vary"], ","), "Origin") {
		t.Errorf("refusal: %d %v", a.status, a.header)
	}
}

func TestSessionIDs(t *testing.T) {
	s := start(t, config{Options: engineio.Options{NodeTag: "t-_9"}})
	const n = 400
	seen := map[string]bool{}
	var at [16]map[byte]bool
	for range n {
		id := s.poll().sid
		if len(id) != 20 || !strings.HasPrefix(id, "t-_9") || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("id %q", id)
		}
		if seen[id] {
			t.Fatalf("id %q twice", id)
		}
		seen[id] = true
		for i := range at {
			if at[i] == nil {
				at[i] = map[byte]bool{}
			}
			at[i][id[4+i]] = true
		}
	}
	for i := range at { // of 64 values each should be seen, but for chance
		if len(at[i]) < 50 {
			t.Errorf("character %d takes %d values only", 4+i, len(at[i]))
		}
	}
	if a, b := start(t, config{}).poll().sid, start(t, config{}).poll().sid; a[:4] == b[:4] {
		t.Error("two servers with the same tag")
	}
}

func TestGenerateID(t *testing.T) {
	next, err := "", error(nil)
	s := start(t, config{Options: engineio.Options{GenerateID: func(*http.Request) (string, error) { return next, err }}})
	next = "mine"
	if sid := s.poll().sid; sid != "mine" {
		t.Errorf("id %q", sid)
	}
	for _, bad := range []string{"", "a b", "é", strings.Repeat("x", 129), `"`} {
		next = bad
		s.must("GET", "transport=polling", "").is(t, 400, `{"code":3,"message":"Bad request"}`)
		s.refusal(engineio.BadRequest, "ID_GENERATION_ERROR")
	}
	next, err = "fine", errors.New("no luck")
	if r, body := s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket"); r.StatusCode != 400 || body != "Bad request" {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	next, err = "mine", nil // taken
	if a := s.must("GET", "transport=polling", ""); a.status == 200 {
		t.Error("one id for two sessions")
	}
	if s.Count() != 1 {
		t.Errorf("%d sessions", s.Count())
	}
}
