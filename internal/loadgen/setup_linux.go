package loadgen

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// newLoops deals the connections of a run to its loops.
func newLoops(cfg *Config, clk clock) ([]*loop, error) {
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
			cfg: cfg, clock: clk, poll: poll, rooms: cfg.Mode.inRooms(),
			number: i, sends: p.sends(cfg.Rate),
			accept: acceptValue(),
			enter:  appendFrame(nil, opText, nspEnter),
			pong:   appendFrame(nil, opText, pong),
			buf:    make([]byte, bufferSize),
			conns:  make([]conn, 0, sizes[i]),
			order:  newOrder(sizes[i], p.senders),
			hist:   newHistogram(),
		}
		for _, t := range targets {
			loops[i].targets = append(loops[i].targets, t.forLoop())
		}
	}
	deal(cfg, p, loops)
	return loops, nil
}

// deal makes the connections and the lanes.
func deal(cfg *Config, p plan, loops []*loop) {
	// Runs on the same server at the same time, or shortly after one another,
	// must not meet in a room.
	prefix := fmt.Sprintf("%04x-", uint16(time.Now().UnixMicro()))
	nth := make([]int, p.targets)
	live := make([]atomic.Int64, p.rooms)
	lanes := make(map[[2]int]*lane)
	for i := range cfg.Conns {
		at := p.place(i)
		l := loops[at.loop]
		n := lanes[[2]int{at.loop, at.room}]
		if n == nil {
			n = &lane{}
			if l.rooms {
				room := fmt.Sprintf("%s%d", prefix, at.room)
				n.live = &live[at.room]
				n.join = appendFrame(nil, opText, `421["join","`+room+`"]`)
				n.say = newTemplate(`42["say","`+room+`","`, `"]`, cfg.Payload)
				n.tokens = max(1, cfg.Inflight/max(1, p.loops/p.rooms))
			} else {
				n.say = newTemplate(`421["echo","`, `"]`, cfg.Payload)
			}
			lanes[[2]int{at.loop, at.room}] = n
			l.lanes = append(l.lanes, n)
		}
		l.conns = append(l.conns, conn{
			fd: -1, local: int32(len(l.conns)), nth: nth[at.target],
			target: &l.targets[at.target], lane: n, tag: uint32(i),
		})
		nth[at.target]++
		c := &l.conns[len(l.conns)-1]
		if l.rooms {
			n.live.Add(1)
			c.tag, c.slot = uint32(at.room), int32(at.slot)
		}
		if c.slot >= 0 {
			n.senders = append(n.senders, c)
		}
		if !l.rooms {
			n.tokens = cfg.Inflight * len(n.senders)
		}
	}
	for _, l := range loops {
		// Rooms take turns; in Echo the connections do, all in one lane.
		if l.part, l.whole = len(l.lanes), len(lanes); !l.rooms {
			l.part, l.whole = len(l.conns), cfg.Conns
		}
	}
}

// connect brings all connections of the loop into the namespace, then into
// their rooms.
func (l *loop) connect(ctx context.Context) error {
	limit := max(1, l.cfg.ConnectInflight/l.cfg.Loops)
	err := l.setUp(ctx, limit, func() int { return l.tally.accepted }, l.open)
	if err != nil || !l.rooms {
		return err
	}
	return l.setUp(ctx, 2*limit, func() int { return l.tally.ready }, func(c *conn) error {
		c.state = joining
		l.write(c, c.lane.join)
		return nil
	})
}

// setUp starts something for each connection, at most limit at once, and
// waits until it is done for all.
func (l *loop) setUp(ctx context.Context, limit int, done func() int, start func(*conn) error) error {
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
		} else if now-began > int64(stalled) {
			return fmt.Errorf("socketeer: %d of %d connections were set up, then none for %v", n, len(l.conns), stalled)
		}
	}
	return nil
}

// open starts a connection. On loopback it is usually there when connect
// returns, and the request can be written at once.
func (l *loop) open(c *conn) error {
	fd, err := c.target.dial(c.nth)
	if err != nil {
		return err
	}
	c.fd, c.state = fd, upgrading
	if err := l.poll.add(fd, int(c.local)); err != nil {
		return fmt.Errorf("socketeer: epoll: %w", err)
	}
	l.write(c, c.target.request)
	return nil
}
