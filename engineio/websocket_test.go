package engineio_test

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/test/hostile/peer"
)

func TestWebSocketMessages(t *testing.T) {
	s := start(t, config{})
	c := s.connect()
	c.Text("4hello", "bAQID", "4", "4€")
	c.Send(peer.Frame(peer.Fin|peer.Binary, "\x00\x01") + peer.Frame(peer.Text, "4frag") + peer.Frame(peer.Fin|peer.Continuation, "ment"))
	c.expect(t, "text hello", "binary \x01\x02\x03", "text ", "text €", "binary \x00\x01", "text fragment")
	c.conn.Send(message("a"), 0)
	c.conn.Send(message("b", "\x01", ""), 0)
	c.Expect("4a", "4b", "\x01", "")
	if c.conn.Transport() != "websocket" || c.conn.ID() != c.sid {
		t.Errorf("%s on %s", c.conn.ID(), c.conn.Transport())
	}
}

func TestWebSocketWithoutBinary(t *testing.T) {
	s := start(t, config{Options: engineio.Options{PerMessageDeflate: &engineio.PerMessageDeflate{Threshold: 1}}})
	c := s.connectWith("&b64=1")
	shared := message("b", "\x01", "")
	c.conn.Send(message("a"), 0)
	c.conn.Send(shared, 0)
	other := s.connect()
	other.conn.Send(shared, 0)
	c.Expect("4a", "4b", "bAQ==", "b")
	other.Expect("4b", "\x01", "")
}

func TestWebSocketHandshakePacket(t *testing.T) {
	s := start(t, config{open: func(s *session) { s.send("welcome") }})
	c := s.upgrade("")
	first := c.Message()
	h := s.parse(first)
	if want := fmt.Sprintf(`0{"sid":"%s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`, h.SID); first != want {
		t.Errorf("got %q", first)
	}
	c.Expect("4welcome")
}

func TestWebSocketEndings(t *testing.T) {
	refusal := errors.New("no")
	s := start(t, config{Options: engineio.Options{MaxPayload: 1000}, handle: func(s *session, data []byte, _ bool) error {
		if string(data) == "refuse" {
			return refusal
		}
		return nil
	}})
	for _, tc := range []struct {
		name   string
		send   string
		reason engineio.Reason
		code   int
	}{
		{"unknown type", peer.Frame(peer.Fin|peer.Text, "9"), engineio.ParseError, 1005},
		{"empty packet", peer.Frame(peer.Fin|peer.Text, ""), engineio.ParseError, 1005},
		{"bad base64", peer.Frame(peer.Fin|peer.Text, "b?"), engineio.ParseError, 1005},
		{"close packet", peer.Frame(peer.Fin|peer.Text, "1"), engineio.TransportClose, 0},
		{"ping packet", peer.Frame(peer.Fin|peer.Text, "2"), engineio.TransportError, 1005},
		{"probe", peer.Frame(peer.Fin|peer.Text, "2probe"), engineio.TransportError, 1005},
		{"session's error", peer.Frame(peer.Fin|peer.Text, "4refuse"), engineio.ForcedClose, 1005},
		{"too big", peer.Header(peer.Fin|peer.Text, 1001), engineio.TransportError, 1009},
		{"not UTF-8", peer.Frame(peer.Fin|peer.Text, "4\xff"), engineio.TransportError, 1007},
		{"not masked", "\x81\x014", engineio.TransportError, 1002},
		{"reserved bits", "\xff\xff", engineio.TransportError, 1002},
		{"close frame", peer.Frame(peer.Fin|peer.Close, ""), engineio.TransportClose, 1005},
		{"close frame with a code", peer.Frame(peer.Fin|peer.Close, "\x03\xe9away"), engineio.TransportClose, 1001},
		{"close frame with a bad code", peer.Frame(peer.Fin|peer.Close, "\x03\xee"), engineio.TransportError, 1002},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.connect()
			c.Send(tc.send + peer.Frame(peer.Fin|peer.Text, "4afterwards")) // which nobody wants
			if e := c.End(); e.Code != tc.code || len(e.Last) > 0 {
				t.Errorf("client saw %v, want %d", e, tc.code)
			}
			c.endsAs(t, tc.reason)
			c.Close()
			eventually(t, "end", func() bool { return s.Count() == 0 })
		})
	}
	t.Run("harmless types", func(t *testing.T) {
		c := s.connect()
		c.Text("0", "3", "5", "6")
		c.Send(peer.Frame(peer.Fin|peer.Ping, "are you there"))
		if first, payload, err := c.ReadFrame(); first != peer.Fin|peer.Pong || payload != "are you there" || err != nil {
			t.Errorf("got %#x %q, %v", first, payload, err)
		}
	})
	t.Run("hanging up", func(t *testing.T) {
		c := s.connect()
		c.Close()
		c.endsAs(t, engineio.TransportClose)
	})
	t.Run("reset", func(t *testing.T) {
		c := s.connect()
		c.Reset()
		c.endsAs(t, engineio.TransportClose)
	})
	t.Run("by the server, with last words", func(t *testing.T) {
		c := s.connect()
		c.send("bye")
		c.conn.Close()
		if err := c.send("more"); !errors.Is(err, engineio.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("send: %v", err)
		}
		c.endsAs(t, engineio.ForcedClose)
		if e := c.End(); e.Code != 1005 || len(e.Last) != 1 || e.Last[0] != "4bye" {
			t.Errorf("client saw %v", e)
		}
	})
}

// Clients that go away in the middle of the handshake harm nobody.
func TestWebSocketResetAtOnce(t *testing.T) {
	s := start(t, config{handle: func(s *session, data []byte, _ bool) error { return s.send(string(data)) }})
	steady := s.connect()
	for i := range 100 {
		c := s.raw()
		c.Send(peer.Handshake("/engine.io/?EIO=4&transport=websocket") + "\r\n")
		c.Reset()
		if i%10 == 0 {
			other := s.connectAmong()
			other.Text("4hi")
			other.Expect("4hi")
			other.Close()
		}
	}
	steady.Text("4still here")
	steady.Expect("4still here")
	eventually(t, "end of all others", func() bool { return s.Count() == 1 })
}

// connectAmong is connect without its session, which others may have taken.
func (s *server) connectAmong() *peer.Conn {
	s.t.Helper()
	c := s.upgrade("")
	s.parse(c.Message())
	return c
}

func TestSlowConsumer(t *testing.T) {
	s := start(t, config{Options: engineio.Options{SendBuffer: 256 << 10}})
	slow, quick := s.connect(), s.connect()
	m := message(sized(50_000, "x"))
	var err error
	n := 0
	for ; err == nil && n < 10_000; n++ {
		err = slow.conn.Send(m, 0)
		if b := slow.conn.Buffered(); b > 256<<10+m.Len() {
			t.Fatalf("%d bytes buffered", b)
		}
	}
	if !errors.Is(err, engineio.ErrSlowConsumer) {
		t.Fatalf("%v after %d", err, n)
	}
	if e := slow.endsAs(t, engineio.SlowConsumer); !errors.Is(e.err, engineio.ErrSlowConsumer) {
		t.Errorf("because of %v", e.err)
	}
	if err := slow.send("x"); !errors.Is(err, engineio.ErrClosed) {
		t.Errorf("send: %v", err)
	}
	if got := s.Stats().Closed[engineio.SlowConsumer]; got != 1 {
		t.Errorf("%d counted", got)
	}
	quick.send("unaffected")
	quick.Expect("4unaffected")

	// A poller that does not poll.
	p := s.poll()
	for err = nil; err == nil; {
		err = p.conn.Send(m, 0)
	}
	p.endsAs(t, engineio.SlowConsumer)
	p.get().is(t, 400, `{"code":1,"message":"Session ID unknown"}`)
}

// A single message may be larger than the buffer.
func TestSendBufferAndOneLargeMessage(t *testing.T) {
	s := start(t, config{Options: engineio.Options{SendBuffer: 1000}})
	c := s.connect()
	big := sized(5_000_000, "big")
	if err := c.send(big); err != nil {
		t.Fatal(err)
	}
	c.Expect("4" + big)
}

func TestVolatile(t *testing.T) {
	s := start(t, config{Options: engineio.Options{SendBuffer: 64 << 20}})
	c := s.connect()
	c.conn.Send(message("kept"), engineio.Volatile)
	c.Expect("4kept")
	c.conn.Send(message(sized(32<<20, "x")), 0)
	eventually(t, "full kernel", c.conn.Blocked)
	for range 3 {
		if err := c.conn.Send(message("dropped"), engineio.Volatile); err != nil {
			t.Error(err)
		}
	}
	c.send("after")
	if m := c.Message(); len(m) != 32<<20+1 {
		t.Errorf("%d bytes", len(m))
	}
	c.Expect("4after")
	if got := s.Stats().VolatileDropped; got != 3 {
		t.Errorf("%d dropped", got)
	}
	eventually(t, "writable again", func() bool { return !c.conn.Blocked() })
	c.conn.Send(message("kept again"), engineio.Volatile)
	c.Expect("4kept again")

	p := s.poll()
	p.conn.Send(message("dropped"), engineio.Volatile)
	get := p.parked()
	p.conn.Send(message("kept"), engineio.Volatile)
	wait(t, get, "poll").is(t, 200, "4kept")
}

// Pongs to a client that does not read do not pile up.
func TestPingFlood(t *testing.T) {
	s := start(t, config{Options: engineio.Options{SendBuffer: 64 << 20}})
	c := s.connect()
	c.conn.Send(message(sized(32<<20, "x")), 0)
	eventually(t, "full kernel", c.conn.Blocked)
	before := c.conn.Buffered()
	c.Send(strings.Repeat(peer.Frame(peer.Fin|peer.Ping, "ping"), 10_000))
	c.Text("4read")
	c.expect(t, "text read")
	if after := c.conn.Buffered(); after > before+100 {
		t.Errorf("%d bytes of pongs wait", after-before)
	}
}

// Many senders and a reader that takes its time: everything arrives, in each
// sender's order.
func TestConcurrentSenders(t *testing.T) {
	const senders, each = 4, 3000
	s := start(t, config{Options: engineio.Options{SendBuffer: 64 << 20}})
	c := s.connect()
	var wg sync.WaitGroup
	for k := range senders {
		wg.Go(func() {
			for i := range each {
				if i%100 == 0 {
					c.conn.Cork()
				}
				if err := c.send(fmt.Sprintf("%d %d %s", k, i, sized(i%500, "padding "))); err != nil {
					t.Error(err)
				}
				if i%100 == 99 {
					c.conn.Uncork()
				}
			}
		})
	}
	var next [senders]int
	for range senders * each {
		var k, i int
		if m := c.Message(); len(m) > 0 {
			fmt.Sscanf(m[1:], "%d %d", &k, &i)
		}
		if next[k] != i {
			t.Fatalf("sender %d: got %d, want %d", k, i, next[k])
		}
		next[k]++
	}
	wg.Wait()
}

// What is sent while corked leaves together, or when it is flushed.
func TestCork(t *testing.T) {
	s := start(t, config{})
	c := s.connect()
	c.conn.Cork()
	c.conn.Cork()
	c.send("a")
	c.conn.Uncork()
	if c.conn.Buffered() == 0 {
		t.Error("left although corked")
	}
	c.conn.Flush()
	c.Expect("4a")
	c.send("b")
	c.conn.Uncork()
	c.Expect("4b")
	c.send("c")
	c.Expect("4c")
}

func TestPauseStopsReading(t *testing.T) {
	s := start(t, config{})
	c := s.connect()
	c.conn.Pause()
	c.Text("4first")
	other := s.connect()
	for range 10 { // by which time it would have been read
		other.Text("4x")
		other.expect(t, "text x")
	}
	if len(c.messages) > 0 {
		t.Errorf("read %q", <-c.messages)
	}
	c.conn.Resume()
	c.expect(t, "text first")
	c.Text("4second")
	c.expect(t, "text second")

	p := s.poll()
	p.conn.Pause()
	post := p.later("POST", "4by post")
	eventually(t, "post", p.conn.Posting)
	if len(p.messages) > 0 {
		t.Errorf("read %q", <-p.messages)
	}
	p.conn.Resume()
	wait(t, post, "post").is(t, 200, "ok")
	p.expect(t, "text by post")
	// One that ends while it is paused does not keep its goroutine.
	p.conn.Pause()
	post = p.later("POST", "4never")
	eventually(t, "post", p.conn.Posting)
	s.Server.Close(t.Context())
	wait(t, post, "post")
}

func TestPerMessageDeflate(t *testing.T) {
	s := start(t, config{Options: engineio.Options{PerMessageDeflate: &engineio.PerMessageDeflate{}, MaxPayload: 100_000}})
	offer := "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
	c := s.raw()
	r, _ := c.Upgrade("/engine.io/?EIO=4&transport=websocket", offer)
	if got := r.Header.Get("Sec-WebSocket-Extensions"); !strings.HasPrefix(got, "permessage-deflate") {
		t.Fatalf("negotiated %q", got)
	}
	c.Message()
	sess := <-s.sessions
	big := sized(20_000, "compress me ")
	sess.send(big)
	first, payload, err := c.ReadFrame()
	if err != nil || first != peer.Fin|peer.RSV1|peer.Text || len(payload) > 1000 {
		t.Fatalf("first byte %#x, %d bytes, %v", first, len(payload), err)
	}
	if got := inflate(t, payload); got != "4"+big {
		t.Errorf("got %.100q", got)
	}
	sess.send("small")
	c.Expect("4small")
	sess.conn.Send(message(big).Uncompressed(), 0)
	c.Expect("4" + big)

	c.Send(peer.Frame(peer.Fin|peer.RSV1|peer.Text, deflate(t, "4"+big)))
	sess.expect(t, "text "+big)
	c.Send(peer.Frame(peer.Fin|peer.RSV1|peer.Binary, deflate(t, sized(5_000_000, "\x00"))))
	if e := c.End(); e.Code != 1009 {
		t.Errorf("bomb: %v", e)
	}
	sess.endsAs(t, engineio.TransportError)

	// One broadcast serves those who want it compressed, and those who do not.
	plain := s.connect()
	m := message(big)
	packed := s.upgrade("", offer)
	packed.Message()
	packedSession := <-s.sessions
	plain.conn.Send(m, 0)
	packedSession.conn.Send(m, 0)
	plain.Expect("4" + big)
	if first, payload, _ := packed.ReadFrame(); first&peer.RSV1 == 0 || inflate(t, payload) != "4"+big {
		t.Error("not compressed")
	}
}

func deflate(t *testing.T, s string) string {
	t.Helper()
	var buf bytes.Buffer
	w, err := flate.NewWriter(&buf, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, s)
	w.Flush()
	return strings.TrimSuffix(buf.String(), "\x00\x00\xff\xff")
}

func inflate(t *testing.T, s string) string {
	t.Helper()
	b, err := io.ReadAll(flate.NewReader(strings.NewReader(s + "\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCloseEndsEverything(t *testing.T) {
	s := start(t, config{})
	var sockets []*socket
	for range 20 {
		c := s.connect()
		c.send("last words")
		sockets = append(sockets, c)
	}
	slow := s.connect()
	slow.conn.Send(message(sized(64<<20, "x")), 0)
	p := s.poll()
	get := p.parked()
	idle, upgrading := s.poll(), s.poll()
	candidate := upgrading.candidate()
	candidate.Text("2probe")
	candidate.Expect("3probe")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closed with %v, although one does not read", err)
	}
	for _, c := range sockets {
		if e := c.End(); e.Code != 1005 || len(e.Last) != 1 {
			t.Errorf("client saw %v", e)
		}
		c.endsAs(t, engineio.ServerShutdown)
	}
	wait(t, get, "poll").is(t, 200, "1")
	p.endsAs(t, engineio.ServerShutdown)
	idle.endsAs(t, engineio.ServerShutdown)
	slow.endsAs(t, engineio.ServerShutdown)
	candidate.End()
	if s.Count() != 0 {
		t.Errorf("%d sessions left", s.Count())
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("closed again with %v", err)
	}
	// Nobody gets in any more.
	if a := s.must("GET", "transport=polling", ""); a.status == 200 {
		t.Error("a session after the end")
	}
	if r, _ := s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket"); r.StatusCode == 101 {
		t.Error("a WebSocket after the end")
	}
}

func TestStatsAndConns(t *testing.T) {
	s := start(t, config{})
	a, b, p := s.connect(), s.connect(), s.poll()
	if s.Count() != 3 {
		t.Errorf("%d sessions", s.Count())
	}
	seen := map[string]bool{}
	for c := range s.Conns() {
		seen[c.ID()] = true
	}
	if len(seen) != 3 || !seen[a.sid] || !seen[b.sid] || !seen[p.sid] {
		t.Errorf("sessions %v", seen)
	}
	for range s.Conns() {
		break
	}
	a.Close()
	a.endsAs(t, engineio.TransportClose)
	b.conn.Close()
	p.post("9")
	p.endsAs(t, engineio.ParseError)
	s.must("GET", "transport=none", "")
	got := s.Stats()
	if got.Opened != 3 || got.Refused != 1 || got.Closed[engineio.TransportClose] != 1 || got.Closed[engineio.ForcedClose] != 1 || got.Closed[engineio.ParseError] != 1 {
		t.Errorf("stats %+v", got)
	}
}

// A server that was never used can be closed, too.
func TestCloseUnused(t *testing.T) {
	s, err := engineio.NewServer(engineio.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A session may close itself before it has begun.
func TestCloseInOpen(t *testing.T) {
	s := start(t, config{open: func(s *session) { s.send("no"); s.conn.Close() }})
	c := s.upgrade("")
	if e := c.End(); e.Code != 1005 || len(e.Last) != 2 || e.Last[1] != "4no" {
		t.Errorf("client saw %v", e)
	}
	a := s.must("GET", "transport=polling", "")
	h := s.parse(a.body)
	(<-s.sessions).endsAs(t, engineio.ForcedClose)
	told := a.body
	for !strings.HasSuffix(told, "\x1e1") && a.status == http.StatusOK {
		a = s.must("GET", "transport=polling&sid="+h.SID, "")
		told += "\x1e" + a.body
	}
	if !strings.HasSuffix(told, "\x1e4no\x1e1") {
		t.Errorf("told %q", told)
	}
}
