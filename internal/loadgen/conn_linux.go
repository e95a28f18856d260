package loadgen

import "sync/atomic"

// state is how far a connection is.
type state uint8

const (
	unopened   state = iota
	upgrading        // waits for the response to its upgrade
	opening          // waits for the Engine.IO handshake
	connecting       // waits to be in the namespace
	accepted         // is in the namespace, and in no room yet
	joining          // waits to be in its room
	ready
	away // cut, and coming back
	lost
)

// conn is one client. It belongs to its loop.
type conn struct {
	fd       int
	state    state
	local    int32  // index in its loop
	nth      int    // number among those to the same target, which its source address goes by
	tag      uint32 // room or pair, or in Echo the connection's number
	slot     int32  // sender within the room, or -1
	name     string // in Direct, the room it is alone in
	peer     *conn  // in Direct, the one it sends to
	seq      uint32 // of the last message sent
	pending  int    // own messages that have not come back, when saturating
	target   *target
	lane     *lane
	comeback *comeback // in modes that cut, else nil
	session  *session  // on HTTP long-polling, else nil
	partial  []byte    // start of a frame
	out      []byte    // what the socket did not take
}

// gone tells whether there is no connection, nor one being set up.
func (c *conn) gone() bool { return c.state >= away }

// hangUp closes the connection's sockets, by reset or finish.
func (c *conn) hangUp(how func(fd int)) {
	if c.session != nil {
		c.session.hangUp(how)
	}
	if c.fd >= 0 {
		how(c.fd)
	}
	c.fd, c.partial, c.out = -1, nil, nil
}

// lane is the part of a room that one loop has. Its senders take turns. In
// Echo, a lane is all the connections of a loop, in Direct a pair.
type lane struct {
	live    *atomic.Int64 // members of the room, on all loops; nil when there is no room
	join    []byte        // frame
	say     *template     // shared by all the lanes of a loop in Direct
	tokens  int           // messages kept on their way when saturating
	senders []*conn
	turn    int
}

// deliveries returns how often a message sent now will arrive.
func (n *lane) deliveries() uint64 {
	if n.live == nil {
		return 1
	}
	return uint64(n.live.Load())
}

// next returns the sender whose turn it is, nil when all are lost, or their
// partners are.
func (n *lane) next() *conn {
	for range n.senders {
		c := n.senders[n.turn]
		if n.turn++; n.turn == len(n.senders) {
			n.turn = 0
		}
		if c.state == ready && (c.peer == nil || c.peer.state == ready) {
			return c
		}
	}
	return nil
}

// nextSender lets the lanes take turns too.
func (l *loop) nextSender() *conn {
	if len(l.lanes) == 0 {
		return nil
	}
	n := l.lanes[l.turns%len(l.lanes)]
	l.turns++
	return n.next()
}

// say sends c's next message, due at the time given.
func (l *loop) say(c *conn, at int64) {
	c.seq++
	c.pending++
	l.tally.sent++
	if at >= l.measure.count {
		l.tally.measured++
	}
	l.tally.expected += c.lane.deliveries()
	t := c.lane.say
	if c.peer != nil {
		t.readdress(c.peer.name, l.cfg.Payload)
	}
	stamp{at: at, room: c.tag, slot: uint32(c.slot), seq: c.seq}.put(t.stamp)
	l.write(c, t.wire)
}

// fill puts the first messages of a saturated run on their way.
func (l *loop) fill() {
	now := l.clock.now()
	for _, n := range l.lanes {
		for range n.tokens {
			if c := n.next(); c != nil {
				l.say(c, now)
			}
		}
	}
}

// back notes that one of c's own messages has come back, or has come to its
// partner, and keeps the load up: the connection itself sends again in Echo
// and Direct, the next one in a room.
func (l *loop) back(c *conn, now int64) {
	if c.pending--; l.cfg.Rate > 0 || !l.sending || now >= l.measure.end {
		return
	}
	if l.rooms && !l.direct {
		if c = c.lane.next(); c == nil {
			return
		}
	}
	l.say(c, now)
}
