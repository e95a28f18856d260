package engineio

import (
	"errors"
	"net/http"
	"time"

	"github.com/socketeer-io/socketeer/internal/wsconn"
	"github.com/socketeer-io/socketeer/protocol/eio"
)

// accept upgrades the request, with the headers the application wants.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, initial bool) (*wsconn.Accepted, error) {
	o := wsconn.Options{Limit: s.o.MaxPayload, Deflate: s.o.PerMessageDeflate != nil}
	if s.o.Headers != nil || s.o.InitialHeaders != nil {
		o.Header = http.Header{}
		s.headers(o.Header, r, initial)
	}
	ws, err := wsconn.Upgrade(w, r, o)
	if err == nil && len(s.pollers) > 0 {
		ws.Take(s.pollers[int(s.serial.Add(1))%len(s.pollers)])
	}
	return ws, err
}

// openWebSocket starts a session on WebSocket.
func (s *Server) openWebSocket(w http.ResponseWriter, r *http.Request, q query, id string) {
	ws, err := s.accept(w, r, true)
	if err != nil {
		s.refused(r, &ConnectionError{Code: BadRequest, Name: "TRANSPORT_HANDSHAKE_ERROR", Err: err})
		return
	}
	c, err := s.open(r, q, id, ws)
	if err != nil {
		_ = ws.Close()
		return
	}
	c.serve(ws.Conn, ws.Early, (*reader)(c))
}

// serve has a poller read the connection, or a fresh goroutine: the caller's
// holds what the HTTP server needed.
func (c *Conn) serve(ws *wsconn.Conn, early []byte, h wsconn.Handler) {
	if ws.CanTry() {
		ws.Watch(early, h)
		return
	}
	if !c.srv.spawn(func() { ws.Read(early, h) }) {
		_ = ws.Close()
		c.fail(ServerShutdown, nil)
	}
}

// reader is a Conn as its WebSocket sees it.
type reader Conn

// Message implements wsconn.Handler.
func (r *reader) Message(payload []byte, isBinary bool) error {
	c := (*Conn)(r)
	if isBinary {
		return c.packet(eio.Packet{Type: eio.Message, Data: payload, Binary: true})
	}
	p, err := eio.DecodeText(payload)
	if err != nil {
		c.end(ParseError, err, wsconn.CloseNoStatus)
		return err
	}
	return c.packet(p)
}

// Ping implements wsconn.Handler. A client that does not read need not be
// answered, and its pongs must not pile up.
func (r *reader) Ping(payload []byte) error {
	return (*Conn)(r).Send(rawFrame(wsconn.AppendPong(nil, payload)), Volatile)
}

// Read implements wsconn.Handler.
func (r *reader) Read() { (*Conn)(r).srv.readSome() }

// Paused implements wsconn.Handler.
func (r *reader) Paused() <-chan struct{} { return (*Conn)(r).resumed() }

// Ended implements wsconn.Handler: it acts on the reason for which reading
// ended, and lingers while the client has to be told.
func (r *reader) Ended(err error) (linger bool) {
	c := (*Conn)(r)
	c.mu.Lock()
	closing := c.state == stateClosing
	c.mu.Unlock()
	var ce *wsconn.CloseError
	switch {
	case closing: // a violation, or the close, of which the client is being told
		c.left()
	case !errors.As(err, &ce):
		c.fail(TransportClose, err)
		return false
	case ce.Remote:
		c.end(TransportClose, nil, ce.Code)
	default:
		c.end(TransportError, err, ce.Code)
	}
	return true
}

// Gone implements wsconn.Handler.
func (r *reader) Gone() { (*Conn)(r).fail(TransportClose, nil) }

// candidate is a WebSocket that wants to take over a polling session. It
// handles the probe, and after the upgrade passes everything on.
type candidate struct {
	c        *Conn
	ws       *wsconn.Conn // set once, before reading
	timeout  *time.Timer
	upgraded bool // owned by the reader
}

// upgrade lets a WebSocket join a polling session.
func (c *Conn) upgrade(w http.ResponseWriter, r *http.Request) {
	cand := &candidate{c: c}
	c.mu.Lock()
	p := c.poll
	switch {
	case c.state != stateOpen:
		c.mu.Unlock()
		c.srv.refuse(w, r, unknownSID(c.id))
		return
	case p == nil || p.left || p.candidate != nil:
		c.mu.Unlock()
		c.srv.refuse(w, r, &ConnectionError{Code: BadRequest, Name: "ALREADY_UPGRADED",
			Err: errors.New("socketeer: the session is on WebSocket, or another upgrade is under way")})
		return
	}
	p.candidate = cand
	c.mu.Unlock()

	ws, err := c.srv.accept(w, r, false)
	if err != nil {
		cand.drop()
		c.srv.refused(r, &ConnectionError{Code: BadRequest, Name: "TRANSPORT_HANDSHAKE_ERROR", Err: err})
		return
	}
	if err := writeNow(ws.Conn, ws.Response); err != nil {
		cand.drop()
		_ = ws.Close()
		return
	}
	c.mu.Lock()
	cand.ws = ws.Conn
	cand.timeout = time.AfterFunc(c.srv.o.UpgradeTimeout, cand.abort)
	open := c.state == stateOpen
	c.mu.Unlock()
	if !open {
		cand.drop()
		_ = ws.Close()
		return
	}
	c.serve(ws.Conn, ws.Early, cand)
}

// Read implements wsconn.Handler.
func (u *candidate) Read() { u.c.srv.readSome() }

// Paused implements wsconn.Handler.
func (u *candidate) Paused() <-chan struct{} {
	if u.upgraded {
		return u.c.resumed()
	}
	return nil
}

// Writable implements wsconn.Handler.
func (u *candidate) Writable() { u.c.writableAgain() }

// Ended implements wsconn.Handler.
func (u *candidate) Ended(err error) (linger bool) {
	if u.upgraded {
		return (*reader)(u.c).Ended(err)
	}
	u.drop()
	return false
}

// Gone implements wsconn.Handler.
func (u *candidate) Gone() {
	if u.upgraded {
		(*reader)(u.c).Gone()
	}
}

// drop ends the candidacy, unless it was successful.
func (u *candidate) drop() {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	u.dropLocked()
}

func (u *candidate) dropLocked() {
	if u.timeout != nil {
		u.timeout.Stop()
	}
	if p := u.c.poll; p.candidate == u {
		p.candidate, p.probed = nil, false
	}
}

// abort closes a candidate that has not made it. Its reader may not notice.
func (u *candidate) abort() {
	u.c.mu.Lock()
	ws := u.ws
	if u.c.ws != nil && u.c.ws == ws { // it made it just now
		ws = nil
	} else {
		u.dropLocked()
	}
	u.c.mu.Unlock()
	if ws != nil {
		_ = ws.Close()
	}
}

var errNotProbe = errors.New("socketeer: unexpected packet during an upgrade")

// Message implements wsconn.Handler.
func (u *candidate) Message(payload []byte, isBinary bool) error {
	if u.upgraded {
		return (*reader)(u.c).Message(payload, isBinary)
	}
	switch {
	case isBinary:
		return errNotProbe
	case string(payload) == "2probe":
		return u.probe()
	case string(payload) == "5":
		return u.takeOver()
	default:
		return errNotProbe
	}
}

// Ping implements wsconn.Handler.
func (u *candidate) Ping(payload []byte) error {
	if u.upgraded {
		return (*reader)(u.c).Ping(payload)
	}
	return errNotProbe // no client pings in the middle of a probe
}

// probe answers the probe, and sets a waiting poll free: the client ends
// polling before it upgrades.
func (u *candidate) probe() error {
	if err := writeNow(u.ws, wsconn.AppendFrame(nil, []byte("3probe"), false)); err != nil {
		return err
	}
	c := u.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == stateClosed || c.poll.candidate != u { // or aborted
		return ErrClosed
	}
	c.poll.probed = true
	c.release(c.poll)
	return nil
}

// writeNow writes the first few bytes on a WebSocket, which the kernel has room
// for.
func writeNow(ws *wsconn.Conn, b []byte) error {
	write := ws.Write
	if ws.CanTry() {
		write = ws.TryWrite
	}
	if n, err := write(b); err != nil || n < len(b) {
		return errors.Join(errNotProbe, err)
	}
	return nil
}

// takeOver moves the session here.
func (u *candidate) takeOver() error {
	c := u.c
	c.mu.Lock()
	p := c.poll
	if c.state == stateClosed || p.candidate != u || !p.probed {
		c.mu.Unlock()
		return errNotProbe
	}
	u.timeout.Stop()
	u.upgraded = true
	p.left, p.candidate = true, nil
	p.wake() // a poll that is still there is told that it is over
	c.ws = u.ws
	closing := c.state == stateClosing
	var due time.Time
	if closing { // what was queued before the end leaves this way
		c.out.push(rawFrame(wsconn.AppendClose(nil, wsconn.CloseNoStatus, "")))
		due = time.Now().Add(lingerWebSocket)
		c.closeBy = c.srv.since(due)
	}
	schedule := c.out.n > 0 && c.corks == 0
	if schedule {
		c.flush = flushScheduled
	}
	c.mu.Unlock()
	if schedule {
		c.srv.flushers.add(c)
	}
	if closing {
		c.srv.wheel.sooner(c, due)
		return nil
	}
	if up, ok := c.session.(Upgrader); ok {
		up.Upgraded()
	}
	return nil
}
