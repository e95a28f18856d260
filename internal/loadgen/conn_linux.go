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
	lost
)

// conn is one client. It belongs to its loop.
type conn struct {
	fd      int
	state   state
	local   int32  // index in its loop
	nth     int    // number among those to the same target
	tag     uint32 // room, or in Echo the connection's number
	slot    int32  // sender within the room, or -1
	seq     uint32 // of the last message sent
	pending int    // own messages that have not come back, when saturating
	target  *target
	lane    *lane
	partial []byte // start of a frame
	out     []byte // what the socket did not take
}

// lane is the part of a room that one loop has. Its senders take turns. In
// Echo, a lane is all the connections of a loop.
type lane struct {
	live    *atomic.Int64 // members of the room, on all loops; nil in Echo
	join    []byte        // frame
	say     template
	tokens  int // messages kept on their way when saturating
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

// next returns the sender whose turn it is, nil when all are lost.
func (n *lane) next() *conn {
	for range n.senders {
		c := n.senders[n.turn]
		if n.turn++; n.turn == len(n.senders) {
			n.turn = 0
		}
		if c.state != lost {
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
	stamp{at: at, room: c.tag, slot: uint32(c.slot), seq: c.seq}.put(c.lane.say.stamp)
	l.write(c, c.lane.say.wire)
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

// back notes that one of c's own messages has come back, and keeps the load
// up: the connection itself sends again in Echo, the next one in Rooms.
func (l *loop) back(c *conn, now int64) {
	if c.pending--; l.cfg.Rate > 0 || !l.sending || now >= l.measure.end {
		return
	}
	if l.rooms {
		if c = c.lane.next(); c == nil {
			return
		}
	}
	l.say(c, now)
}
