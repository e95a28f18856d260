package engineio

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/socketeer-io/socketeer/internal/wsconn"
	"github.com/socketeer-io/socketeer/protocol/eio"
)

// polling is the state of the polling transport, guarded by Conn.mu.
type polling struct {
	parked    chan struct{} // a GET waits and is woken by it; else nil
	posting   bool          // a POST is being handled
	candidate *candidate    // a WebSocket that tries to take over
	probed    bool          // ... and has been answered
	left      bool          // ... and has taken over
	goodbye   bool          // the client has closed the session
}

// wake lets the parked GET look at the connection again.
func (p *polling) wake() {
	select {
	case p.parked <- struct{}{}:
	default: // it has been woken already, or there is none
	}
}

// noopDelay is how long a poll may wait for data while an upgrade waits for
// it to end.
const noopDelay = 100 * time.Millisecond

// serveGet answers a poll, when there is something to say.
func (c *Conn) serveGet(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	p := c.poll
	switch {
	case c.state == stateClosed:
		c.mu.Unlock()
		c.srv.refuse(w, r, unknownSID(c.id))
		return
	case p.left:
		c.mu.Unlock()
		c.srv.refuse(w, r, mismatch(polling_, websocket))
		return
	case p.parked != nil:
		c.mu.Unlock()
		c.end(TransportError, errors.New("socketeer: two polls at once"), wsconn.CloseNoStatus)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	wake := make(chan struct{}, 1)
	p.parked = wake
	var noop <-chan time.Time
	for c.out.n == 0 && !p.left && c.state == stateOpen {
		if p.probed && noop == nil {
			t := time.NewTimer(noopDelay)
			defer t.Stop()
			noop = t.C
		}
		c.mu.Unlock()
		select {
		case <-wake:
			c.mu.Lock()
		case <-noop:
			c.mu.Lock()
			c.release(p)
		case <-r.Context().Done():
			c.mu.Lock()
			p.parked = nil
			c.mu.Unlock()
			c.abandoned(p)
			return
		}
	}
	c.respond(w, r, c.take(p))
}

// release has the parked GET answered, even if with nothing, because an
// upgrade waits for it. With c.mu held.
func (c *Conn) release(p *polling) {
	if c.out.n == 0 && p.parked != nil && c.state == stateOpen {
		c.out.push(noopPacket)
		p.wake()
	}
}

// abandoned ends the session of a client that hung up in mid-poll.
func (c *Conn) abandoned(p *polling) {
	c.mu.Lock()
	left := p.left
	c.mu.Unlock()
	if !left {
		c.fail(TransportError, errors.New("socketeer: poll aborted"))
	}
}

// take empties the queue into a response, and releases c.mu. When the session
// is closing, the close packet goes into a response of its own: the JavaScript
// client acts on it at once, and on what came with it too late.
func (c *Conn) take(p *polling) []*Message {
	p.parked = nil
	if p.left || c.state == stateClosed {
		last := closePacket
		if p.goodbye { // it need not be told
			last = noopPacket
		}
		c.mu.Unlock()
		return []*Message{last}
	}
	closing := c.state == stateClosing // then the close packet is the last
	keep := int32(0)
	if closing && c.out.n > 1 {
		keep = 1
	}
	msgs := make([]*Message, 0, c.out.n)
	for c.out.n > keep {
		msgs = append(msgs, c.out.pop())
	}
	c.mu.Unlock()
	if closing && keep == 0 {
		c.fail(ForcedClose, nil) // it is being told
	}
	return msgs
}

// respond writes a payload.
func (c *Conn) respond(w http.ResponseWriter, r *http.Request, msgs []*Message) {
	var body []byte
	compress := false
	for _, m := range msgs {
		body = m.appendPayload(body)
		compress = compress || !m.plain
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	if c.srv.draining.Load() && !c.NeedsHTTP() {
		h.Set("Connection", "close") // the client's next request is for another server
	}
	c.srv.headers(h, r, false)
	if compress {
		body = c.srv.compress(h, r, body)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	// A client that does not read its answer is worth as little patience as
	// one that does not answer a ping. Not every ResponseWriter has deadlines.
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(c.srv.o.PingTimeout))
	_, err := w.Write(body)
	if err == nil {
		err = rc.Flush()
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		c.fail(TransportError, err)
		return
	}
	_ = rc.SetWriteDeadline(time.Time{}) // the next request may be another's
}

// servePost takes in a payload.
func (c *Conn) servePost(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	p := c.poll
	switch {
	case c.state != stateOpen && !c.leaving:
		c.mu.Unlock()
		c.srv.refuse(w, r, unknownSID(c.id))
		return
	case p.left:
		c.mu.Unlock()
		c.srv.refuse(w, r, mismatch(polling_, websocket))
		return
	case p.posting:
		c.mu.Unlock()
		c.end(TransportError, errors.New("socketeer: two posts at once"), wsconn.CloseNoStatus)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.posting = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		p.posting = false
		c.mu.Unlock()
	}()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/octet-stream") {
		c.end(TransportError, errors.New("socketeer: binary payloads belong to an older protocol"), wsconn.CloseNoStatus)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	body, err := c.readBody(w, r)
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		c.fail(TransportError, err)
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for packet, err := range eio.Packets(body) {
		if err != nil {
			c.end(ParseError, err, wsconn.CloseNoStatus)
			break
		}
		if paused := c.resumed(); paused != nil {
			c.srv.readSome()
			<-paused
		}
		if c.packet(packet) != nil {
			break
		}
	}
	c.srv.readSome()
	h := w.Header()
	h.Set("Content-Type", "text/html")
	h.Set("Content-Length", "2")
	c.srv.headers(h, r, false)
	_, _ = io.WriteString(w, "ok") // the client's loss is its poll's to notice
}

// readBody reads a payload of bounded size, in the time that serve has set.
// After an error the deadline stays, for the HTTP server may want to read the
// rest of the body.
func (c *Conn) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > c.srv.o.MaxPayload {
		return nil, &http.MaxBytesError{Limit: c.srv.o.MaxPayload}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, c.srv.o.MaxPayload))
	if err == nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	return body, err
}
