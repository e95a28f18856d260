package loadgen

import "math"

// place is what a connection is in the run.
type place struct {
	loop   int
	target int // index into Config.Addrs
	room   int // -1 when there are no rooms
	slot   int // sender within the room, or -1: it only listens

	polling bool // on HTTP long-polling, else on WebSocket
}

// plan deals the connections to loops, servers and rooms. A room stays on one
// loop as long as there are enough rooms for all loops, and its members are
// spread over the servers.
type plan struct {
	conns, room, rooms int // a pair is a room of two
	loops, targets     int
	senders            int     // at most, per room
	perSend            float64 // messages or deliveries that come from one send, on average
	polling            float64 // share of the connections
	cut                bool    // senders are the ones that stay, and not on polling
}

func newPlan(c Config) plan {
	p := plan{conns: c.Conns, loops: c.Loops, targets: len(c.Addrs), senders: 1, perSend: 1, polling: c.Polling}
	switch {
	case c.Mode == Direct:
		p.room, p.rooms, p.senders = 2, c.Conns/2, 2
	case c.Mode.inRooms():
		p.room = c.Room
		p.rooms = (c.Conns + c.Room - 1) / c.Room
		p.senders = min(c.Room, MaxSenders)
		if c.Mode == Drops {
			p.senders, p.cut = 1, true
		}
		p.perSend = float64(c.Conns) / float64(p.rooms)
	}
	return p
}

// roomSize returns the number of members of a room.
func (p plan) roomSize(room int) int { return min(p.room, p.conns-room*p.room) }

func (p plan) place(i int) place {
	at := place{loop: i * p.loops / p.conns, target: i % p.targets, room: -1, polling: p.polls(i)}
	if p.rooms == 0 {
		return at
	}
	at.room = i / p.room
	member, size := i%p.room, p.roomSize(at.room)
	if p.rooms >= p.loops {
		at.loop = at.room % p.loops
	} else {
		at.loop = member * p.loops / size
	}
	at.slot = -1
	if stride := max(1, size/p.senders); member%stride == 0 && member/stride < p.senders {
		at.slot = member / stride
		at.polling = at.polling && !p.cut
	}
	return at
}

// polls tells whether a connection is on polling. Multiples of the golden
// ratio spread evenly, also over each server and each kind of member, which a
// fixed step might not.
func (p plan) polls(i int) bool {
	_, frac := math.Modf(0.5 + float64(i)*math.Phi)
	return frac < p.polling
}

// pollers returns how many are.
func (p plan) pollers() int {
	n := 0
	for i := range p.conns {
		if p.place(i).polling {
			n++
		}
	}
	return n
}

// sends returns how many messages a second make the rate asked for.
func (p plan) sends(rate float64) float64 { return rate / p.perSend }
