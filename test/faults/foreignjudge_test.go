package faults_test

import (
	"slices"
	"testing"
	"time"
)

// inFlight is how long a message of a Node.js server may take to Redis.
const inFlight = time.Second

// verdict is what excuses that messages from and to Node.js servers are lost,
// doubled or late.
type verdict struct {
	*cluster
	place
	course
	// Of messages of Node.js servers: which ones were not sent, and which ones came
	// into Redis twice or late. With streams the stream says it, and else the Redis
	// client of the server.
	unsent, twice, late map[key]bool
	// Of messages of Node.js servers to their own clients, those that came late:
	// they are delivered when the Redis client has answered.
	overtaken map[key]bool
	// With streams, what is not there, and the times whose messages may not be.
	absent map[key]bool
	died   []window
	lost   int
}

// judgeForeign holds the ways from and to Node.js servers to what is promised.
func (c *cluster) judgeForeign(t *testing.T, p place, o course) {
	t.Helper()
	if len(c.foreign) == 0 {
		return
	}
	v := verdict{
		cluster: c, place: p, course: o,
		unsent: c.outcomes(t, "unsent"), twice: c.outcomes(t, "resent"), overtaken: c.outcomes(t, "overtaken"),
	}
	v.late = v.overtaken
	if c.keeps {
		in := p.stored(t, c)
		v.absent = keys(in.lost)
		if !p.empty {
			in = in.only(c.isForeign)
			v.twice, v.late = keys(in.twice), keys(in.disorder)
		}
		for _, w := range p.died(o.down.from) {
			v.died = append(v.died, window{w.from.Add(-inFlight), w.to})
		}
	}
	for i, l := range c.listeners {
		spared := i < len(c.nodes) && p.spares(i)
		v.of(t, l.receiver, c.check(l.receiver).only(c.isForeign), v.late, func(m message) bool { return v.mayLack(m, spared, o.down) })
	}
	for _, f := range c.foreign {
		own := func(m message) bool { return m.sender == f.name }
		others := func(m message) bool { return !own(m) }
		r := f.client.receiver
		v.of(t, r, c.check(r).only(others), v.late, func(m message) bool { return v.mayLack(m, len(p.spared) > 0, o.flows) })
		// What its own server sends reaches a client whatever happens to Redis.
		v.of(t, r, c.check(r).only(own), v.overtaken, func(message) bool { return false })
	}
	t.Logf("Node.js: %d messages lost; %d unsent, %d twice, %d late", v.lost, len(v.unsent), len(v.twice), len(v.late))
}

// of judges what one client got.
func (v *verdict) of(t *testing.T, r *receiver, f findings, late map[key]bool, mayLack func(message) bool) {
	t.Helper()
	v.lost += len(f.lost)
	f.lost = slices.DeleteFunc(f.lost, mayLack)
	f.twice = slices.DeleteFunc(f.twice, func(m message) bool { return v.twice[m.key()] })
	f.disorder = slices.DeleteFunc(f.disorder, func(m message) bool { return late[m.key()] })
	f.judge(t, r, v.struck)
}

// mayLack reports whether there is an excuse for a message that a client has not
// got. The fault does not reach one that is spared.
func (v *verdict) mayLack(m message, spared bool, down window) bool {
	switch {
	case v.keeps && !v.absent[m.key()]: // it was there for everybody
		return false
	case v.unsent[m.key()]:
		return true
	case v.keeps:
		return slices.ContainsFunc(v.died, func(w window) bool { return w.has(m.at) })
	case spared && v.sparesSender(m):
		return false
	}
	return down.has(m.at)
}

// sparesSender reports whether the fault does not reach the sender of a message.
func (v *verdict) sparesSender(m message) bool {
	if v.isForeign(m) {
		return len(v.spared) > 0
	}
	return v.spares(slices.IndexFunc(v.nodes, func(n *node) bool { return n.name == m.sender }))
}
