package loadgen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// duties bounds what is done in one turn, so that reading goes on.
const duties = 64

var errExpired = errors.New("socketeer: the server did not answer in " + attemptTimeout.String())

// comeback is what a connection that comes back has besides.
type comeback struct {
	cut     int64  // when it was cut
	failed  int    // attempts since
	passed  int    // servers that the latest attempt found unavailable
	first   int    // number of the one it tried first
	attempt uint32 // number of the latest attempt, of all; each server counts
	opened  int64  // when that began
	got     uint32 // messages, each counted once

	pid    string // what the server calls the session, when it can be recovered
	offset []byte // the last message's, as it stands in JSON
}

// session notes the session's id in an answer to CONNECT, and tells whether
// it is the one there was before.
func (b *comeback) session(p []byte) (recovered bool) {
	pid, _ := stringField(p, "pid")
	recovered = pid != "" && pid == b.pid
	b.pid = pid
	return recovered
}

// at notes the offset of a message: like the JavaScript client, the last
// argument when it is a string, and when the session can be recovered at all.
func (b *comeback) at(p []byte) {
	if b.pid == "" {
		return
	}
	if offset := lastString(p); offset != nil {
		b.offset = append(b.offset[:0], offset...)
	}
}

// entry returns the frame that takes c into the namespace.
func (l *loop) entry(c *conn) []byte {
	b := c.comeback
	switch {
	case !l.cfg.Recover || b.pid == "":
		return l.enter
	case len(b.offset) == 0:
		return appendFrame(nil, opText, fmt.Sprintf(`%s{"pid":"%s"}`, nspEnter, b.pid))
	}
	return appendFrame(nil, opText, fmt.Sprintf(`%s{"pid":"%s","offset":"%s"}`, nspEnter, b.pid, b.offset))
}

// untilDue returns how long it is to the next appointment.
func (l *loop) untilDue() time.Duration {
	if len(l.agenda) == 0 {
		return longestWait
	}
	return l.clock.until(l.agenda[0].at)
}

// doDue keeps the appointments that are due.
func (l *loop) doDue() {
	if len(l.agenda) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	for range duties {
		p, ok := l.agenda.due(now)
		if !ok {
			return
		}
		c := &l.conns[p.conn]
		switch p.duty {
		case open:
			l.comeBack(c, now)
		case drop:
			l.drop(c, p, now)
		case expire:
			if c.state < ready && c.comeback.attempt == p.attempt {
				l.lose(c, errExpired)
			}
		}
	}
}

// cut cuts a connection on purpose, and lets it come back after a time.
func (l *loop) cut(c *conn, now int64, after time.Duration) {
	how := reset
	if l.cfg.Cut == FIN {
		how = finish
	}
	c.hangUp(how)
	c.state = away
	l.tally.cuts++
	c.comeback.cut, c.comeback.failed = now, 0
	l.agenda.add(appointment{at: now + int64(after), conn: c.local, duty: open})
}

// comeBack opens a connection that is away.
func (l *loop) comeBack(c *conn, now int64) {
	b := c.comeback
	b.attempt++
	if b.passed == 0 {
		b.opened = now
	}
	if l.cfg.Mode == Deploy {
		l.deal(c)
	}
	if l.tally.firstReturn == 0 {
		l.tally.firstReturn = now
	}
	if err := l.open(c); err != nil {
		l.lose(c, err)
		return
	}
	l.agenda.add(appointment{at: now + int64(attemptTimeout), conn: c.local, duty: expire, attempt: b.attempt})
}

// deal sends a client that comes back to a server as a load balancer does: to
// any of them, and to the next one when that is not there.
func (l *loop) deal(c *conn) {
	b := c.comeback
	if b.passed == 0 {
		b.first = rand.IntN(len(l.targets))
	}
	c.target = &l.targets[(b.first+b.passed)%len(l.targets)]
}

// unavailable reports whether a load balancer goes on to the next server
// after what has happened to a connection in a state: it could not be made, or
// ended before an answer, or the answer was that the server is not available
// (503). The client hears nothing of it.
func (c *conn) unavailable(was state, why error) bool {
	unanswered := was == upgrading || was == opening && c.session != nil
	if !unanswered || errors.Is(why, errExpired) {
		return false
	}
	var refused *refusal
	return !errors.As(why, &refused) || refused.status == http.StatusServiceUnavailable
}

// fell notes that a connection is gone which comes back: one that was ready,
// though nobody cut it, or one that was on its way.
func (l *loop) fell(c *conn, was state, why error) {
	now := l.clock.now()
	c.state = away
	switch {
	case was == ready:
		if l.tally.lost++; l.tally.lostWhy == nil {
			l.tally.lostWhy = why
		}
		l.tally.fallen++
		c.comeback.cut, c.comeback.failed = now, 0
	case l.cfg.Mode == Deploy && c.comeback.passed+1 < len(l.targets) && c.unavailable(was, why):
		l.tally.passed++
		c.comeback.passed++
		l.agenda.add(appointment{at: now, conn: c.local, duty: open})
		return
	default:
		if l.tally.failed++; l.tally.failedWhy == nil {
			l.tally.failedWhy = why
		}
		c.comeback.failed++
	}
	c.comeback.passed = 0
	wait := backoff(l.cfg.ReconnectDelay, c.comeback.failed, rand.Float64())
	l.agenda.add(appointment{at: now + int64(wait), conn: c.local, duty: open})
}

// reentered notes that a connection is back in the namespace, and in its room
// too when the server has recovered its session.
func (l *loop) reentered(c *conn, recovered bool) {
	if recovered {
		l.tally.recovered++
		l.settled(c)
		return
	}
	l.join(c)
}

// cameBack notes that a connection is back altogether.
func (l *loop) cameBack(c *conn) {
	now := l.clock.now()
	c.comeback.passed = 0
	l.tally.returned++
	l.tally.lastReturn = now
	_ = l.absences.RecordValue(min((now-c.comeback.cut)/1000, maxLatency)) // in range: cannot fail
	if l.attempts != nil {
		_ = l.attempts.RecordValue(min((now-c.comeback.opened)/1000, maxLatency)) // in range: cannot fail
	}
	if l.cfg.Mode == Storm {
		l.took(c, now-c.comeback.cut)
	}
}
