package engineio

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/internal/wsconn"
	"github.com/socketeer-io/socketeer/protocol/eio"
)

// Reason says why a connection ended. The strings are those of the JavaScript
// server, and reach applications.
type Reason string

// The reasons a connection ends for.
const (
	TransportClose Reason = "transport close" // the client, or the network, closed it
	TransportError Reason = "transport error" // the client broke a rule of the transport
	ParseError     Reason = "parse error"     // a packet could not be decoded
	PingTimeout    Reason = "ping timeout"    // the client did not answer in time
	ForcedClose    Reason = "forced close"    // this side closed it
	SlowConsumer   Reason = "slow consumer"   // its send buffer overflowed
	ServerShutdown Reason = "server shutting down"
)

// Flags modify a send.
type Flags uint8

// Volatile messages are dropped when the connection is not writable: while the
// kernel's buffer is full, or while no poll waits.
const Volatile Flags = 1 << iota

// Errors of [Conn.Send].
var (
	// ErrClosed says that the connection has ended. It is a net.ErrClosed.
	ErrClosed error = fmt.Errorf("socketeer: connection is closed: %w", net.ErrClosed)
	// ErrSlowConsumer says that the message did not fit into the send buffer,
	// and that the connection was closed for it.
	ErrSlowConsumer = errors.New("socketeer: send buffer is full, connection closed")
)

// Session is the user of a connection.
type Session interface {
	// Message is called for each message of the client, in order and never
	// concurrently, until Close. The data is valid only during the call. It
	// must not wait: other clients are read by the same goroutine; see
	// [Conn.Pause]. An error closes the connection as a ForcedClose.
	Message(data []byte, isBinary bool) error
	// Close is called once, when the connection has ended: no message can be
	// sent from then on. A Message may be running at that time.
	Close(reason Reason, err error)
}

const (
	stateOpen    = iota
	stateClosing // nothing can be sent any more; what was queued still leaves
	stateClosed
)

const (
	flushIdle      = iota
	flushScheduled // waiting for a flusher
	flushBusy      // being written
	flushBlocked   // waiting for the kernel to have room
)

// Conn is a client's connection, across its transports. All methods may be
// called concurrently.
type Conn struct {
	srv     *Server // immutable, as are id, req, shard
	id      string
	req     Request
	session Session     // set, with mu held, before the first message
	shard   uint32      // which flusher
	base64  bool        // the client takes no binary; immutable
	heard   atomic.Bool // something came in since the last ping
	over    atomic.Bool // the session has been told of the end
	paused  atomic.Bool // pauses > 0
	waits   atomic.Bool // a flush wants to know when there is room

	timer timer // guarded by the wheel

	recv sync.Mutex // held while a message is handled

	mu       sync.Mutex // guards the rest
	state    uint8
	leaving  bool // closing, and the session is told when the client has gone
	flush    uint8
	corks    uint16
	pauses   uint16
	again    bool          // there was room while a flush was under way
	resume   chan struct{} // closed when pauses is 0 again
	extended bool          // the pong deadline has been moved once
	ws       *wsconn.Conn  // nil while polling
	poll     *polling      // nil on WebSocket
	out      queue
	pingAt   time.Duration // since the server's start; when to ping next
	pongBy   time.Duration // 0: no pong is owed
	closeBy  time.Duration // 0: no limit
}

// ID returns the session id: 20 characters that only this client knows.
func (c *Conn) ID() string { return c.id }

// Request returns what is known of the first HTTP request.
func (c *Conn) Request() *Request { return &c.req }

// Transport returns the name of the current transport: "polling" or
// "websocket".
func (c *Conn) Transport() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ws == nil {
		return polling_
	}
	return websocket
}

// NeedsHTTP reports whether the client is on polling, and has requests to come:
// until it has been told when the connection was closed here.
func (c *Conn) NeedsHTTP() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ws == nil && c.state != stateClosed
}

// Buffered returns how many bytes wait to be written.
func (c *Conn) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.out.bytes-int(c.out.off), 0) // base64 is longer
}

// messageCost is what each message in a queue counts, besides its bytes: many
// small ones take memory, too.
const messageCost = 64

// Send queues a message. It never waits: the error is ErrClosed or
// ErrSlowConsumer. A volatile message that is dropped is no error, but counted.
func (c *Conn) Send(m *Message, f Flags) error {
	c.mu.Lock()
	if c.state != stateOpen {
		c.mu.Unlock()
		return ErrClosed
	}
	full := c.overflows(m)
	if full && c.ws != nil && c.ws.CanTry() && c.flush < flushBusy {
		// Nobody has tried yet whether the client takes what waits.
		c.flush = flushBusy
		c.mu.Unlock()
		f := flusherPool.Get().(*flusher)
		f.flush(c)
		flusherPool.Put(f)
		c.mu.Lock()
		if c.state != stateOpen {
			c.mu.Unlock()
			return ErrClosed
		}
		full = c.overflows(m)
	}
	if f&Volatile != 0 && (full || !c.writable()) {
		c.mu.Unlock()
		c.srv.stats.volatileDropped.Add(1)
		return nil
	}
	if full {
		c.mu.Unlock()
		c.fail(SlowConsumer, ErrSlowConsumer)
		return ErrSlowConsumer
	}
	c.push(m)
	return nil
}

// overflows reports whether m is too much for the send buffer. With c.mu held.
func (c *Conn) overflows(m *Message) bool {
	return c.out.n > 0 && c.out.bytes+int(c.out.n)*messageCost+m.Len() > c.srv.o.SendBuffer
}

// Crowded reports whether more than half of the send buffer is taken: who has
// much to send waits then, or the client is closed as a slow consumer.
func (c *Conn) Crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.n > 0 && c.out.bytes+int(c.out.n)*messageCost > c.srv.o.SendBuffer/2
}

func (c *Conn) writable() bool {
	if c.ws == nil {
		return c.poll.parked != nil
	}
	return c.flush != flushBlocked
}

// push queues m, sees to it that it leaves, and releases c.mu.
func (c *Conn) push(m *Message) {
	c.out.push(m)
	if c.ws == nil {
		c.poll.wake()
		c.mu.Unlock()
		return
	}
	schedule := c.flush == flushIdle && c.corks == 0
	if schedule {
		c.flush = flushScheduled
	}
	c.mu.Unlock()
	if schedule {
		c.srv.flushers.add(c)
	}
}

// Cork holds back writing until Uncork, so that what is sent in between
// leaves in one write. Calls nest; the caller must not wait in between.
func (c *Conn) Cork() {
	c.mu.Lock()
	c.corks++
	c.mu.Unlock()
}

// Uncork ends Cork and writes what has been queued, on the caller's goroutine
// and without waiting.
func (c *Conn) Uncork() {
	c.mu.Lock()
	c.corks--
	if c.corks > 0 || c.flush != flushIdle || c.out.n == 0 || c.ws == nil || c.state == stateClosed {
		c.mu.Unlock()
		return
	}
	c.flush = flushBusy
	c.mu.Unlock()
	f := flusherPool.Get().(*flusher)
	f.flush(c)
	flusherPool.Put(f)
}

// Flush writes what has been queued although the connection is corked.
func (c *Conn) Flush() {
	c.mu.Lock()
	if c.flush != flushIdle || c.out.n == 0 || c.ws == nil || c.state == stateClosed {
		c.mu.Unlock()
		return
	}
	c.flush = flushScheduled
	c.mu.Unlock()
	c.srv.flushers.add(c)
}

// Pause stops reading from the client, until Resume is called as often. A
// little more may still come: what has been read from the socket already. The
// client's heartbeat is suspended meanwhile.
func (c *Conn) Pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pauses++
	if c.resume == nil {
		c.resume = make(chan struct{})
	}
	c.paused.Store(true)
}

// Resume ends Pause.
func (c *Conn) Resume() {
	c.mu.Lock()
	if c.pauses > 0 {
		c.pauses--
	}
	ws := c.ws
	resumed := c.pauses == 0 && c.unpause()
	if resumed && c.pongBy != 0 { // its pong may be among what is read only now
		c.pongBy = c.srv.since(time.Now()) + c.srv.o.PingTimeout
	}
	c.mu.Unlock()
	if resumed && ws != nil {
		ws.Again()
	}
}

func (c *Conn) unpause() bool {
	if c.resume == nil {
		return false
	}
	close(c.resume)
	c.resume = nil
	c.paused.Store(false)
	return true
}

// resumed returns nil, or a channel that is closed when reading may go on.
func (c *Conn) resumed() <-chan struct{} {
	if !c.paused.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resume == nil { // just now
		return nil
	}
	return c.resume
}

// CloseAfter closes the connection (as a ForcedClose) when d has passed,
// unless [Conn.Keep] is called before. The time is checked with the
// heartbeat's precision.
func (c *Conn) CloseAfter(d time.Duration) {
	at := time.Now().Add(d)
	c.mu.Lock()
	open := c.state == stateOpen
	if open {
		c.closeBy = c.srv.since(at)
	}
	c.mu.Unlock()
	if open {
		c.srv.wheel.sooner(c, at)
	}
}

// Keep cancels CloseAfter.
func (c *Conn) Keep() {
	c.mu.Lock()
	if c.state == stateOpen {
		c.closeBy = 0
	}
	c.mu.Unlock()
}

// Close ends the connection after what has been queued is sent. It does not
// wait.
func (c *Conn) Close() { c.CloseReason(ForcedClose) }

// CloseReason is Close with a reason for the session's Close.
func (c *Conn) CloseReason(reason Reason) {
	c.end(reason, nil, wsconn.CloseNoStatus)
}

// SendAway is CloseReason(ServerShutdown) that loses nothing of what the client
// sends until it knows of the end: the session gets it, and is closed when the
// client has gone, after two seconds at the latest on WebSocket, and with its
// next poll otherwise. Nothing can be sent to it meanwhile.
func (c *Conn) SendAway() {
	c.mu.Lock()
	if c.state != stateOpen {
		c.mu.Unlock()
		return
	}
	c.leaving = true
	c.sayGoodbye(wsconn.CloseNoStatus)
}

// left tells the session of a connection that is leaving that nothing more
// comes.
func (c *Conn) left() {
	c.mu.Lock()
	leaving := c.leaving
	c.leaving = false
	c.mu.Unlock()
	if leaving {
		c.ended(ServerShutdown, nil)
	}
}

// How long a connection that was closed here may take to go away.
const (
	lingerWebSocket = 2 * time.Second
	lingerPolling   = 30 * time.Second // for the next poll to come and be told
)

// end closes the connection in an orderly way: on WebSocket by a close frame
// with the code, on polling by a close packet.
func (c *Conn) end(reason Reason, err error, code int) {
	c.mu.Lock()
	if c.state != stateOpen {
		c.mu.Unlock()
		return
	}
	c.sayGoodbye(code)
	c.ended(reason, err)
}

// sayGoodbye makes the connection closing, queues what tells the client, and
// releases c.mu.
func (c *Conn) sayGoodbye(code int) {
	c.state = stateClosing
	linger := lingerWebSocket
	if c.ws == nil {
		linger = lingerPolling
	}
	now := time.Now()
	c.closeBy = c.srv.since(now) + linger
	c.srv.wheel.schedule(c, now.Add(linger))
	m := closePacket
	if c.ws != nil {
		m = rawFrame(wsconn.AppendClose(nil, code, ""))
	}
	c.push(m)
}

// fail ends the connection at once: the peer is gone, or not worth a word.
func (c *Conn) fail(reason Reason, err error) {
	c.mu.Lock()
	wasOpen := c.state == stateOpen
	if !c.destroy() {
		return
	}
	if wasOpen {
		c.ended(reason, err)
	}
	c.left()
}

// destroy frees everything and releases c.mu. It reports false when that had
// been done already.
func (c *Conn) destroy() bool {
	if c.state == stateClosed {
		c.mu.Unlock()
		return false
	}
	c.state = stateClosed
	c.out.clear()
	c.out.off = 0
	c.unpause()
	ws, p := c.ws, c.poll
	var candidate *candidate
	if p != nil {
		p.wake()
		candidate = p.candidate
	}
	c.mu.Unlock()
	c.srv.wheel.remove(c)
	c.srv.forget(c)
	if ws != nil {
		_ = ws.Close()
	}
	if candidate != nil {
		candidate.abort()
	}
	return true
}

// ended tells the session, once.
func (c *Conn) ended(reason Reason, err error) {
	c.over.Store(true)
	c.srv.stats.closed(reason)
	c.mu.Lock()
	session := c.session
	if session == nil { // it is being made
		c.session = doomed{reason, err}
	}
	c.mu.Unlock()
	if session != nil {
		session.Close(reason, err)
	}
}

// begin makes the session, which may end while it is being made.
func (c *Conn) begin() {
	session := c.srv.accepted(c)
	c.mu.Lock()
	d, over := c.session.(doomed)
	c.session = session
	c.mu.Unlock()
	if over {
		session.Close(d.reason, d.err)
	}
}

// doomed stands for a session of which nothing is known but its end.
type doomed struct {
	reason Reason
	err    error
}

func (doomed) Message([]byte, bool) error { return ErrClosed }
func (doomed) Close(Reason, error)        {}

// packet handles one decoded packet of the client. An error has ended the
// connection.
func (c *Conn) packet(p eio.Packet) error {
	if c.over.Load() {
		return ErrClosed
	}
	if !c.heard.Load() {
		c.heard.Store(true)
	}
	switch p.Type {
	case eio.Message:
		return c.message(p.Data, p.Binary)
	case eio.Pong:
		c.mu.Lock()
		c.pongBy = 0
		c.pingAt = c.srv.since(time.Now()) + c.srv.o.PingInterval
		c.mu.Unlock()
		return nil
	case eio.Ping:
		err := errors.New("socketeer: invalid heartbeat direction")
		c.end(TransportError, err, wsconn.CloseNoStatus)
		return err
	case eio.Close:
		c.mu.Lock()
		if c.poll != nil {
			c.poll.goodbye = true
		}
		c.mu.Unlock()
		c.fail(TransportClose, nil)
		return ErrClosed
	default: // nothing a client has to say here, and nothing to act on
		return nil
	}
}

func (c *Conn) message(data []byte, isBinary bool) error {
	c.recv.Lock()
	defer c.recv.Unlock()
	err := c.session.Message(data, isBinary)
	if err != nil {
		c.end(ForcedClose, err, wsconn.CloseNoStatus)
	}
	return err
}

// tick is called by the wheel and says when to be called next.
func (c *Conn) tick(at time.Time) time.Time {
	now := c.srv.since(at)
	c.mu.Lock()
	if c.state == stateClosed {
		c.mu.Unlock()
		return time.Time{}
	}
	if c.closeBy != 0 && now >= c.closeBy {
		closing := c.state == stateClosing
		c.mu.Unlock()
		if closing {
			c.fail(ForcedClose, nil)
			return time.Time{}
		}
		c.Close()
		return time.Time{} // Close has scheduled the rest
	}
	var due time.Duration
	if c.state == stateOpen {
		due = c.heartbeat(now)
		if due == 0 {
			c.mu.Unlock()
			c.fail(PingTimeout, nil)
			return time.Time{}
		}
	}
	if c.closeBy != 0 && (due == 0 || c.closeBy < due) {
		due = c.closeBy
	}
	c.mu.Unlock()
	return c.srv.start.Add(due)
}

// heartbeat pings, or checks for the pong, with c.mu held. It returns when to
// look again, 0 when the client is given up.
func (c *Conn) heartbeat(now time.Duration) time.Duration {
	o := &c.srv.o
	switch {
	case c.pongBy == 0 && now >= c.pingAt:
		// On pace, but after a stall of this process the client gets its time.
		c.pongBy = max(c.pingAt, now-o.PingTimeout/4) + o.PingTimeout
		c.pingAt, c.extended = now+o.PingInterval, false
		c.heard.Store(false)
		next := min(c.pongBy, c.pingAt)
		c.push(pingPacket)
		c.mu.Lock() // by now the pong may have come
		return next
	case c.pongBy == 0:
		return c.pingAt
	case now < c.pongBy:
		return c.pongBy
	}
	if c.pauses == 0 {
		if c.extended || !c.heard.Load() {
			return 0
		}
		c.extended = true // it sends something, if no pong: a slow upload
	} // else it may well have answered: we are not reading
	c.pongBy = now + o.PingTimeout
	return c.pongBy
}
