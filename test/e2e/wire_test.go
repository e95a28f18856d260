package e2e_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// wireTest is a check of what goes over the wire, run against either kind.
type wireTest struct {
	name string
	run  func(p peer)
}

// TestWire checks the protocol with raw requests and raw frames.
func TestWire(t *testing.T) {
	t.Run("oracle", func(t *testing.T) { wire(t, oracle(t)) })
	t.Run("socketeer", func(t *testing.T) { wire(t, ours(t)) })
}

func wire(t *testing.T, f flavour) {
	calm := start(t, f, 1)[0]
	hasty := start(t, f, 1, "PING_INTERVAL=300", "PING_TIMEOUT=200", "CONNECT_TIMEOUT=700")[0]
	groups := []struct {
		url   string
		tests []wireTest
	}{
		{calm.url, handshakeTests},
		{calm.url, pollingTests},
		{calm.url, upgradeTests},
		{calm.url, frameTests},
		{calm.url, badPacketTests()},
		{hasty.url, heartbeatTests},
	}
	for _, g := range groups {
		for _, test := range g.tests {
			t.Run(test.name, func(t *testing.T) {
				test.run(peer{t: t, kind: f.kind, url: g.url})
			})
		}
	}
}

// ours reports whether the node is Socketeer, where it is meant to do better
// than the JavaScript server.
func (p peer) ours() bool { return p.kind == "socketeer" }

var openPacket = regexp.MustCompile(`^0\{"sid":"[A-Za-z0-9_-]{20}","upgrades":\["websocket"\],` +
	`"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}$`)

var handshakeTests = []wireTest{
	{"polling handshake", func(p peer) {
		r := p.get(p.at("transport=polling&t=x1"))
		if r.status != 200 || !openPacket.MatchString(r.body) {
			p.t.Errorf("%d %q", r.status, r.body)
		}
		p.header(r, "Content-Type", "text/plain; charset=UTF-8")
		p.header(r, "Cache-Control", "no-store")
		p.header(r, "Content-Length", strconv.Itoa(len(r.body)))
		p.header(r, "Access-Control-Allow-Origin", "")
		p.header(r, "Set-Cookie", "")
	}},
	{"websocket handshake", func(p peer) {
		f, h := p.openWS()
		defer f.Close()
		if len(h.SID) != 20 || len(h.Upgrades) != 0 || h.PingInterval != 25000 || h.PingTimeout != 20000 || h.MaxPayload != 1e6 {
			p.t.Errorf("%+v", h)
		}
	}},
	{"refused over polling", func(p peer) {
		for query, want := range refusals {
			r := p.get("/socket.io/?" + query)
			if r.status != 400 || r.body != want {
				p.t.Errorf("%s: %d %q, want %q", query, r.status, r.body, want)
			}
			p.header(r, "Content-Type", "application/json")
		}
		s := p.open()
		r := p.get(p.at("transport=websocket&sid=" + s.sid))
		if r.status != 400 || r.body != badRequest {
			p.t.Errorf("another transport than the session's: %d %q", r.status, r.body)
		}
		s.join()
	}},
	{"refused over websocket before it is one", func(p peer) {
		for query, message := range map[string]string{
			"EIO=4&transport=tube":                               "Transport unknown",
			"EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA": "Session ID unknown",
		} {
			f, r := p.dial("/socket.io/?" + query)
			if f != nil || r.status != 400 || !strings.Contains(r.body, message) {
				p.t.Errorf("%s: %d %q", query, r.status, r.body)
			}
		}
		if p.ours() { // JavaScript answers 101, and then an HTTP response in the stream
			f, r := p.dial("/socket.io/?EIO=3&transport=websocket")
			if f != nil || r.status != 400 {
				p.t.Errorf("revision 3: %d %q", r.status, r.body)
			}
		}
		p.alive()
	}},
	{"a session is opened by GET only", func(p peer) {
		r := p.post(p.at("transport=polling"), "40")
		if r.status != 400 || r.body != `{"code":2,"message":"Bad handshake method"}` {
			p.t.Errorf("%d %q", r.status, r.body)
		}
	}},
	{"paths", func(p peer) {
		for path, status := range map[string]int{
			"/socket.io?EIO=4&transport=polling":           404,
			"/socket.io/anything?EIO=4&transport=polling":  200,
			"/engine.io/?EIO=4&transport=polling":          404,
			"/socket.io/?EIO=4&transport=polling&b64=1":    200,
			"/socket.io/?transport=polling&EIO=4&x=%zz&y=": 200,
		} {
			if r := p.get(path); r.status != status {
				p.t.Errorf("%s: %d %q, want %d", path, r.status, r.body, status)
			}
		}
	}},
	{"long poll responses are compressed when asked for", func(p peer) {
		s := p.open()
		s.join()
		for _, c := range []struct {
			size   int
			accept string
			want   string
		}{{2000, "gzip", "gzip"}, {2000, "br", ""}, {2000, "", ""}, {100, "gzip", ""}} {
			s.send(fmt.Sprintf(`42["echo","%s"]`, strings.Repeat("x", c.size)))
			r := s.get(s.path(), "Accept-Encoding", c.accept)
			p.header(r, "Content-Encoding", c.want)
			body := r.body
			if c.want != "" {
				z, err := gzip.NewReader(bytes.NewReader([]byte(body)))
				if err != nil {
					p.t.Fatal(err)
				}
				plain, err := io.ReadAll(z)
				if err != nil {
					p.t.Fatal(err)
				}
				body = string(plain)
			}
			if len(body) < c.size {
				p.t.Errorf("%d bytes, %q: body of %d", c.size, c.accept, len(body))
			}
		}
	}},
}

const (
	unknownTransport = `{"code":0,"message":"Transport unknown"}`
	unknownSession   = `{"code":1,"message":"Session ID unknown"}`
	badRequest       = `{"code":3,"message":"Bad request"}`
	wrongVersion     = `{"code":5,"message":"Unsupported protocol version"}`
)

// refusals are queries and the bodies that refuse them.
var refusals = map[string]string{
	"EIO=4":                                            unknownTransport,
	"EIO=4&transport=":                                 unknownTransport,
	"EIO=4&transport=tube":                             unknownTransport,
	"EIO=4&transport=__proto__":                        unknownTransport,
	"EIO=4&transport=constructor":                      unknownTransport,
	"EIO=4&transport=webtransport":                     unknownTransport,
	"EIO=4&transport=polling&sid=x":                    unknownSession,
	"EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA": unknownSession,
	"EIO=4&transport=websocket":                        badRequest,
	"transport=polling":                                wrongVersion,
	"EIO=3&transport=polling":                          wrongVersion,
	"EIO=5&transport=polling":                          wrongVersion,
	"EIO=abc&transport=polling":                        wrongVersion,
}

func (p peer) header(r reply, name, want string) {
	p.t.Helper()
	if got := r.header.Get(name); !strings.EqualFold(got, want) {
		p.t.Errorf("%s: %q, want %q", name, got, want)
	}
}

var pollingTests = []wireTest{
	{"a whole session by polling", func(p peer) {
		s := p.open()
		s.send("40")
		id := socketID(p.t, s.pollUntil("40{"))
		if id == s.sid || len(id) != 20 {
			p.t.Errorf("socket id %q, session %q", id, s.sid)
		}
		s.send(`42["echo","€",1]`, `420["echo-ack"]`)
		s.pollUntil("430[]")
		s.send(`42["echo","€"]`, `42["echo"]`, `4212["echo-ack",{"a":[]}]`)
		var got []string
		for len(got) < 3 {
			got = append(got, s.poll()...)
		}
		want := []string{`42["echo","€"]`, `42["echo"]`, `4312[{"a":[]}]`}
		if !slices.Equal(got, want) {
			p.t.Errorf("%q, want %q", got, want)
		}
	}},
	{"bytes by polling are base64", func(p peer) {
		s := p.open()
		s.join()
		s.send(`452-7["echo-ack",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]`, "bAQIDBA==", "b/+8=")
		var got []string
		for len(got) < 3 {
			got = append(got, s.poll()...)
		}
		want := []string{`462-7[{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]`, "b/+8=", "bAQIDBA=="}
		if !slices.Equal(got, want) {
			p.t.Errorf("%q, want %q", got, want)
		}
	}},
	{"responses of a POST", func(p peer) {
		s := p.open()
		r := s.post(s.path(), "40")
		if r.status != 200 || r.body != "ok" {
			p.t.Errorf("%d %q", r.status, r.body)
		}
		p.header(r, "Content-Type", "text/html")
		p.header(r, "Content-Length", "2")
	}},
	{"a second GET closes the session", func(p peer) {
		s := p.open()
		id := s.join()
		first := p.later(s.path())
		second := <-p.later(s.path())
		one := <-first
		if second.status == 200 { // they overtook each other
			one, second = second, one
		}
		if second.err != nil || second.status != 400 || second.body != "" {
			p.t.Errorf("one: %d %q %v", second.status, second.body, second.err)
		}
		if one.err != nil || one.status != 200 || one.body != "1" {
			p.t.Errorf("the other: %d %q %v", one.status, one.body, one.err)
		}
		s.gone()
		if got := p.reason(id); got != "transport error" {
			p.t.Errorf("reason %q", got)
		}
	}},
	{"a second POST closes the session", func(p peer) {
		s := p.open()
		id := s.join()
		slow := s.slowPost()
		var r reply
		eventually(p.t, "the second POST to meet the first", func() bool {
			r = s.post(s.path(), "3") // before the first is in, this is a pong
			return r.status != 200
		})
		if r.status != 400 {
			p.t.Errorf("second: %d %q", r.status, r.body)
		}
		s.gone()
		if got := p.reason(id); got != "transport error" {
			p.t.Errorf("reason %q", got)
		}
		slow.Close()
	}},
	{"a GET and a POST at once are fine", func(p peer) {
		s := p.open()
		s.join()
		poll := p.later(s.path())
		s.send(`421["echo-ack","both"]`)
		if r := <-poll; r.body != `431["both"]` {
			p.t.Errorf("%d %q %v", r.status, r.body, r.err)
		}
	}},
	{"a payload of binary content type", func(p peer) {
		s := p.open()
		id := s.join()
		r := s.post(s.path(), "40", "Content-Type", "application/octet-stream")
		if r.status != 400 {
			p.t.Errorf("%d %q", r.status, r.body)
		}
		s.gone()
		if got := p.reason(id); got != "transport error" {
			p.t.Errorf("reason %q", got)
		}
	}},
	{"a payload that is too large is refused, the session goes on", func(p peer) {
		s := p.open()
		s.join()
		r := p.do(p.t.Context(), http.MethodPost, s.path(), `42["echo","`+strings.Repeat("x", 1e6)+`"]`)
		if r.err != nil { // a server that does not read it all may hang up in mid-body
			p.t.Log(r.err)
		} else if r.status != 413 {
			p.t.Errorf("%d %q", r.status, r.body)
		}
		s.send(`421["echo-ack"]`)
		s.pollUntil("431[]")
	}},
	{"a chunked payload that is too large is refused", func(p peer) {
		s := p.open()
		s.join()
		status := s.chunked(3 << 20)
		if status != 413 {
			p.t.Errorf("status %d", status)
		}
		p.alive()
	}},
	{"payloads that are no packets close the session", func(p peer) {
		for _, body := range []string{"", "abc", "9", "\x1e", `42["echo"]` + "\x1e"} {
			s := p.open()
			id := s.join()
			r := s.post(s.path(), body)
			if r.status != 200 && r.status != 400 {
				p.t.Errorf("%q: %d %q", body, r.status, r.body)
			}
			s.gone()
			if got := p.reason(id); got != "parse error" {
				p.t.Errorf("%q: reason %q", body, got)
			}
		}
		p.alive()
	}},
	{"other methods", func(p peer) {
		s := p.open()
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch} {
			r := p.do(p.t.Context(), method, s.path(), "40")
			if r.err != nil || r.status < 400 {
				p.t.Errorf("%s: %d %v", method, r.status, r.err)
			}
		}
		p.alive()
	}},
	{"the client hangs up in mid-poll", func(p peer) {
		s := p.open()
		id := s.join()
		if err := s.half("GET", "\r\n").Close(); err != nil {
			p.t.Fatal(err)
		}
		if got := p.reason(id); got != "transport error" {
			p.t.Errorf("reason %q", got)
		}
		s.gone()
	}},
	{"the client hangs up in mid-post", func(p peer) {
		s := p.open()
		id := s.join()
		if err := s.slowPost().Close(); err != nil {
			p.t.Fatal(err)
		}
		if got := p.reason(id); got != "transport error" {
			p.t.Errorf("reason %q", got)
		}
		s.gone()
	}},
	{"the client closes the session", func(p peer) {
		s := p.open()
		id := s.join()
		poll := p.later(s.path())
		s.send("1")
		r := <-poll
		if late := r.status == 400 && r.body == unknownSession; late {
			p.t.Log("the poll came after the close")
		} else if r.err != nil || r.status != 200 || r.body != "6" && r.body != "1" {
			p.t.Errorf("parked GET: %d %q %v", r.status, r.body, r.err)
		}
		s.gone()
		if got := p.reason(id); got != "transport close" {
			p.t.Errorf("reason %q", got)
		}
	}},
	{"the server closes the session", func(p peer) {
		s := p.open()
		id := s.join()
		s.send(`42["disconnect-me",{"close":true}]`)
		var got []string
		for !slices.Contains(got, "1") {
			got = append(got, s.poll()...)
		}
		got = slices.DeleteFunc(got, func(s string) bool { return s == "6" })
		if !slices.Equal(got, []string{"41", "1"}) {
			p.t.Errorf("%q", got)
		}
		s.gone()
		if got := p.reason(id); got != "server namespace disconnect" {
			p.t.Errorf("reason %q", got)
		}
	}},
}

// slowPost starts a POST whose body does not end.
func (s session) slowPost() net.Conn {
	s.t.Helper()
	return s.half("POST", "Content-Type: text/plain\r\nContent-Length: 100\r\n\r\n42[")
}

// half writes a request, with the given rest of its header and start of its
// body, to a connection of its own, which holds all of it when half returns.
func (s session) half(method, rest string) net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() }) // mostly closed by then
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, s.path(), s.addr(), rest); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// chunked posts size bytes without saying how many; it returns the status, or
// 413 when the server hangs up, which refuses them as well.
func (s session) chunked(size int64) int {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), moment)
	defer cancel()
	body := io.LimitReader(endless{}, size)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+s.path(), body)
	if err != nil {
		s.t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(req)
	switch {
	case ctx.Err() != nil:
		s.t.Fatalf("no response: %v", err)
	case err != nil:
		return http.StatusRequestEntityTooLarge
	}
	defer res.Body.Close()
	return res.StatusCode
}

// endless reads as a text that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
