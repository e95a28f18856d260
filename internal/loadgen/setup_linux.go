package loadgen

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// newLoops deals the connections of a share to its loops.
func newLoops(s *portion, clk clock) ([]*loop, error) {
	cfg := &s.Config
	targets := make([]target, len(cfg.Addrs))
	for i, a := range cfg.Addrs {
		t, err := resolve(a, cfg.Path)
		if err != nil {
			return nil, err
		}
		targets[i] = t
	}
	p := newPlan(*cfg)
	sizes := make([]int, cfg.Loops)
	for i := range cfg.Conns {
		sizes[p.place(i).loop]++
	}
	loops := make([]*loop, cfg.Loops)
	for i := range loops {
		poll, err := newPoller()
		if err != nil {
			for _, l := range loops[:i] {
				l.close()
			}
			return nil, err
		}
		loops[i] = &loop{
			cfg: cfg, clock: clk, poll: poll,
			rooms: p.rooms > 0, direct: cfg.Mode == Direct, joins: cfg.Mode.inRooms() || cfg.ToUser,
			number: s.Part*cfg.Loops + i, of: s.Parts * cfg.Loops, sends: p.sends(cfg.Rate),
			accept: acceptValue(), sockets: 1,
			enter: appendFrame(nil, opText, nspEnter),
			pong:  appendFrame(nil, opText, pong),
			buf:   make([]byte, bufferSize),
			conns: make([]conn, 0, sizes[i]),
			order: newOrder(sizes[i], p.senders),
			hist:  newHistogram(),
		}
		if cfg.Mode.cuts() {
			loops[i].absences = newHistogram()
			loops[i].attempts = newHistogram()
		}
		if cfg.Polling > 0 {
			loops[i].sockets, loops[i].kinds = 2, newKinds()
		}
		for _, t := range targets {
			t = t.forLoop()
			t.source, t.share = s.Source, cfg.perSource()
			loops[i].targets = append(loops[i].targets, t)
		}
	}
	deal(s, p, loops)
	return loops, nil
}

// dealer makes the connections of a run and their lanes.
type dealer struct {
	cfg    *Config
	plan   plan
	prefix string // of the names of rooms
	live   []atomic.Int64
	lanes  map[[2]int]*lane // by loop and room
	direct []*template      // by loop
}

func deal(s *portion, p plan, loops []*loop) {
	cfg := &s.Config
	d := dealer{
		cfg: cfg, plan: p, live: make([]atomic.Int64, p.rooms),
		lanes: make(map[[2]int]*lane), direct: make([]*template, len(loops)),
		// Runs on the same server at the same time, or shortly after one
		// another, must not meet in a room.
		prefix: fmt.Sprintf("%04x-%s", uint16(time.Now().UnixMicro()), s.name()),
	}
	nth := make([]int, p.targets)
	for i := range cfg.Conns {
		at := p.place(i)
		l := loops[at.loop]
		n := d.lane(l, at)
		l.conns = append(l.conns, conn{
			fd: -1, local: int32(len(l.conns)), nth: nth[at.target],
			target: &l.targets[at.target], lane: n, tag: uint32(i),
		})
		nth[at.target]++
		c := &l.conns[len(l.conns)-1]
		if cfg.Mode == Deploy {
			c.nth = i // any server may get it
		}
		if l.rooms {
			c.tag, c.slot = uint32(at.room), int32(at.slot)
		}
		if l.absences != nil {
			c.comeback = &comeback{}
		}
		if at.polling {
			c.session = newSession()
		}
		if n.live != nil {
			n.live.Add(1)
		}
		if cfg.ToUser {
			c.name = fmt.Sprintf("user:%s%08d", d.prefix, i)
		}
		if c.slot < 0 {
			continue
		}
		if n.senders = append(n.senders, c); l.direct && c.slot == 1 {
			c.peer = n.senders[0]
			c.peer.peer = c
		}
		if n.live == nil {
			n.tokens = cfg.Inflight * len(n.senders)
		}
	}
	share(cfg, loops)
}

// share says which part of the sends is each loop's. Rooms and pairs take
// turns; in Echo the connections do, all in one lane.
func share(cfg *Config, loops []*loop) {
	whole := 0
	for _, l := range loops {
		l.lanes = slices.DeleteFunc(l.lanes, func(n *lane) bool { return len(n.senders) == 0 })
		whole += len(l.lanes)
	}
	for _, l := range loops {
		if l.part, l.whole = len(l.lanes), whole; !l.rooms {
			l.part, l.whole = len(l.conns), cfg.Conns
		}
	}
}

// lane returns the lane of a place, made when it is the first there.
func (d *dealer) lane(l *loop, at place) *lane {
	key := [2]int{at.loop, at.room}
	n := d.lanes[key]
	if n != nil {
		return n
	}
	n = &lane{}
	switch {
	case l.direct:
		if d.direct[at.loop] == nil {
			d.direct[at.loop] = new(newSay("", d.cfg.Payload))
		}
		n.say = d.direct[at.loop]
	case l.rooms:
		room := fmt.Sprintf("%s%d", d.prefix, at.room)
		n.live = &d.live[at.room]
		n.join = joinFrame(room)
		n.say = new(newSay(room, d.cfg.Payload))
		n.tokens = max(1, d.cfg.Inflight/max(1, d.plan.loops/d.plan.rooms))
	default:
		n.say = new(newTemplate(`421["echo","`, `"]`, d.cfg.Payload))
	}
	d.lanes[key] = n
	l.lanes = append(l.lanes, n)
	return n
}

func joinFrame(room string) []byte { return appendFrame(nil, opText, `421["join","`+room+`"]`) }

// connect brings all connections of the loop into the namespace, then into
// their rooms.
func (l *loop) connect(ctx context.Context) error {
	limit := max(1, l.cfg.ConnectInflight/l.cfg.Loops)
	err := l.setUp(ctx, limit, false, func() int { return l.tally.accepted }, l.open)
	if err != nil || !l.joins {
		return err
	}
	err = l.setUp(ctx, 2*limit, true, func() int { return l.tally.ready }, func(c *conn) error {
		l.join(c)
		return nil
	})
	if err == nil && l.cfg.Mode == Deploy { // from now on: a server may go before the load has begun
		l.mu.Lock()
		l.returning = true
		l.mu.Unlock()
	}
	return err
}

// join asks for the connection's room.
func (l *loop) join(c *conn) {
	c.state = joining
	if l.direct {
		l.write(c, joinFrame(c.name))
		return
	}
	l.write(c, c.lane.join)
}

// setUp starts something for each connection, at most limit at once, and
// waits until it is done for all.
func (l *loop) setUp(ctx context.Context, limit int, joining bool, done func() int, start func(*conn) error) error {
	began, reached := l.clock.now(), 0
	for started := 0; done() < len(l.conns); {
		l.mu.Lock()
		for ; started < len(l.conns) && l.inflight < limit; started++ {
			l.inflight++
			if err := start(&l.conns[started]); err != nil {
				l.mu.Unlock()
				return err
			}
		}
		l.mu.Unlock()
		if err := l.turn(ctx, longestWait); err != nil {
			return err
		}
		now := l.clock.now()
		if n := done(); n > reached {
			began, reached = now, n
		} else if now-began > int64(l.cfg.Patience) {
			return l.stuck(n, joining)
		}
	}
	return nil
}

// stuck is the error of a set-up that does not go on: n of the loop's
// connections are in the namespace or, when they were to join, in their rooms.
func (l *loop) stuck(n int, joining bool) error {
	of, patience := len(l.conns), l.cfg.Patience
	switch {
	case joining && n == 0:
		return fmt.Errorf("socketeer: none of %d connections was told in %v that it had joined a room: %s", of, patience, application)
	case joining:
		return fmt.Errorf("socketeer: %d of %d connections joined their rooms, then none for %v", n, of, patience)
	case len(l.cfg.PIDs) == 0 && l.cfg.Mode != Deploy: // there it has been looked at
		return fmt.Errorf("socketeer: %d of %d connections were set up, then none for %v: "+
			"the server may have reached its limit on open files (ulimit -n), which --pid tells before the run", n, of, patience)
	}
	return fmt.Errorf("socketeer: %d of %d connections were set up, then none for %v", n, of, patience)
}

// open starts a connection. On loopback it is usually there when connect
// returns, and the request can be written at once.
func (l *loop) open(c *conn) error {
	if c.session != nil {
		c.state = opening
		l.get(c)
		return nil
	}
	fd, err := l.dial(c, 0)
	if err != nil {
		return err
	}
	c.fd, c.state = fd, upgrading
	l.write(c, c.target.request)
	return nil
}

// dial opens a TCP connection, one of up to two that c may have.
func (l *loop) dial(c *conn, part int) (fd int, err error) {
	if fd, err = c.target.dial(c.nth*l.sockets + part); err != nil {
		return -1, err
	}
	if err := l.poll.add(fd, c.local, int32(part)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("socketeer: epoll: %w", err)
	}
	return fd, nil
}
