package engineio_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/test/hostile/peer"
)

// candidate opens a WebSocket for the session.
func (p *poller) candidate() *peer.Conn {
	p.server.t.Helper()
	return p.upgrade("&sid=" + p.sid)
}

func TestUpgrade(t *testing.T) {
	s := start(t, config{})
	p := s.poll()
	get := p.parked()
	c := p.candidate()
	c.Text("2probe")
	c.Expect("3probe")
	wait(t, get, "poll").is(t, 200, "6") // at once
	p.post("4by post").is(t, 200, "ok")
	p.send("queued")
	c.Text("5", "4by websocket")
	wait(t, p.upgraded, "upgrade")
	c.Expect("4queued")
	p.expect(t, "text by post", "text by websocket")
	if p.conn.Transport() != "websocket" {
		t.Errorf("on %s", p.conn.Transport())
	}
	mismatch := `{"code":3,"message":"Bad request"}`
	p.get().is(t, 400, mismatch)
	s.refusal(engineio.BadRequest, "TRANSPORT_MISMATCH")
	p.post("4x").is(t, 400, mismatch)
	s.refusal(engineio.BadRequest, "TRANSPORT_MISMATCH")
	if r, body := s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket&sid=" + p.sid); r.StatusCode != 400 || body != "Bad request" {
		t.Errorf("second upgrade: %d %q", r.StatusCode, body)
	}
	s.refusal(engineio.BadRequest, "ALREADY_UPGRADED")
	p.send("still")
	c.Expect("4still")
	c.Send(peer.Frame(peer.Fin|peer.Close, ""))
	if e := c.End(); e.Code != 1005 {
		t.Errorf("client saw %v", e)
	}
	p.endsAs(t, engineio.TransportClose)
}

// A poll that comes, or is still there, when the upgrade is complete is told.
func TestUpgradeEndsParkedPoll(t *testing.T) {
	s := start(t, config{})
	p := s.poll()
	c := p.candidate()
	c.Text("2probe")
	c.Expect("3probe")
	get := p.later("GET", "")
	eventually(t, "parked poll", p.conn.Parked)
	c.Text("5")
	if a := wait(t, get, "poll"); a.status != 200 || a.body != "1" && a.body != "6" {
		t.Errorf("got %d %q", a.status, a.body)
	}
	wait(t, p.upgraded, "upgrade")
}

// While an upgrade is under way, no poll waits for long.
func TestUpgradeNoops(t *testing.T) {
	s := start(t, config{})
	p := s.poll()
	c := p.candidate()
	c.Text("2probe")
	c.Expect("3probe")
	for range 2 {
		p.get().is(t, 200, "6")
	}
	c.Close()
	eventually(t, "end of the upgrade", func() bool { return !p.conn.Upgrading() })
	get := p.parked()
	p.send("x")
	wait(t, get, "poll").is(t, 200, "4x")
}

// Whatever a candidate does wrong, the session goes on by polling, and may try
// again.
func TestUpgradeViolations(t *testing.T) {
	s := start(t, config{})
	for name, misbehave := range map[string]func(c *peer.Conn){
		"message":               func(c *peer.Conn) { c.Text("4hi") },
		"message after a probe": func(c *peer.Conn) { c.Text("2probe"); c.Expect("3probe"); c.Text("4hi") },
		"upgrade without probe": func(c *peer.Conn) { c.Text("5") },
		"another probe":         func(c *peer.Conn) { c.Text("2nonsense") },
		"close":                 func(c *peer.Conn) { c.Text("1") },
		"binary":                func(c *peer.Conn) { c.Send(peer.Frame(peer.Fin|peer.Binary, "2probe")) },
		"WebSocket ping":        func(c *peer.Conn) { c.Send(peer.Frame(peer.Fin|peer.Ping, "")) },
		"garbage":               func(c *peer.Conn) { c.Send("\xff\xff\xff\xff") },
		"partial frame":         func(c *peer.Conn) { c.Send(peer.Frame(peer.Fin|peer.Text, "2probe")[:4]); c.Close() },
		"close frame":           func(c *peer.Conn) { c.Send(peer.Frame(peer.Fin|peer.Close, "")) },
		"hanging up":            func(c *peer.Conn) { c.Close() },
		"reset":                 func(c *peer.Conn) { c.Reset() },
		"oversized":             func(c *peer.Conn) { c.Send(peer.Header(peer.Fin|peer.Text, 1<<40)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := s.poll()
			c := p.candidate()
			misbehave(c)
			eventually(t, "end of the upgrade", func() bool { return !p.conn.Upgrading() })
			if name != "partial frame" && name != "hanging up" && name != "reset" {
				c.End()
			}
			get := p.parked()
			p.post("4hi").is(t, 200, "ok")
			p.expect(t, "text hi")
			p.send("hello")
			wait(t, get, "poll").is(t, 200, "4hello")
			c = p.candidate()
			c.Text("2probe")
			c.Expect("3probe")
			c.Text("5")
			wait(t, p.upgraded, "upgrade")
			if len(p.ended) > 0 {
				t.Errorf("session ended: %v", <-p.ended)
			}
		})
	}
}

func TestUpgradeTwiceAtOnce(t *testing.T) {
	s := start(t, config{})
	p := s.poll()
	c := p.candidate()
	if r, body := s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket&sid=" + p.sid); r.StatusCode != 400 || body != "Bad request" {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	s.refusal(engineio.BadRequest, "ALREADY_UPGRADED")
	c.Text("2probe")
	c.Expect("3probe")
	c.Text("5")
	wait(t, p.upgraded, "upgrade")
}

func TestUpgradeTimeout(t *testing.T) {
	s := start(t, config{Options: engineio.Options{UpgradeTimeout: 50 * time.Millisecond}})
	for _, probe := range []bool{false, true} {
		t.Run(fmt.Sprint("probe ", probe), func(t *testing.T) {
			p := s.poll()
			c := p.candidate()
			if probe {
				c.Text("2probe")
				c.Expect("3probe")
			}
			c.End()
			eventually(t, "end of the upgrade", func() bool { return !p.conn.Upgrading() })
			get := p.parked()
			p.send("x")
			wait(t, get, "poll").is(t, 200, "4x")
			// It may try again, and this time takes less.
			c = p.candidate()
			c.Text("2probe")
			c.Expect("3probe")
			c.Text("5")
			wait(t, p.upgraded, "upgrade")
			p.send("y")
			c.Expect("4y")
		})
	}
}

// The limit ends with the upgrade.
func TestUpgradeTimeoutIsOver(t *testing.T) {
	s := start(t, config{Options: engineio.Options{UpgradeTimeout: 20 * time.Millisecond, PingInterval: 30 * time.Millisecond}})
	p := s.poll()
	c := p.candidate()
	c.Text("2probe", "5")
	c.Expect("3probe")
	wait(t, p.upgraded, "upgrade")
	for range 3 { // three heartbeats
		if _, payload, err := c.ReadFrame(); err != nil || payload != "2" {
			t.Fatalf("%q, %v", payload, err)
		}
		c.Text("3")
	}
}

// A session that ends takes its candidate along.
func TestUpgradeOfEndingSession(t *testing.T) {
	s := start(t, config{})
	p := s.poll()
	c := p.candidate()
	c.Text("2probe")
	c.Expect("3probe")
	p.post("1").is(t, 200, "ok")
	c.End()
	p.endsAs(t, engineio.TransportClose)
}

// Messages keep their order across the upgrade, in both directions and while
// they never stop.
func TestUpgradeKeepsOrder(t *testing.T) {
	s := start(t, config{})
	for round := range 5 {
		p := s.poll()
		var stop atomic.Bool
		sent := make(chan int, 1)
		go func() { // down
			n := 0
			for ; !stop.Load(); n++ {
				for p.conn.Buffered() > 32<<10 && !stop.Load() {
					runtime.Gosched()
				}
				p.send(fmt.Sprint(n))
			}
			p.send("end")
			sent <- n
		}()
		var down []string
		poll := func() {
			for m := range strings.SplitSeq(p.get().body, "\x1e") {
				if m != "6" {
					down = append(down, m)
				}
			}
		}
		up := 0
		post := func() {
			var body []string
			for range 10 {
				body = append(body, fmt.Sprint("4", up))
				up++
			}
			p.post(strings.Join(body, "\x1e")).is(t, 200, "ok")
		}
		for range round + 1 {
			post()
			poll()
		}
		c := p.candidate()
		post()
		c.Text("2probe")
		poll()
		post()
		c.Expect("3probe")
		poll() // the last one: a client waits for its poll before it upgrades
		c.Text("5")
		for range 1000 {
			c.Text(fmt.Sprint("4", up))
			up++
			down = append(down, c.Message())
		}
		stop.Store(true)
		n := wait(t, sent, "sender")
		for down[len(down)-1] != "4end" {
			down = append(down, c.Message())
		}
		if len(down) != n+1 {
			t.Errorf("round %d: client got %d messages of %d", round, len(down), n+1)
		}
		for i, m := range down[:len(down)-1] {
			if m != fmt.Sprint("4", i) {
				t.Fatalf("round %d: client got %q as number %d", round, m, i)
			}
		}
		for i := range up {
			p.expect(t, fmt.Sprint("text ", i))
		}
		c.Close()
		p.endsAs(t, engineio.TransportClose)
	}
}

// A session that ends in the middle of an upgrade still sends what was queued,
// on the new transport.
func TestUpgradeOfClosingSession(t *testing.T) {
	s := start(t, config{})
	p := s.poll()
	c := p.candidate()
	c.Text("2probe")
	c.Expect("3probe")
	p.send("farewell")
	p.conn.Close()
	p.endsAs(t, engineio.ForcedClose)
	c.Text("5")
	c.Expect("4farewell", "1")
	if e := c.End(); e.Code != 1005 {
		t.Errorf("client saw %v", e)
	}
	eventually(t, "end of the session", func() bool { return s.Count() == 0 })
}
