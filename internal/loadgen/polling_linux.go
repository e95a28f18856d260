package loadgen

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// longestBody bounds what a server may have saved up for one poll.
	longestBody = 32 << 20
	// longestPost bounds what is sent at once; servers take 1 MB by default.
	longestPost = 256 << 10
	// keptAlive is how long a connection is idle before it is replaced rather
	// than used again: Node.js closes one after 5 s, and a request that is
	// sent at that moment is lost.
	keptAlive = 4 * time.Second
)

// The two HTTP connections of a polling session; they tell events apart.
const (
	getting = iota
	posting
)

// session is what a connection on HTTP long-polling has instead of one TCP
// connection: one on which a GET is always parked, and one for POSTs, which is
// opened when there is something to send. What waits for the next POST, joined
// as a payload, is in conn.out.
type session struct {
	query string // which session, once it is known
	http  [2]httpConn
}

type httpConn struct {
	fd   int
	busy bool   // a request has not been answered
	used int64  // when a response came last
	in   []byte // start of a response
	out  []byte // what the socket did not take
}

func (h *httpConn) hangUp(how func(fd int)) {
	if h.fd >= 0 {
		how(h.fd)
	}
	*h = httpConn{fd: -1}
}

func newSession() *session { return &session{http: [2]httpConn{{fd: -1}, {fd: -1}}} }

func (s *session) hangUp(how func(fd int)) {
	s.query = ""
	for i := range s.http {
		s.http[i].hangUp(how)
	}
}

// get asks for what the server has for the session, or for a new session.
func (l *loop) get(c *conn) { l.ask(c, getting, "GET", nil) }

// post queues a packet, and sends it unless another POST is on its way.
func (l *loop) post(c *conn, packet []byte) {
	if len(c.out) > 0 {
		c.out = append(c.out, separator)
	}
	if c.out = append(c.out, packet...); !c.session.http[posting].busy {
		l.postQueued(c)
	}
}

func (l *loop) postQueued(c *conn) {
	n, skip := len(c.out), 0
	if n > longestPost {
		n, skip = bytes.LastIndexByte(c.out[:longestPost], separator), 1
	}
	l.ask(c, posting, "POST", c.out[:n])
	if !c.gone() {
		c.out = append(c.out[:0], c.out[n+skip:]...)
	}
}

// ask sends a request on one of the session's connections, opened when it has
// to be.
func (l *loop) ask(c *conn, which int, method string, body []byte) {
	h := &c.session.http[which]
	if h.fd >= 0 && l.clock.now()-h.used > int64(keptAlive) {
		h.hangUp(reset)
	}
	if h.fd < 0 {
		fd, err := l.dial(c, which)
		if err != nil {
			l.lose(c, err)
			return
		}
		h.fd = fd
	}
	r := fmt.Appendf(l.request[:0], "%s %s?EIO=4&transport=polling%s HTTP/1.1\r\nHost: %s\r\n",
		method, l.cfg.Path, c.session.query, c.target.addr)
	if body != nil {
		r = fmt.Appendf(r, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n", len(body))
	}
	r = append(r, "\r\n"...)
	r = append(r, body...)
	l.request, h.busy = r, true
	n, errno := send(h.fd, r)
	switch {
	case errno == unix.EAGAIN:
		n = 0
	case errno != 0:
		l.lose(c, errno)
		return
	}
	h.out = append(h.out[:0], r[n:]...)
}

// handleHTTP reads one of a session's connections until it is empty.
func (l *loop) handleHTTP(c *conn, which int, events uint32) {
	h := &c.session.http[which]
	if events&unix.EPOLLOUT != 0 && len(h.out) > 0 {
		n, errno := send(h.fd, h.out)
		switch {
		case errno == unix.EAGAIN:
			n = 0
		case errno != 0:
			l.lose(c, errno)
			return
		}
		h.out = append(h.out[:0], h.out[n:]...)
	}
	for h.fd >= 0 {
		n, errno := recv(h.fd, l.buf)
		switch {
		case errno == unix.EAGAIN || errno == unix.EINTR:
			return
		case n > 0 && errno == 0:
			l.answered(c, which, l.buf[:n])
			continue
		case !h.busy: // the server keeps no idle connection
			h.hangUp(reset)
		case errno != 0:
			l.lose(c, errno)
		default:
			l.lose(c, errClosed)
		}
		return
	}
}

// answered handles the responses in what came, and keeps the start of one.
func (l *loop) answered(c *conn, which int, b []byte) {
	h := &c.session.http[which]
	if len(h.in) > 0 {
		h.in = append(h.in, b...)
		b = h.in
	}
	now := l.clock.now()
	for len(b) > 0 {
		r, n, err := nextResponse(b, longestBody)
		switch {
		case err == nil && n > 0 && !h.busy:
			err = errUnasked
		case err == nil && n > 0 && r.status != 200:
			err = &refusal{"server refused a poll", r.status, string(r.body[:min(len(r.body), shownBody)])}
		}
		if err != nil {
			l.lose(c, err)
			return
		}
		if n == 0 {
			break
		}
		b, h.busy, h.used = b[n:], false, now
		if r.last {
			b = nil
			h.hangUp(reset)
		}
		if l.onResponse(c, which, r, now); c.gone() {
			return
		}
	}
	if h.in = append(h.in[:0], b...); len(h.in) == 0 && cap(h.in) > bufferSize {
		h.in = nil
	}
}

var errUnasked = errors.New("socketeer: server sent a response without a request")

// onResponse handles a response, and sends the next request when there is one.
func (l *loop) onResponse(c *conn, which int, r response, now int64) {
	if which == posting {
		if len(c.out) > 0 {
			l.postQueued(c)
		}
		return
	}
	for body := r.body; len(body) > 0; {
		var packet []byte
		packet, body, _ = bytes.Cut(body, []byte{separator})
		if l.onText(c, packet, now); c.gone() {
			return
		}
	}
	l.get(c)
}

// polling reports how many connections were on which transport, and what each
// kind saw. The loops have ended.
func (r *run) polling() *Polling {
	if r.cfg.Polling == 0 {
		return nil
	}
	var sum *kinds
	if r.team != nil {
		sum = r.team.kinds()
	} else {
		sum = collectKinds(r.loops)
	}
	n := newPlan(*r.cfg).pollers()
	return &Polling{
		Conns: n, WebSocketConns: r.cfg.Conns - n,
		Messages: uint64(sum.polling.TotalCount()), WebSocketMessages: uint64(sum.webSocket.TotalCount()),
		Latency: latencyOf(sum.polling), WebSocketLatency: latencyOf(sum.webSocket),
	}
}
