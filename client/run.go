package client

import (
	"context"
	"slices"
	"time"

	"github.com/socketeer-io/socketeer/client/internal/engine"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// listeners are told about the connection as a whole, by the inbox of the main
// namespace. Guarded by the client's mu.
type listeners struct {
	attempt  []func(ctx context.Context, attempt int)
	again    []func(ctx context.Context, attempt int)
	gaveUp   []func(ctx context.Context)
	upgraded []func(ctx context.Context, transport string)
}

// OnReconnectAttempt registers a function to call before each attempt to open
// the connection again, with its number: 1 for the first after a loss.
func (c *Client) OnReconnectAttempt(f func(ctx context.Context, attempt int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners.attempt = append(slices.Clip(c.listeners.attempt), f)
}

// OnReconnect registers a function to call when the connection is open again,
// with the number of the attempt. The sockets' OnConnect follow when the server
// has confirmed their namespaces.
func (c *Client) OnReconnect(f func(ctx context.Context, attempt int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners.again = append(slices.Clip(c.listeners.again), f)
}

// OnReconnectFailed registers a function to call when the attempts of
// [WithReconnectAttempts] are used up. Connect starts anew.
func (c *Client) OnReconnectFailed(f func(ctx context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners.gaveUp = append(slices.Clip(c.listeners.gaveUp), f)
}

// OnUpgrade registers a function to call when the connection has moved to
// another transport.
func (c *Client) OnUpgrade(f func(ctx context.Context, transport string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners.upgraded = append(slices.Clip(c.listeners.upgraded), f)
}

func (c *Client) tellAttemptLocked(event string, fs []func(context.Context, int), attempt int) {
	for _, f := range fs {
		c.inbox.tell(func(ctx context.Context) {
			c.guard(event, func() { f(ctx, attempt) })
		})
	}
}

// run keeps a connection while a socket wants one.
func (c *Client) run() {
	failures := 0  // in a row
	again := false // this is a reconnect, not a first connect
	for {
		ctx, ok := c.begin()
		if !ok {
			return
		}
		if failures > 0 && !c.pause(ctx, failures) {
			failures, again = 0, false
			continue
		}
		conn, err := c.open(ctx)
		switch {
		case err == nil:
			again = c.serve(conn, failures)
			failures = 0
			if again {
				failures = 1
			}
		case ctx.Err() != nil: // nobody wants this attempt any more
			failures, again = 0, false
		default:
			failures++
			if !c.failed(err, failures, again) {
				return
			}
		}
	}
}

// begin returns the context of the next attempt, or false when there is no
// need for one and run ends.
func (c *Client) begin() (context.Context, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleLocked()
	if c.closed || c.active == 0 {
		c.running = false
		return nil, false
	}
	ctx, abort := context.WithCancel(context.Background())
	c.abort = abort
	return ctx, true
}

// settleLocked ends the context of the last attempt.
func (c *Client) settleLocked() {
	if c.abort != nil {
		c.abort()
		c.abort = nil
	}
}

// pause waits before an attempt to reconnect, false when it is not wanted any
// more.
func (c *Client) pause(ctx context.Context, failures int) bool {
	timer := time.NewTimer(backoff(failures, c.cfg.delay, c.cfg.maxDelay, c.cfg.jitter))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tellAttemptLocked("reconnect_attempt", c.listeners.attempt, failures)
	return true
}

func (c *Client) open(ctx context.Context) (*engine.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.connectTimeout)
	defer cancel()
	return engine.Open(ctx, engine.Options{
		URL:        c.base,
		Transports: c.cfg.transports,
		Upgrade:    c.cfg.upgrade,
		Header:     c.cfg.header,
		Jar:        c.cfg.jar,
		TLS:        c.cfg.tls,
		NetDial:    c.cfg.netDial,
		ReadLimit:  c.cfg.readLimit,
		SendBuffer: c.cfg.sendBuffer,
		OnUpgrade:  c.upgraded,
		Logger:     c.cfg.logger,
	})
}

func (c *Client) upgraded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.listeners.upgraded {
		c.inbox.tell(func(ctx context.Context) {
			c.guard("upgrade", func() { f(ctx, engine.WebSocket) })
		})
	}
}

// serve uses a connection until it ends, and tells whether it was lost.
func (c *Client) serve(conn *engine.Conn, failures int) (lost bool) {
	c.decoder = sio.Decoder{MaxAttachments: c.cfg.maxAttachments}
	c.mu.Lock()
	c.settleLocked()
	c.conn = conn
	if c.closed || c.active == 0 {
		conn.Close(c.cfg.closeTimeout)
	} else if failures > 0 {
		c.counts.reconnects.Add(1)
		c.tellAttemptLocked("reconnect", c.listeners.again, failures)
	}
	for _, s := range c.sockets {
		if s.active {
			s.joinLocked(conn)
		}
	}
	c.mu.Unlock()

	cause := conn.Run(c.onPacket)
	c.cfg.logger.Debug("socketeer: connection ended", "reason", cause.Reason, "err", cause.Err)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.failure = nil, cause
	lost = cause.Reason != engine.ReasonForcedClose
	for _, s := range c.sockets {
		s.asked = false
		s.joining++
		wasUp := s.connected
		s.downLocked(cause.Reason)
		switch {
		case !s.active:
		case lost && !c.cfg.reconnect:
			if !wasUp {
				s.tellError(cause)
			}
			s.deactivateLocked(cause)
		case wasUp:
			s.try = &attempt{done: make(chan struct{})}
		case lost:
			s.tellError(cause)
		}
	}
	return lost
}

// failed notes that an attempt to open the connection failed, and tells whether
// there will be another.
func (c *Client) failed(err error, failures int, again bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
	usedUp := c.cfg.attempts > 0 && failures > c.cfg.attempts
	goOn := !usedUp && (again || c.cfg.retryFirst)
	for _, s := range c.sockets {
		if !s.active {
			continue
		}
		s.tellError(err)
		if !goOn {
			s.deactivateLocked(err)
		}
	}
	if goOn {
		return true
	}
	if usedUp {
		for _, f := range c.listeners.gaveUp {
			c.inbox.tell(func(ctx context.Context) {
				c.guard("reconnect_failed", func() { f(ctx) })
			})
		}
	}
	c.settleLocked()
	c.running = false
	return false
}

// restLocked ends the connection when no socket wants it any more.
func (c *Client) restLocked() {
	if c.active == 0 {
		c.quitLocked(c.cfg.closeTimeout)
	}
}

// stir wakes the reader if it waits for room in an inbox.
func (c *Client) stir() {
	select {
	case c.room <- struct{}{}:
	default:
	}
}
