package loadgen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// The messages a client gets, up to the stamp in them, and those it sends.
const (
	msgHead  = `42["msg","`
	ackHead  = `431["`
	joinAck  = `431[`
	ping     = "2"
	pong     = "3"
	closing  = "1"
	noop     = "6"
	nspEnter = "40"
	nspLeave = "41"
	nspError = "44"
)

// separator stands between the packets of a polling payload.
const separator = 0x1e

// longestFrame leaves room for a header, so that a frame always fits the
// buffer it is put together in.
const longestFrame = bufferSize - 16

var (
	errClosed       = errors.New("socketeer: server closed the connection")
	errNoSID        = errors.New("socketeer: server sent no id for the session or the socket")
	errDisconnected = errors.New("socketeer: server disconnected the socket")
)

// consume handles what b holds and returns the incomplete frame at its end.
func (l *loop) consume(c *conn, b []byte, now int64) []byte {
	for len(b) > 0 && !c.gone() {
		if c.state == upgrading {
			n, err := upgradeResponse(b, l.accept)
			if err != nil {
				l.lose(c, err)
			}
			if n == 0 {
				return b
			}
			b, c.state = b[n:], opening
			continue
		}
		f, n, err := nextFrame(b, longestFrame)
		if err != nil {
			l.lose(c, err)
		}
		if n == 0 {
			return b
		}
		b = b[n:]
		if f.op == opText {
			l.onText(c, f.payload, now)
		} else {
			l.onOther(c, f)
		}
	}
	return b
}

// onText handles an Engine.IO packet. The two that carry the load come first.
func (l *loop) onText(c *conn, p []byte, now int64) {
	var body []byte
	switch {
	case c.state < connecting, c.state < ready && !l.returning:
	case l.rooms && len(p) > len(msgHead) && string(p[:len(msgHead)]) == msgHead:
		body = p[len(msgHead):]
	case !l.rooms && len(p) > len(ackHead) && string(p[:len(ackHead)]) == ackHead:
		body = p[len(ackHead):]
	}
	if body == nil {
		l.onControl(c, p)
		return
	}
	s, ok := readStamp(body)
	if !ok || s.room != c.tag || int(s.slot) >= l.order.senders || l.direct && int32(s.slot) == c.slot {
		l.tally.foreign++
		return
	}
	if l.cfg.Recover {
		c.comeback.at(p)
	}
	switch first := l.record(c, s, now); {
	case !first:
	case l.direct:
		l.back(c.peer, now)
	case int32(s.slot) == c.slot:
		l.back(c, now)
	}
}

// onControl handles the packets of setting up and staying connected.
func (l *loop) onControl(c *conn, p []byte) {
	text := string(p[:min(len(p), 200)])
	switch {
	case text == ping:
		l.tally.pings++
		l.write(c, l.pong)
	case c.state == opening && strings.HasPrefix(text, "0"):
		if c.session != nil {
			sid, ok := stringField(p, "sid")
			if !ok {
				l.lose(c, errNoSID)
				return
			}
			c.session.query = "&sid=" + sid
		}
		c.state = connecting
		l.write(c, l.entry(c))
	case c.state == connecting && strings.HasPrefix(text, nspEnter):
		l.entered(c, p)
	case c.state == joining && strings.HasPrefix(text, joinAck):
		l.settled(c)
	case text == noop && c.session != nil:
	case text == closing:
		l.lose(c, errClosed)
	case strings.HasPrefix(text, nspLeave):
		l.lose(c, errDisconnected)
	case strings.HasPrefix(text, nspError):
		l.lose(c, fmt.Errorf("socketeer: server refused the namespace: %s", text[len(nspError):]))
	default:
		l.tally.foreign++
	}
}

// entered notes that c is in the namespace, with the server's answer.
func (l *loop) entered(c *conn, p []byte) {
	if l.direct && !l.joins {
		sid, ok := stringField(p, "sid")
		if !ok {
			l.lose(c, errNoSID)
			return
		}
		c.name = sid
	}
	c.state = accepted
	recovered := l.cfg.Recover && c.comeback.session(p)
	if l.returning {
		l.reentered(c, recovered)
		return
	}
	l.tally.accepted++
	l.tally.lastAccept = l.clock.now()
	if !l.joins {
		l.settled(c)
		return
	}
	l.inflight--
}

// settled notes that c is where it should be.
func (l *loop) settled(c *conn) {
	c.state = ready
	if l.returning {
		l.cameBack(c)
		return
	}
	l.tally.ready++
	l.inflight--
}

// onOther handles the frames that are no text.
func (l *loop) onOther(c *conn, f frame) {
	switch f.op {
	case opPing:
		l.write(c, appendFrame(nil, opPong, string(f.payload)))
	case opPong:
	case opClose:
		err := errClosed
		if len(f.payload) >= 2 {
			err = fmt.Errorf("socketeer: server closed the connection with code %d %q",
				binary.BigEndian.Uint16(f.payload), f.payload[2:])
		}
		l.lose(c, err)
	default:
		l.tally.foreign++
	}
}

// write sends a frame, or keeps what the socket does not take now.
func (l *loop) write(c *conn, wire []byte) {
	if c.session != nil {
		l.post(c, clientPayload(wire))
		return
	}
	if len(c.out) > 0 {
		c.out = append(c.out, wire...)
		return
	}
	n, errno := send(c.fd, wire)
	switch {
	case errno == unix.EAGAIN:
		n = 0
	case errno != 0:
		l.lose(c, errno)
		return
	}
	if n < len(wire) {
		c.out = append(c.out, wire[n:]...)
	}
}

// flush sends what was kept; it returns false when the connection is lost.
func (l *loop) flush(c *conn) bool {
	n, errno := send(c.fd, c.out)
	switch {
	case errno == unix.EAGAIN:
		return true
	case errno != 0:
		l.lose(c, errno)
		return false
	}
	c.out = append(c.out[:0], c.out[n:]...)
	return true
}

// lose gives a connection up. Before it is ready that ends the run; later the
// run goes on without it.
func (l *loop) lose(c *conn, why error) {
	was := c.state
	c.hangUp(reset)
	if l.returning {
		l.fell(c, was, why)
		return
	}
	c.state = lost
	if was < ready {
		if l.failure == nil {
			l.failure = l.setupError(c, was, why)
		}
		return
	}
	if l.tally.lost++; l.tally.lostWhy == nil {
		l.tally.lostWhy = why
	}
	if c.lane.live == nil {
		return
	}
	c.lane.live.Add(-1)
	for now := l.clock.now(); c.pending > 0; {
		l.back(c, now)
	}
}

func (l *loop) setupError(c *conn, was state, why error) error {
	if was == upgrading && !errors.Is(why, errClosed) {
		if _, ok := errors.AsType[unix.Errno](why); ok {
			return c.target.failed(why)
		}
	}
	return fmt.Errorf("socketeer: connection %d to %s failed while it was set up: %s",
		c.nth+1, c.target.addr, strings.TrimPrefix(why.Error(), "socketeer: "))
}
