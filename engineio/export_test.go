package engineio

import "time"

// WithoutPollers has connections read by goroutines: in a synctest bubble time
// stands still while anything waits for the system.
func (s *Server) WithoutPollers() { s.pollers = nil }

// Queue is the queue of a connection.
type Queue struct{ q queue }

// Methods of the queue.
func (q *Queue) Push(m *Message) { q.q.push(m) }
func (q *Queue) Pop() *Message   { return q.q.pop() }
func (q *Queue) Clear()          { q.q.clear(); q.q.off = 0 }
func (q *Queue) Len() int        { return int(q.q.n) }
func (q *Queue) Bytes() int      { return q.q.bytes - int(q.q.off) }
func (q *Queue) IsZero() bool    { return q.q == queue{} }
func (q *Queue) Gather(scratch []byte, deflate bool, threshold int) []byte {
	return q.q.gather(scratch, form{deflate: deflate, threshold: threshold})
}
func (q *Queue) Advance(n int, deflate bool, threshold int) {
	q.q.advance(n, form{deflate: deflate, threshold: threshold})
}

// Wire is what a WebSocket connection gets of m.
func (m *Message) Wire(deflate bool, threshold int) []byte {
	return m.wire(form{deflate: deflate, threshold: threshold})
}

// Wheel is a server's wheel.
type Wheel struct{ w *wheel }

// NewWheel returns a wheel.
func NewWheel(tick time.Duration, fire func(*Conn, time.Time) time.Time) *Wheel {
	return &Wheel{newWheel(tick, fire)}
}

// Methods of the wheel.
func (w *Wheel) Run(stop <-chan struct{})       { w.w.run(stop) }
func (w *Wheel) Schedule(c *Conn, at time.Time) { w.w.schedule(c, at) }
func (w *Wheel) Sooner(c *Conn, at time.Time)   { w.w.sooner(c, at) }
func (w *Wheel) Remove(c *Conn)                 { w.w.remove(c) }

// Parked reports whether a poll waits.
func (c *Conn) Parked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.poll != nil && c.poll.parked != nil
}

// Blocked reports whether writing waits for the client to read.
func (c *Conn) Blocked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flush == flushBlocked
}

// Upgrading reports whether a WebSocket tries to take over.
func (c *Conn) Upgrading() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.poll != nil && c.poll.candidate != nil
}

// Posting reports whether a payload is coming in.
func (c *Conn) Posting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.poll != nil && c.poll.posting
}
