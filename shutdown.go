package socketeer

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/socketeer-io/socketeer/engineio"
)

// Shutdown drains the server. New sessions are refused at once, with status
// 503. Those it has are closed at an even pace, so that they do not all come to
// the other nodes at once: over nine tenths of the time until ctx's deadline
// (of WithRequestTimeout if it has none), or faster, see [WithShutdownRate].
// Clients on polling come first; when all of them know, [Server.HTTPDone] is
// closed. What a client sends until it knows is handled. At the end Shutdown
// waits up to a second for those who do not answer, and closes as Close does.
// When ctx is cancelled, the rest is closed at once, and the context's cause
// returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.engine.Drain()
	limit := s.o.requestTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	err := newDrain(s).run(ctx, limit)
	if e := s.close(ctx); err == nil {
		err = e
	}
	return err
}

// HTTPDone returns a channel that is closed in the course of Shutdown, or by
// Close, when no client needs HTTP any more: those that are left are on
// WebSocket. Close the listener then, as http.Server.Shutdown does. Who
// connects after that is refused by the system, and each load balancer knows to
// take another server.
func (s *Server) HTTPDone() <-chan struct{} { return s.httpDone }

func (s *Server) leaveHTTP() { s.doneOnce.Do(func() { close(s.httpDone) }) }

const (
	// drainTick is how often connections are closed that are due.
	drainTick = 10 * time.Millisecond
	// goodbye is how long clients are waited for that have been told of the end,
	// or hear of it by their next poll: what they have sent until then counts.
	goodbye = time.Second
)

// drain closes a server's connections, one after another.
type drain struct {
	srv     *Server
	conns   []*engineio.Conn // those on polling first
	polling []*engineio.Conn // of these, who may still need HTTP
	closed  int              // how many
}

func newDrain(s *Server) *drain {
	d := &drain{srv: s}
	var others []*engineio.Conn
	for c := range s.engine.Conns() {
		if c.NeedsHTTP() {
			d.conns = append(d.conns, c)
		} else {
			others = append(others, c)
		}
	}
	d.polling = slices.Clone(d.conns)
	d.conns = append(d.conns, others...)
	d.told()
	return d
}

// told looks who has been told on polling. When all have, nobody needs HTTP.
func (d *drain) told() {
	d.polling = slices.DeleteFunc(d.polling, func(c *engineio.Conn) bool { return !c.NeedsHTTP() })
	if len(d.polling) == 0 {
		d.srv.leaveHTTP()
	}
}

// run closes all connections, evenly over nine tenths of the limit, or faster
// at the rate that there should be at least.
func (d *drain) run(ctx context.Context, limit time.Duration) error {
	window := limit * 9 / 10
	if rate := d.srv.o.shutdownRate; rate > 0 {
		window = min(window, time.Duration(len(d.conns))*time.Second/time.Duration(rate))
	}
	patience := min(window+goodbye, limit*19/20)
	start := time.Now()
	t := time.NewTicker(drainTick)
	defer t.Stop()
	for {
		passed := time.Since(start)
		d.closeDue(passed, window)
		d.told()
		if d.closed == len(d.conns) && (d.srv.engine.Count() == 0 || passed >= patience) {
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// closeDue closes what is due when a part of the window has passed.
func (d *drain) closeDue(passed, window time.Duration) {
	due := len(d.conns)
	if passed < window {
		due = min(1+int(int64(due)*int64(passed)/int64(window)), due)
	}
	for ; d.closed < due; d.closed++ {
		d.conns[d.closed].SendAway()
	}
}

// closeGrace is how long Close waits for handlers to return.
const closeGrace = 5 * time.Second

// Close disconnects everyone, as "server shutting down", waits up to five
// seconds for handlers to return, and leaves the cluster. It is idempotent. Do
// not call it from a handler.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	return s.close(ctx)
}

func (s *Server) close(ctx context.Context) error {
	err := s.engine.Close(ctx)
	s.leaveHTTP()
	s.pool.close(ctx)
	if s.keeper != nil {
		s.keeper.close(ctx)
	}
	s.mu.Lock()
	s.closed = true
	namespaces := slices.Collect(maps.Values(s.namespaces))
	clear(s.namespaces)
	s.mu.Unlock()
	for _, n := range namespaces {
		if e := n.adapter.Close(); e != nil && err == nil {
			err = e
		}
	}
	return err
}
