package engineio_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/test/hostile/peer"
)

// In these tests time is the bubble's: it passes when everybody waits.

const (
	interval = 25 * time.Second
	timeout  = 20 * time.Second
	slack    = time.Second // a heartbeat is coarse
)

// about checks how long ago since was.
func about(t *testing.T, since time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(since); d < want-slack || d > want+slack {
		t.Errorf("after %v, want %v", d, want)
	}
}

// patient reads the next frame however long it takes.
func patient(t *testing.T, c *socket) string {
	t.Helper()
	type frame struct {
		payload string
		err     error
	}
	ch := make(chan frame)
	go func() {
		for {
			_, payload, err := c.ReadFrame()
			if err != nil && strings.Contains(err.Error(), "timeout") {
				continue
			}
			ch <- frame{payload, err}
			return
		}
	}()
	f := <-ch
	if f.err != nil {
		t.Fatalf("closed: %v", f.err)
	}
	return f.payload
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, config{piped: true})
		c := s.connect()
		last := time.Now()
		for _, delay := range []time.Duration{0, time.Second, timeout - slack, 0} {
			if m := patient(t, c); m != "2" {
				t.Fatalf("got %q", m)
			}
			about(t, last, interval)
			pass(delay)
			c.Text("3")
			last = time.Now()
		}
		if m := patient(t, c); m != "2" {
			t.Fatalf("got %q", m)
		}
		pinged := time.Now()
		e := <-c.ended
		about(t, pinged, timeout)
		if e.reason != engineio.PingTimeout {
			t.Errorf("ended as %v", e)
		}
		if got := s.Stats().Closed[engineio.PingTimeout]; got != 1 {
			t.Errorf("%d counted", got)
		}
	})
}

// A client that sends something instead of the pong gets one more time.
func TestHeartbeatExtendedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, config{piped: true})
		c := s.connect()
		patient(t, c)
		pinged := time.Now()
		for range 50 { // a slow upload that never ends
			pass(time.Second)
			if len(c.ended) > 0 {
				break
			}
			c.Send(peer.Frame(peer.Fin|peer.Text, "4still uploading"))
		}
		e := <-c.ended
		if e.reason != engineio.PingTimeout {
			t.Errorf("ended as %v", e)
		}
		about(t, pinged, 2*timeout)
	})
}

// A message before the ping extends nothing.
func TestHeartbeatNotExtended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, config{piped: true})
		c := s.connect()
		c.Text("4before")
		c.expect(t, "text before")
		patient(t, c)
		pinged := time.Now()
		<-c.ended
		about(t, pinged, timeout)
	})
}

// While this side does not read, the client's silence is not its fault.
func TestHeartbeatWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, config{piped: true})
		c := s.connect()
		c.conn.Pause()
		c.conn.Pause()
		patient(t, c)
		_ = c.SetWriteDeadline(time.Time{})
		go c.Conn.Conn.Write([]byte(peer.Frame(peer.Fin|peer.Text, "4waits"))) // however long it takes
		pass(5 * time.Minute)
		if len(c.ended) > 0 {
			t.Fatalf("ended as %v", <-c.ended)
		}
		c.conn.Resume()
		c.conn.Resume()
		c.expect(t, "text waits")
		resumed := time.Now()
		if e := <-c.ended; e.reason != engineio.PingTimeout || time.Since(resumed) > 2*timeout+slack {
			t.Errorf("ended as %v after %v", e, time.Since(resumed))
		}
	})
}

func TestHeartbeatPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, config{piped: true})
		p := s.poll()
		last := time.Now()
		for range 3 {
			p.get().is(t, 200, "2")
			about(t, last, interval)
			p.post("3").is(t, 200, "ok")
			last = time.Now()
		}
		// It goes on polling, but does not answer.
		p.get().is(t, 200, "2")
		pinged := time.Now()
		p.get().is(t, 200, "1")
		about(t, pinged, timeout)
		if e := <-p.ended; e.reason != engineio.PingTimeout {
			t.Errorf("ended as %v", e)
		}
	})
}

// A client that vanishes between two polls.
func TestHeartbeatPollerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, config{piped: true})
		began := time.Now()
		p := s.poll()
		if e := <-p.ended; e.reason != engineio.PingTimeout {
			t.Errorf("ended as %v", e)
		}
		about(t, began, interval+timeout)
		if s.Count() != 0 {
			t.Error("still there")
		}
	})
}

// An upgrade does not forget that a pong is owed.
func TestHeartbeatAcrossUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, config{piped: true})
		p := s.poll()
		p.get().is(t, 200, "2")
		pinged := time.Now()
		c := p.candidate()
		c.Text("2probe")
		c.Expect("3probe")
		p.get().is(t, 200, "6")
		c.Text("5")
		<-p.upgraded
		if e := <-p.ended; e.reason != engineio.PingTimeout {
			t.Errorf("ended as %v", e)
		}
		// The upgrade itself counts as a sign of life on the way.
		if d := time.Since(pinged); d > 2*timeout+slack {
			t.Errorf("after %v", d)
		}
	})
}

func TestCloseAfter(t *testing.T) {
	for _, limit := range []time.Duration{time.Second, interval, 40 * time.Second} {
		t.Run(limit.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, config{piped: true, open: func(s *session) { s.conn.CloseAfter(limit) }})
				began := time.Now()
				c := s.connect()
				go answerPings(c)
				if e := <-c.ended; e.reason != engineio.ForcedClose {
					t.Errorf("ended as %v", e)
				}
				about(t, began, limit)

				kept := s.connect()
				go answerPings(kept)
				kept.conn.Keep()
				pass(10 * time.Minute)
				if len(kept.ended) > 0 {
					t.Fatalf("kept one ended as %v after %v", <-kept.ended, time.Since(began))
				}
				// Set later, it counts from then.
				began = time.Now()
				kept.conn.CloseAfter(limit)
				<-kept.ended
				about(t, began, limit)
			})
		})
	}
}

// answerPings is a client that does nothing else, until it is closed.
func answerPings(c *socket) {
	for {
		_, payload, err := c.ReadFrame()
		switch {
		case err != nil && strings.Contains(err.Error(), "timeout"):
		case err != nil:
			return
		case payload == "2":
			if c.Send(peer.Frame(peer.Fin|peer.Text, "3")) != nil {
				return
			}
		}
	}
}

// A closed session does not wait for its client for ever.
func TestCloseLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, config{piped: true})
		p := s.poll()
		p.conn.Close()
		pass(29 * time.Second)
		if s.Count() != 1 {
			t.Error("gone before the client could be told")
		}
		pass(2 * time.Second)
		if s.Count() != 0 {
			t.Error("polling session still there")
		}
		c := s.connect()
		c.conn.Close()
		_, _, _ = c.ReadFrame() // the close frame, which it does not answer
		pass(4 * time.Second)
		if s.Count() != 0 {
			t.Error("WebSocket session still there")
		}
	})
}
