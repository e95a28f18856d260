package hostile_test

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/test/hostile/peer"
)

// Ids of sessions and sockets cannot be guessed from others.
func TestPredictableIDs(t *testing.T) {
	s := start(t)
	seen := map[string]bool{}
	s.attack("many ids", func(t *testing.T) {
		var tag string
		var values [16]map[byte]bool
		for range 150 {
			c := peer.Dial(t, s.addr)
			c.Upgrade(path + "websocket")
			c.Text("40")
			open, connect := c.Message(), c.Message()
			for _, m := range []string{open, connect} {
				_, id, _ := strings.Cut(m, `"sid":"`)
				id, _, _ = strings.Cut(id, `"`)
				if len(id) != 20 || seen[id] {
					t.Fatalf("id %q in %q", id, m)
				}
				seen[id] = true
				if tag == "" {
					tag = id[:4]
				}
				if id[:4] != tag {
					t.Errorf("tags %q and %q", id[:4], tag)
				}
				for i := range values {
					if values[i] == nil {
						values[i] = map[byte]bool{}
					}
					values[i][id[4+i]] = true
				}
			}
			c.Close()
		}
		for i := range values {
			if len(values[i]) < 40 { // of 64, in 300 ids
				t.Errorf("character %d takes %d values", 4+i, len(values[i]))
			}
		}
	})
	drain(s.ended)
	s.attack("forged ids", func(t *testing.T) {
		for id := range seen { // of this node, but of no session any more, or of a socket
			for _, sid := range []string{id, id[:4] + strings.Repeat("A", 16), id[:19], id + "A"} {
				c := peer.Dial(t, s.addr)
				_ = c.Send("GET " + path + "polling&sid=" + sid + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				if r, body := c.Response(); r.StatusCode != 400 || body != `{"code":1,"message":"Session ID unknown"}` {
					t.Fatalf("%s: %d %q", sid, r.StatusCode, body)
				}
			}
			return
		}
	})
}

func TestForeignOrigins(t *testing.T) {
	s := start(t)
	for _, origin := range []string{"https://evil.test", "null", "http://" + s.addr + ".evil.test", "http://localhost@evil.test"} {
		s.attack(origin, func(t *testing.T) {
			c := peer.Dial(t, s.addr)
			if r, body := c.Upgrade(path+"websocket", "Origin: "+origin); r.StatusCode != 400 || body != "Forbidden" {
				t.Errorf("WebSocket: %d %q", r.StatusCode, body)
			}
			c = peer.Dial(t, s.addr)
			_ = c.Send("GET " + path + "polling HTTP/1.1\r\nHost: localhost\r\nOrigin: " + origin + "\r\n\r\n")
			r, body := c.Response()
			for name := range r.Header {
				if strings.HasPrefix(name, "Access-Control") {
					t.Errorf("%s: %s", name, r.Header.Get(name))
				}
			}
			_, sid, _ := strings.Cut(body, `"sid":"`)
			sid, _, _ = strings.Cut(sid, `"`)
			_ = c.Send("POST " + path + "polling&sid=" + sid + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1")
			c.Response()
		})
	}
}

func TestHugePost(t *testing.T) {
	s := start(t)
	s.attack("endless, in chunks", func(t *testing.T) {
		p := s.openPolling(t)
		grown := peak(func() {
			c := peer.Dial(t, s.addr)
			_ = c.Send("POST " + path + "polling&sid=" + p.sid + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n4x\r\n")
			chunk := fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat("x", 64<<10))
			var err error
			sent := 0
			for ; err == nil && sent < 256<<20; sent += len(chunk) {
				err = c.Send(chunk)
			}
			if err == nil {
				t.Errorf("took %d bytes", sent)
			}
		})
		if grown > 16<<20 {
			t.Errorf("%d bytes of memory", grown)
		}
		// The session is none the worse for it.
		if status, body := p.do("POST", "40"); status != 200 || body != "ok" {
			t.Errorf("then %d %q", status, body)
		}
		if _, body := p.do("GET", ""); !strings.HasPrefix(body, "40{") { // who goes before has not been connected
			t.Errorf("GET: %q", body)
		}
		p.do("POST", "1")
		s.endsAs(t, "transport close")
	})
	s.attack("announced", func(t *testing.T) {
		p := s.openPolling(t)
		c := peer.Dial(t, s.addr)
		_ = c.Send("POST " + path + "polling&sid=" + p.sid + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n")
		if r, body := c.Response(); r.StatusCode != 413 || body != "" {
			t.Errorf("%d %q", r.StatusCode, body)
		}
		p.do("POST", "1")
	})
	s.attack("without a session", func(t *testing.T) {
		c := peer.Dial(t, s.addr)
		_ = c.Send("POST " + path + "polling HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n")
		if r, body := c.Response(); r.StatusCode != 400 || body != `{"code":2,"message":"Bad handshake method"}` {
			t.Errorf("%d %q", r.StatusCode, body)
		}
	})
}

// What follows an upgrade request at once need not be frames.
func TestNonFrames(t *testing.T) {
	s := start(t)
	for _, withSID := range []bool{false, true} {
		for name, junk := range map[string]string{
			"reserved bits":           "\xf1\x80\x00\x00\x00\x00",
			"two bytes":               "\xf1\x80",
			"all ones":                strings.Repeat("\xff", 4096),
			"HTTP":                    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			"TLS":                     "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
			"zeros":                   strings.Repeat("\x00", 4096),
			"partial frame":           peer.Frame(peer.Fin|peer.Text, "40")[:3],
			"partial payload":         peer.Frame(peer.Fin|peer.Text, "40 with more")[:9],
			"partial length":          "\x81\xff\x00\x00",
			"a lot after a violation": "\xf1\x80" + strings.Repeat("x", 1<<20),
		} {
			for _, early := range []bool{true, false} {
				s.attack(fmt.Sprintf("%s, sid %v, early %v", name, withSID, early), func(t *testing.T) {
					query := ""
					var p *polls
					if withSID {
						p = s.openPolling(t)
						query = "&sid=" + p.sid
					}
					c := peer.Dial(t, s.addr)
					request := peer.Handshake(path+"websocket"+query) + "\r\n"
					if early {
						_ = c.Send(request + junk)
						c.Response()
					} else {
						_ = c.Send(request)
						c.Response()
						_ = c.Send(junk)
					}
					if !strings.HasPrefix(name, "partial") {
						c.End()
					}
					c.Close()
					if withSID { // which goes on by polling
						if status, body := p.do("POST", "40"); status != 200 || body != "ok" {
							t.Errorf("POST: %d %q", status, body)
						}
						if _, body := p.do("GET", ""); !strings.HasPrefix(body, "40{") {
							t.Errorf("GET: %q", body)
						}
						p.do("POST", "1")
					}
					drain(s.ended)
				})
			}
		}
	}
}

func TestInvalidUpgradeAndReset(t *testing.T) {
	s := start(t)
	for _, uri := range []string{
		"/elsewhere/", "/socket.io", "/socket.io/?EIO=4&transport=unknown", "/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=3&transport=websocket",
		path + "websocket&sid=unknown", path + "websocket",
	} {
		s.attack(uri, func(t *testing.T) {
			for i := range 20 {
				c := peer.Dial(t, s.addr)
				request := peer.Handshake(uri) + "\r\n"
				switch i % 4 {
				case 0:
					_ = c.Send(request)
				case 1:
					_ = c.Send(request)
					_, _ = c.Read(make([]byte, 1))
				case 2:
					_ = c.Send(request[:len(request)-2])
				case 3:
					_ = c.Send(request + "\xff\xff")
				}
				c.Reset()
			}
		})
	}
	s.attack("reset in the middle of an upgrade", func(t *testing.T) {
		for i := range 20 {
			p := s.openPolling(t)
			c := peer.Dial(t, s.addr)
			c.Upgrade(path + "websocket&sid=" + p.sid)
			if i%2 == 0 {
				c.Text("2probe")
			}
			if i%4 == 0 {
				c.Expect("3probe")
				c.Text("5")
			}
			c.Reset()
			p.do("POST", "1")
		}
	})
}

func TestBadQueries(t *testing.T) {
	s := start(t)
	for query, want := range map[string]string{
		"":                             `{"code":0,"message":"Transport unknown"}`,
		"EIO=4":                        `{"code":0,"message":"Transport unknown"}`,
		"EIO=4&transport=":             `{"code":0,"message":"Transport unknown"}`,
		"EIO=4&transport=__proto__":    `{"code":0,"message":"Transport unknown"}`,
		"EIO=4&transport=constructor":  `{"code":0,"message":"Transport unknown"}`,
		"EIO=4&transport=webtransport": `{"code":0,"message":"Transport unknown"}`,
		"EIO=4&transport=polling&transport=websocket":              `{"code":0,"message":"Transport unknown"}`,
		"EIO=4&transport=polling%00":                               `{"code":0,"message":"Transport unknown"}`,
		"EIO=4&transport=Polling":                                  `{"code":0,"message":"Transport unknown"}`,
		"transport=polling":                                        `{"code":5,"message":"Unsupported protocol version"}`,
		"EIO=abc&transport=polling":                                `{"code":5,"message":"Unsupported protocol version"}`,
		"EIO=&transport=polling":                                   `{"code":5,"message":"Unsupported protocol version"}`,
		"EIO=3&EIO=4&transport=polling":                            `{"code":5,"message":"Unsupported protocol version"}`,
		"EIO=4&transport=polling&sid=__proto__":                    `{"code":1,"message":"Session ID unknown"}`,
		"EIO=4&transport=polling&sid=" + strings.Repeat("x", 8000): `{"code":1,"message":"Session ID unknown"}`,
		"EIO=4&transport=websocket":                                `{"code":3,"message":"Bad request"}`,
		"%zz":                                                      `{"code":0,"message":"Transport unknown"}`,
		"EIO=4;transport=polling":                                  `{"code":0,"message":"Transport unknown"}`,
	} {
		s.attack(query[:min(len(query), 60)], func(t *testing.T) {
			c := peer.Dial(t, s.addr)
			_ = c.Send("GET /socket.io/?" + query + " HTTP/1.1\r\nHost: x\r\n\r\n")
			if r, body := c.Response(); r.StatusCode != 400 || body != want {
				t.Errorf("%d %q, want %q", r.StatusCode, body, want)
			}
			if strings.Contains(query, "transport=websocket") && !strings.Contains(query, "polling") {
				return // is fine with an upgrade
			}
			c = peer.Dial(t, s.addr)
			if r, _ := c.Upgrade("/socket.io/?" + query); r.StatusCode != 400 {
				t.Errorf("upgrade: %d", r.StatusCode)
			}
		})
	}
}

// A handler that panics costs its event.
func TestPanics(t *testing.T) {
	s := start(t)
	s.UseConnect(func(next socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(ctx context.Context, sock *socketeer.Socket) error {
			if strings.Contains(string(sock.Handshake().Auth), "panic") {
				panic("on purpose")
			}
			return next(ctx, sock)
		}
	})
	s.attack("in a handler", func(t *testing.T) {
		c := s.joined(t, "")
		c.Text(`421["panic"]`, `42["panic"]`, `422["echo","alive"]`)
		if m := c.Message(); !strings.HasPrefix(m, `431[{"error"`) || strings.Contains(m, "purpose") {
			t.Errorf("answered %q", m)
		}
		c.Expect(`432["alive"]`)
	})
	drain(s.ended)
	s.attack("in a connect middleware", func(t *testing.T) {
		c := s.open(t, "")
		c.Text(`40{"panic":true}`)
		if m := c.Message(); !strings.HasPrefix(m, `44{`) || strings.Contains(m, "purpose") {
			t.Errorf("answered %q", m)
		}
		c.Text(`40`)
		if m := c.Message(); !strings.HasPrefix(m, `40{`) {
			t.Errorf("then %q", m)
		}
	})
	drain(s.ended)
}

func TestHeaderFloods(t *testing.T) {
	s := start(t)
	flood := strings.Repeat("X-Flood: x\r\n", 3000)
	for name, header := range map[string]string{
		"3,000 lines":   flood,
		"one long line": "X-Long: " + strings.Repeat("x", 100_000) + "\r\n",
		"protocols":     "Sec-WebSocket-Protocol: " + strings.Repeat("p, ", 30_000) + "\r\n",
		"extensions":    "Sec-WebSocket-Extensions: " + strings.Repeat("permessage-deflate; x=y, ", 5_000) + "\r\n",
	} {
		s.attack(name, func(t *testing.T) {
			c := peer.Dial(t, s.addr)
			_ = c.Send(strings.Replace(peer.Handshake(path+"websocket"), "\r\n", "\r\n"+header, 1) + "\r\n")
			if r, _ := c.Response(); r.StatusCode != 431 {
				t.Errorf("status %d", r.StatusCode)
			}
		})
	}
	// Below the HTTP server's limit.
	for name, header := range map[string]string{
		"1,000 lines":   strings.Repeat("X-Flood: x\r\n", 1000),
		"protocols":     "Sec-WebSocket-Protocol: " + strings.Repeat("p,", 5_000) + "\r\n",
		"extensions":    "Sec-WebSocket-Extensions: " + strings.Repeat("x; y=\"z\", ", 1_000) + "\r\n",
		"extension fog": "Sec-WebSocket-Extensions: " + strings.Repeat("\"\\", 4_000) + "\r\n",
		"version":       "Sec-WebSocket-Version: " + strings.Repeat("1", 8_000) + "\r\n",
	} {
		s.attack("small "+name, func(t *testing.T) {
			c := peer.Dial(t, s.addr)
			_ = c.Send(strings.Replace(peer.Handshake(path+"websocket"), "\r\n", "\r\n"+header, 1) + "\r\n")
			if r, _ := c.Response(); r.StatusCode != 101 && r.StatusCode/100 != 4 {
				t.Errorf("status %d", r.StatusCode)
			}
		})
	}
}

func TestSlowHeaders(t *testing.T) {
	s := start(t)
	s.attack("slow header", func(t *testing.T) {
		var conns []*peer.Conn
		for range 20 {
			c := peer.Dial(t, s.addr)
			_ = c.Send("GET " + path + "polling HTTP/1.1\r\nHost: x\r\n")
			conns = append(conns, c)
		}
		began := time.Now()
		for _, c := range conns {
			_ = c.SetReadDeadline(time.Now().Add(peer.Patience))
			if _, err := io.Copy(io.Discard, c); err != nil && time.Since(began) >= peer.Patience {
				t.Error("still open")
			}
		}
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestSlowBodies(t *testing.T) {
	s := start(t, socketeer.WithPingInterval(300*time.Millisecond), socketeer.WithPingTimeout(300*time.Millisecond))
	s.attack("slow body", func(t *testing.T) {
		for _, sid := range []string{"", "&sid=unknown", "&sid=" + s.openPolling(t).sid} {
			c := peer.Dial(t, s.addr)
			_ = c.Send("POST " + path + "polling" + sid + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4")
			if r, _ := c.Response(); r.StatusCode/100 != 4 {
				t.Errorf("%s: status %d", sid, r.StatusCode)
			}
		}
	})
}

func TestFragments(t *testing.T) {
	s := start(t)
	s.attack("tiny fragments", func(t *testing.T) {
		c := s.joined(t, "")
		_ = c.Send(peer.Frame(peer.Text, "4") + strings.Repeat(peer.Frame(peer.Continuation, "2"), 100_000))
		if e := c.End(); e.Code != 1008 {
			t.Errorf("client saw %v", e)
		}
		s.endsAs(t, "transport error")
	})
	s.attack("empty fragments", func(t *testing.T) {
		c := s.joined(t, "")
		_ = c.Send(peer.Frame(peer.Text, "") + strings.Repeat(peer.Frame(peer.Continuation, ""), 100_000))
		if e := c.End(); e.Code != 1008 {
			t.Errorf("client saw %v", e)
		}
		s.endsAs(t, "transport error")
	})
	s.attack("tiny chunks", func(t *testing.T) {
		c := s.joined(t, "")
		for _, b := range []byte(peer.Frame(peer.Fin|peer.Text, `421["echo","`+strings.Repeat("x", 200)+`"]`)) {
			_ = c.Send(string([]byte{b}))
		}
		c.Expect(`431["` + strings.Repeat("x", 200) + `"]`)
		c.Close()
		s.endsAs(t, "transport close")
	})
	s.attack("announced, but not sent", func(t *testing.T) {
		var conns []*peer.Conn
		grown := peak(func() {
			for range 50 {
				c := s.joined(t, "")
				_ = c.Send(peer.Header(peer.Fin|peer.Binary, 1_000_000) + "x")
				c.Text() // nothing
				conns = append(conns, c)
			}
		})
		if grown > 8<<20 {
			t.Errorf("%d bytes of memory", grown)
		}
		for _, c := range conns {
			c.Close()
			s.endsAs(t, "transport close")
		}
	})
	s.attack("pings", func(t *testing.T) {
		c := s.joined(t, "")
		grown := peak(func() { _ = c.Send(strings.Repeat(peer.Frame(peer.Fin|peer.Ping, ""), 300_000)) })
		if grown > 32<<20 { // the pings are the test's
			t.Errorf("%d bytes of memory", grown)
		}
		c.Close()
		s.endsAs(t, "transport close")
	})
}

func TestDeflateBomb(t *testing.T) {
	s := start(t, socketeer.WithPerMessageDeflate(0))
	var buf bytes.Buffer
	w, err := flate.NewWriter(&buf, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 20 {
		_, _ = w.Write(zeros)
	}
	_ = w.Flush()
	frame := peer.Frame(peer.Fin|peer.RSV1|peer.Text, buf.String())
	if buf.Len() > 200_000 {
		t.Fatalf("the bomb has %d bytes", buf.Len())
	}
	s.attack("bomb", func(t *testing.T) {
		var code int
		grown := peak(func() {
			c := s.joined(t, "", "Sec-WebSocket-Extensions: permessage-deflate")
			_ = c.Send(frame)
			code = c.End().Code
		})
		if code != 1009 || grown > 16<<20 {
			t.Errorf("close code %d, %d bytes of memory", code, grown)
		}
		s.endsAs(t, "transport error")
	})
	s.attack("corrupt", func(t *testing.T) {
		c := s.joined(t, "", "Sec-WebSocket-Extensions: permessage-deflate")
		_ = c.Send(peer.Frame(peer.Fin|peer.RSV1|peer.Text, "\xff\xff\xff\xff"))
		if e := c.End(); e.Code != 1007 {
			t.Errorf("client saw %v", e)
		}
		s.endsAs(t, "transport error")
	})
}
