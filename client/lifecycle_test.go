package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/client"
	"github.com/socketeer-io/socketeer/internal/process"
)

func TestDisconnectReasons(t *testing.T) {
	eachTransport(t, func(t *testing.T, p peer, opts []client.Option) {
		witness := connected(t, p.URL())
		left := make(chan [2]string, 16)
		witness.On("left", func(_ context.Context, m *client.Message) error {
			var v [2]string
			err := m.Decode(&v[0], &v[1])
			left <- v
			return err
		})
		c := newClient(t, p.URL(), opts...)
		up, down := onConnect(c.Socket), onDisconnect(c.Socket)
		upgraded := onUpgrade(c)

		for _, tc := range []struct {
			name   string
			leave  func()
			reason string // the client's
			theirs string // the server's
			back   bool   // by itself
		}{
			{"server, namespace", func() { c.Emit("leave", false) }, client.ReasonServerDisconnect, "server namespace disconnect", false},
			{"server, connection", func() { c.Emit("leave", true) }, client.ReasonServerDisconnect, "server namespace disconnect", false},
			{"client", c.Disconnect, client.ReasonClientDisconnect, "client namespace disconnect", false},
			{"transport", func() { c.Emit("hang up") }, client.ReasonTransportClose, "forced close", true},
			{"close", func() { c.Close() }, client.ReasonClientDisconnect, "client namespace disconnect", false},
		} {
			connect(t, c)
			id := receive(t, up, "connect")
			if len(opts) == 0 {
				receive(t, upgraded, "upgrade")
			}
			tc.leave()
			if got := receive(t, down, "disconnect"); got != tc.reason {
				t.Errorf("%s: client's reason %q, want %q", tc.name, got, tc.reason)
			}
			got := receive(t, left, "left")
			for got[0] != id { // a client of the test before
				got = receive(t, left, "left")
			}
			if got[1] != tc.theirs {
				t.Errorf("%s: server's reason %q, want %q", tc.name, got[1], tc.theirs)
			}
			if got := c.Active(); got != tc.back {
				t.Errorf("%s: active %v", tc.name, got)
			}
		}
	})
}

// TestReconnect kills the server and starts it again.
func TestReconnect(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
				testReconnect(t, p, tr.opts, tr.name == "upgrade")
			})
		})
	}
}

func testReconnect(t *testing.T, p peer, opts []client.Option, upgrades bool) {
	var auths atomic.Int64
	c := newClient(t, p.URL(), append(opts, client.WithAuthFunc(func(context.Context) (any, error) {
		n := auths.Add(1)
		if n == 2 { // the first reconnect
			return nil, errors.New("try again")
		}
		return map[string]int64{"n": n}, nil
	}))...)
	up, down := onConnect(c.Socket), onDisconnect(c.Socket)
	welcome, heard := on[map[string]int](c.Socket, "welcome"), on[int](c.Socket, "heard")
	failures := make(chan error, 1024)
	c.OnConnectError(func(_ context.Context, err error) { failures <- err })
	attempts := make(chan int, 1024)
	c.OnReconnectAttempt(func(_ context.Context, n int) { attempts <- n })
	again := make(chan int, 16)
	c.OnReconnect(func(_ context.Context, n int) { again <- n })
	if upgrades {
		upgraded := onUpgrade(c)
		connect(t, c)
		receive(t, upgraded, "upgrade")
	} else {
		connect(t, c)
	}
	id := receive(t, up, "connect")
	receive(t, welcome, "welcome")

	lost := make(chan error, 1)
	go func() {
		_, err := c.EmitWithAck(t.Context(), "hear")
		lost <- err
	}()
	receive(t, heard, "answer without an acknowledgement")
	p.Kill()
	if got := receive(t, down, "disconnect"); got != client.ReasonTransportClose && got != client.ReasonTransportError {
		t.Errorf("reason %q", got)
	}
	if err := receive(t, lost, "end of the wait"); !errors.Is(err, client.ErrDisconnected) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("acknowledgement lost: %v", err)
	}
	const n = 20
	for i := range n {
		if err := c.Emit("count", i); err != nil {
			t.Fatal(err)
		}
	}
	for want := 1; want <= 3; want++ {
		if got := receive(t, attempts, "attempt"); got != want {
			t.Errorf("attempt %d, want %d", got, want)
		}
	}
	receive(t, failures, "connect error")
	answer := make(chan error, 1)
	go func() {
		_, err := c.EmitWithAck(t.Context(), "echo", 2)
		answer <- err
	}()
	p.Restart()
	if got := receive(t, up, "reconnect"); got == id || c.Recovered() {
		t.Errorf("same id %v, recovered %v", got == id, c.Recovered())
	}
	if got := receive(t, again, "reconnect"); got < 3 {
		t.Errorf("reconnected after %d attempts", got)
	}
	if got := receive(t, welcome, "welcome"); got["n"] != 3 {
		t.Errorf("auth %v, want that of the third call", got)
	}
	if err := receive(t, answer, "answer"); err != nil {
		t.Errorf("emitted while disconnected: %v", err)
	}
	if got := call[counted](t, c.Socket, "counted"); got != (counted{n, true}) {
		t.Errorf("server counted %+v, want %d", got, n)
	}
	if got := c.Stats().Reconnects; got != 1 {
		t.Errorf("%d reconnects", got)
	}
}

func TestReconnectGivesUp(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		c := newClient(t, p.URL(), client.WithReconnectAttempts(2))
		gaveUp := make(chan struct{}, 1)
		c.OnReconnectFailed(func(context.Context) { gaveUp <- struct{}{} })
		attempts := make(chan int, 16)
		c.OnReconnectAttempt(func(_ context.Context, n int) { attempts <- n })
		connect(t, c)
		p.Kill()
		receive(t, gaveUp, "end of the attempts")
		if len(attempts) != 2 || c.Active() {
			t.Errorf("%d attempts, active %v", len(attempts), c.Active())
		}
		p.Restart()
		connect(t, c)
	})
}

func TestNoReconnect(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		c := newClient(t, p.URL(), client.WithReconnect(false))
		down := onDisconnect(c.Socket)
		connect(t, c)
		if err := c.Emit("hang up"); err != nil {
			t.Fatal(err)
		}
		receive(t, down, "disconnect")
		if c.Active() {
			t.Error("active")
		}
		connect(t, c)
	})
}

func TestConnectFails(t *testing.T) {
	url := closedPort(t)
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			c := newClient(t, url, tr.opts...)
			errs := make(chan error, 16)
			c.OnConnectError(func(_ context.Context, err error) { errs <- err })
			err := c.Connect(t.Context())
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("got %v", err)
			}
			if got := receive(t, errs, "connect error"); !errors.Is(got, syscall.ECONNREFUSED) || c.Active() {
				t.Errorf("told %v, active %v", got, c.Active())
			}
		})
	}
	if _, err := client.Dial(t.Context(), url); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial: %v", err)
	}
}

func TestConnectHonoursContext(t *testing.T) {
	// A server that accepts and says nothing.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			c := newClient(t, "http://"+l.Addr().String(), tr.opts...)
			if err := c.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) || c.Active() {
				t.Errorf("got %v, active %v", err, c.Active())
			}
			c = newClient(t, "http://"+l.Addr().String(), append(tr.opts, client.WithConnectTimeout(20*time.Millisecond))...)
			if err := c.Connect(t.Context()); !errors.Is(err, context.DeadlineExceeded) || c.Active() {
				t.Errorf("got %v, active %v", err, c.Active())
			}
		})
	}
}

func TestRetry(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		p.Kill()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		c := newClient(t, p.URL(), client.WithRetry())
		if err := c.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v", err)
		}
		attempts := make(chan int, 1024)
		c.OnReconnectAttempt(func(_ context.Context, n int) { attempts <- n })
		done := make(chan error, 1)
		go func() { done <- c.Connect(t.Context()) }()
		receive(t, attempts, "attempt")
		p.Restart()
		if err := receive(t, done, "connection"); err != nil {
			t.Error(err)
		}
	})
}

// TestOrderAcrossUpgrade sends in both directions while the transport changes.
func TestOrderAcrossUpgrade(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		for round := range 5 {
			t.Run(fmt.Sprint(round), func(t *testing.T) {
				c := newClient(t, p.URL())
				const n = 5000
				numbers := make(chan error, 1)
				next := 0
				client.Handle(c.Socket, "number", func(_ context.Context, i int) error {
					if i != next {
						numbers <- fmt.Errorf("number %d, want %d", i, next)
					}
					if next++; next == n {
						numbers <- nil
					}
					return nil
				})
				upgraded := onUpgrade(c)
				connect(t, c)
				before := c.Transport()
				if err := c.Emit("stream", n); err != nil {
					t.Fatal(err)
				}
				sent := 0
				count := func() {
					if err := c.Emit("count", sent); err != nil {
						t.Fatal(err)
					}
					sent++
				}
				for on := true; on && sent < 1_000_000; {
					count()
					select {
					case <-upgraded:
						on = false
					default:
					}
				}
				for range 500 {
					count()
				}
				if got := call[counted](t, c.Socket, "counted"); got != (counted{sent, true}) {
					t.Errorf("server counted %+v, want %d", got, sent)
				}
				if err := receive(t, numbers, "all numbers"); err != nil {
					t.Error(err)
				}
				if c.Transport() != client.WebSocket {
					t.Errorf("transport %q", c.Transport())
				}
				t.Logf("%d sent, at first by %s", sent, before)
			})
		}
	})
}

// TestBatching has more to send by polling than one request may hold.
func TestBatching(t *testing.T) {
	eachPeer(t, peerOptions{MaxPayload: 1000, Transports: []string{client.Polling}}, func(t *testing.T, p peer) {
		c := connected(t, p.URL())
		const n = 500
		for i := range n {
			if err := c.Emit("count", i, []byte("0123456789012345678901234567890123456789"), "0123456789"); err != nil {
				t.Fatal(err)
			}
		}
		if got := call[counted](t, c.Socket, "counted"); got != (counted{n, true}) {
			t.Errorf("server counted %+v, want %d", got, n)
		}
	})
}

func TestRecovery(t *testing.T) {
	eachPeer(t, peerOptions{Recovery: true}, func(t *testing.T, p peer) {
		for _, tr := range transports {
			t.Run(tr.name, func(t *testing.T) {
				c := newClient(t, p.URL(), append(tr.opts, client.WithReconnectDelay(300*time.Millisecond, 300*time.Millisecond, 0))...)
				up, down := onConnect(c.Socket), onDisconnect(c.Socket)
				var order []string
				events := make(chan string, 16)
				c.OnConnect(func(context.Context) { order = append(order, "connect") })
				c.On("missed", func(_ context.Context, m *client.Message) error {
					var s string
					err := m.Decode(&s)
					order = append(order, s)
					events <- s
					return err
				})
				connect(t, c)
				id := receive(t, up, "connect")
				join(t, c.Socket, "later")
				// Something with an offset, where recovery can go on from.
				if err := c.Emit("say back", "x"); err != nil {
					t.Fatal(err)
				}
				call[int](t, c.Socket, "echo", 1)

				for _, s := range []string{"one", "two"} {
					if err := c.Emit("tell later", 50, "missed", s); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.Emit("hang up"); err != nil {
					t.Fatal(err)
				}
				if got := receive(t, down, "disconnect"); got != client.ReasonTransportClose {
					t.Errorf("reason %q", got)
				}
				if got := receive(t, up, "reconnect"); got != id || !c.Recovered() {
					t.Errorf("same id %v, recovered %v", got == id, c.Recovered())
				}
				for _, want := range []string{"one", "two"} {
					if got := receive(t, events, "missed event"); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
				if fmt.Sprint(order) != "[connect connect one two]" {
					t.Errorf("order %v", order)
				}
			})
		}
	})
}

func TestHeartbeat(t *testing.T) {
	eachPeer(t, peerOptions{PingInterval: 50, PingTimeout: 500}, func(t *testing.T, p peer) {
		for _, tr := range transports {
			t.Run(tr.name, func(t *testing.T) {
				t.Parallel()
				c := newClient(t, p.URL(), tr.opts...)
				down := onDisconnect(c.Socket)
				told := on[string](c.Socket, "told")
				connect(t, c)
				join(t, c.Socket, "later")
				if err := c.Emit("tell later", 1200, "told", "still here"); err != nil {
					t.Fatal(err)
				}
				receive(t, told, "event after many heartbeats")
				select {
				case reason := <-down:
					t.Errorf("disconnected: %s", reason)
				default:
				}
			})
		}
	})
}

// TestSilentServer stops the server's process, which the kernel hides: its
// connections stay open.
func TestSilentServer(t *testing.T) {
	p := startNode(t, peerOptions{PingInterval: 200, PingTimeout: 200}).(*nodePeer)
	for _, tr := range transports {
		c := newClient(t, p.URL(), tr.opts...)
		up, down := onConnect(c.Socket), onDisconnect(c.Socket)
		connect(t, c)
		receive(t, up, "connect")
		if err := process.Freeze(p.cmd.Process); err != nil {
			t.Fatal(err)
		}
		reason := receive(t, down, "disconnect")
		if err := process.Thaw(p.cmd.Process); err != nil {
			t.Fatal(err)
		}
		if reason != client.ReasonPingTimeout {
			t.Errorf("%s: reason %q", tr.name, reason)
		}
		receive(t, up, "reconnect")
		c.Close()
	}
}

// TestHandlersWait has handlers wait for answers that come behind more events
// than the inbox holds.
func TestHandlersWait(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		const n = 500
		c := newClient(t, p.URL(), client.WithReceiveBuffer(20_000))
		done := make(chan error, n)
		next := 0
		client.Handle(c.Socket, "number", func(ctx context.Context, i int) error {
			if i != next {
				t.Errorf("number %d, want %d", i, next)
			}
			next++
			_, err := client.Call[int](ctx, c.Socket, "echo", i)
			done <- err
			return err
		})
		connect(t, c)
		if err := c.Emit("stream", n); err != nil {
			t.Fatal(err)
		}
		for range n {
			if err := receive(t, done, "answer"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestSlowHandler holds the reader up for a while.
func TestSlowHandler(t *testing.T) {
	eachTransport(t, func(t *testing.T, p peer, opts []client.Option) {
		const n, limit = 5000, 2000
		c := newClient(t, p.URL(), append(opts, client.WithReceiveBuffer(limit))...)
		release := make(chan struct{})
		done := make(chan struct{})
		next := 0
		client.Handle(c.Socket, "number", func(_ context.Context, i int) error {
			if i == 0 {
				<-release
			}
			if i != next {
				t.Errorf("number %d, want %d", i, next)
			}
			if next++; next == n {
				close(done)
			}
			return nil
		})
		connect(t, c)
		if err := c.Emit("stream", n); err != nil {
			t.Fatal(err)
		}
		// Each queued event counts for more than a hundred bytes.
		for c.Stats().Received < limit/200 {
			if err := c.Emit("never"); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Stats().Received; got > limit/100 {
			t.Errorf("%d events read for a queue of %d bytes", got, limit)
		}
		close(release)
		receive(t, done, "all numbers")
	})
}

func TestCloseInHandler(t *testing.T) {
	eachTransport(t, func(t *testing.T, p peer, opts []client.Option) {
		c := newClient(t, p.URL(), opts...)
		down := onDisconnect(c.Socket)
		c.On("number", func(ctx context.Context, m *client.Message) error {
			c.Close()
			if !errors.Is(context.Cause(ctx), client.ErrClosed) {
				t.Errorf("cause %v", context.Cause(ctx))
			}
			return nil
		})
		connect(t, c)
		if err := c.Emit("stream", 100); err != nil {
			t.Fatal(err)
		}
		receive(t, c.Done(), "end")
		if got := receive(t, down, "disconnect"); got != client.ReasonClientDisconnect {
			t.Errorf("reason %q", got)
		}
		if got := c.Stats(); got.Received == 0 {
			t.Errorf("stats %+v", got)
		}
	})
}

// TestFarewell closes with events on their way out, which still leave.
func TestFarewell(t *testing.T) {
	eachTransport(t, func(t *testing.T, p peer, opts []client.Option) {
		for name, bye := range map[string]func(c *client.Client){
			"close":      func(c *client.Client) { c.Close() },
			"shutdown":   func(c *client.Client) { c.Shutdown(t.Context()) },
			"disconnect": func(c *client.Client) { c.Disconnect() },
		} {
			t.Run(name, func(t *testing.T) {
				const n = 300
				witness := connected(t, p.URL())
				told := on[int](witness.Socket, "told")
				join(t, witness.Socket, "farewell")
				c := connected(t, p.URL(), append(opts, client.WithCloseTimeout(10*time.Second))...)
				for i := range n {
					if err := c.Emit("tell room", "farewell", i); err != nil {
						t.Fatal(err)
					}
				}
				bye(c)
				for want := range n {
					if got := receive(t, told, "told"); got != want {
						t.Fatalf("told %d, want %d", got, want)
					}
				}
			})
		}
	})
}

func TestShutdownWaitsForHandlers(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		const n = 50
		c := newClient(t, p.URL())
		var handled atomic.Int64
		begun, release := make(chan struct{}), make(chan struct{})
		client.Handle(c.Socket, "number", func(ctx context.Context, i int) error {
			if i == 0 {
				close(begun)
				<-release
			}
			if ctx.Err() != nil {
				t.Error("context ended")
			}
			handled.Add(1)
			return nil
		})
		connect(t, c)
		if err := c.Emit("stream", n); err != nil {
			t.Fatal(err)
		}
		call[int](t, c.Socket, "echo", 1) // comes behind the numbers, or some of them
		<-begun
		before := c.Stats().Received
		done := make(chan error, 1)
		go func() { done <- c.Shutdown(t.Context()) }()
		close(release)
		if err := receive(t, done, "shutdown"); err != nil {
			t.Error(err)
		}
		if got := handled.Load(); got+1 < int64(before) { // less the welcome
			t.Errorf("%d handled of %d", got, before)
		}
	})
}

func TestShutdownHonoursContext(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		c := newClient(t, p.URL())
		begun := make(chan struct{})
		c.On("welcome", func(ctx context.Context, _ *client.Message) error {
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		})
		connect(t, c)
		<-begun
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := c.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		receive(t, c.Done(), "end")
	})
}

func TestAckContext(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		c := connected(t, p.URL())
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if _, err := c.EmitWithAck(ctx, "never"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		c.Disconnect()
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if _, err := c.EmitWithAck(ctx, "count", 0); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		connect(t, c)
		if got := call[counted](t, c.Socket, "counted"); got.Count != 0 {
			t.Errorf("server counted %+v: an event left that was given up before", got)
		}
	})
}

// TestCookies expects that a cookie set at the first handshake comes back.
func TestCookies(t *testing.T) {
	eachPeer(t, peerOptions{Cookie: true}, func(t *testing.T, p peer) {
		c := newClient(t, p.URL())
		up := onConnect(c.Socket)
		connect(t, c)
		receive(t, up, "connect")
		if err := c.Emit("hang up"); err != nil {
			t.Fatal(err)
		}
		receive(t, up, "reconnect")
		if got := call[shown](t, c.Socket, "handshake"); got.Cookie == "" {
			t.Error("no cookie at the second handshake")
		}
	})
}

// TestChurn has everything happen at once; the race detector watches.
func TestChurn(t *testing.T) {
	eachPeer(t, peerOptions{}, func(t *testing.T, p peer) {
		c := newClient(t, p.URL())
		admin := c.Of("/admin", client.WithAuth(map[string]string{"token": "secret"}))
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		repeat := func(f func(i int)) {
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					f(i)
				}
			})
		}
		for _, s := range []*client.Socket{c.Socket, admin} {
			repeat(func(int) { _ = s.Connect(ctx) })
			repeat(func(i int) {
				reply, cancel := context.WithTimeout(ctx, time.Duration(i%5)*time.Millisecond)
				defer cancel()
				_, _ = s.EmitWithAck(reply, "echo", i)
			})
		}
		repeat(func(i int) {
			switch i % 4 {
			case 0:
				admin.Disconnect()
			case 1:
				_ = c.Emit("leave", i%8 == 1)
			case 2:
				c.Disconnect()
			case 3:
				_ = c.Emit("hang up")
			}
			_ = c.Connect(ctx)
		})
		repeat(func(int) { _, _, _ = c.Transport(), c.ID(), c.Stats() })
		wg.Wait()
		// What was emitted while disconnected may disconnect again, so this is
		// for the server only.
		if got := call[int](t, connected(t, p.URL()).Socket, "echo", 5); got != 5 {
			t.Errorf("echo %d", got)
		}
	})
}
