package hostile_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/test/hostile/peer"
)

// Clients that are there, and nothing else.
func TestSilentClients(t *testing.T) {
	s := start(t, socketeer.WithPingInterval(200*time.Millisecond), socketeer.WithPingTimeout(200*time.Millisecond),
		socketeer.WithConnectTimeout(300*time.Millisecond))
	s.attack("vanished without a word", func(t *testing.T) {
		for range 20 {
			s.joined(t, "") // stays open, and answers nothing any more
			s.joinedPolling(t)
		}
		for range 40 {
			s.endsAs(t, "ping timeout")
		}
		eventually(t, "vanished clients", func() bool { return s.Engine().Count() == 1 })
	})
	s.attack("never CONNECT", func(t *testing.T) {
		var conns []*peer.Conn
		for range 20 {
			conns = append(conns, s.open(t, ""))
		}
		for _, c := range conns {
			for answered := false; !answered; { // heartbeats
				first, payload, err := c.ReadFrame()
				switch {
				case err != nil:
					t.Fatal(err)
				case payload == "2":
					_ = c.Send(peer.Frame(peer.Fin|peer.Text, "3"))
				case first == peer.Fin|peer.Close:
					answered = true
				}
			}
			c.Close()
		}
	})
	s.attack("never say anything", func(t *testing.T) {
		for range 20 {
			peer.Dial(t, s.addr)
		}
		for range 5 {
			s.calm.echo(t)
		}
	})
	s.attack("never probe", func(t *testing.T) {
		for range 5 {
			p := s.joinedPolling(t)
			c := peer.Dial(t, s.addr)
			c.Upgrade(path + "websocket&sid=" + p.sid)
		}
		for range 5 {
			s.endsAs(t, "ping timeout")
		}
	})
}

// One that does not read is closed, and others do not wait for it.
func TestSlowConsumers(t *testing.T) {
	s := start(t, socketeer.WithSendBuffer(256<<10))
	text := strings.Repeat("x", 10_000)
	s.attack("does not read", func(t *testing.T) {
		slow, slowPoller, reader := s.joined(t, ""), s.joinedPolling(t), s.joined(t, "")
		const most = 20_000
		read := make(chan struct{}, most)
		go func() {
			defer close(read)
			for {
				_, payload, err := reader.ReadFrame()
				if err != nil || strings.HasPrefix(payload, `42["end"`) {
					return
				}
				if strings.HasPrefix(payload, `42["flood"`) {
					read <- struct{}{}
				}
			}
		}()
		got := 0
		// await returns when the reader has so many, or has come to its end.
		await := func(n int) {
			for got < n {
				select {
				case _, more := <-read:
					if !more {
						return
					}
					got++
				case <-time.After(peer.Patience):
					t.Fatal("the reader waits")
				}
			}
		}
		sent := 0
		for len(s.ended) < 2 && sent < most {
			if err := s.Emit("flood", text); err != nil {
				t.Fatal(err)
			}
			if sent++; sent%5 == 0 { // at a pace that those can follow who read
				s.calm.echo(t)
				await(sent)
			}
		}
		if err := s.Emit("end"); err != nil {
			t.Fatal(err)
		}
		if await(sent + 1); got != sent {
			t.Errorf("the reader got %d of %d", got, sent)
		}
		s.endsAs(t, "slow consumer")
		s.endsAs(t, "slow consumer")
		slow.End()
		slowPoller.closed()
		reader.Close()
		s.endsAs(t, "transport close")
	})
	if n := s.Engine().Stats().Closed["slow consumer"]; n != 2 {
		t.Errorf("%d counted", n)
	}
}

// A client that sends more than its handlers manage is not read meanwhile, in
// bytes as in number.
func TestFloodOfASlowHandler(t *testing.T) {
	s := start(t)
	release := make(chan struct{})
	var handled atomic.Int64
	s.On("slow", func(context.Context, *socketeer.Message) error {
		<-release
		handled.Add(1)
		return nil
	})
	s.attack("large events", func(t *testing.T) {
		c := s.joined(t, "")
		event := peer.Frame(peer.Fin|peer.Text, `42["slow","`+strings.Repeat("x", 500_000)+`"]`)
		const n = 100
		sent := make(chan error, 1)
		grown := peak(func() {
			go func() {
				var err error
				for i := 0; i < n && err == nil; i++ {
					err = c.Send(event)
				}
				sent <- err
			}()
			for range 100 {
				s.calm.echo(t)
			}
		})
		if len(sent) > 0 {
			t.Error("all of it was taken")
		}
		if grown > 24<<20 { // the kernel's buffers are not counted, the garbage is
			t.Errorf("%d bytes of memory", grown)
		}
		close(release)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		eventually(t, "handling", func() bool { return handled.Load() == n })
		c.Close()
		s.endsAs(t, "transport close")
	})
}

// Namespaces and rooms that clients make up.
func TestManyNamespaces(t *testing.T) {
	s := start(t)
	s.attack("unknown ones", func(t *testing.T) {
		c := s.open(t, "")
		refused := 0
		for i := range 3000 {
			c.Text(fmt.Sprintf("40/n%d,", i))
			if strings.HasPrefix(c.Message(), "44/n") {
				refused++
			}
		}
		if refused != 3000 {
			t.Errorf("%d refused", refused)
		}
	})
	s.attack("all at once", func(t *testing.T) {
		c := s.open(t, "")
		var b strings.Builder
		for i := range 50_000 {
			b.WriteString(peer.Frame(peer.Fin|peer.Text, fmt.Sprintf("40/n%d,", i)))
		}
		_ = c.Send(b.String())
		c.Close()
	})
}

// Requests for anything else are the HTTP server's.
func TestElsewhere(t *testing.T) {
	s := start(t)
	for _, uri := range []string{"/", "/socket.io", "/socket.ioX/", "/socket.io/../etc/passwd", "/socket.io/socket.io.js"} {
		s.attack(uri, func(t *testing.T) {
			c := peer.Dial(t, s.addr)
			_ = c.Send("GET " + uri + " HTTP/1.1\r\nHost: x\r\n\r\n")
			if r, body := c.Response(); r.StatusCode == http.StatusOK {
				t.Errorf("%d %q", r.StatusCode, body)
			}
		})
	}
}
