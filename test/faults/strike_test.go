package faults_test

import (
	"testing"
	"time"
)

// course is what happened to a cluster, and when.
type course struct {
	struck    time.Time
	down      window // from what was on its way when Redis broke, until the nodes were ready, and knew the masters
	flows     window // the same, until clients of Node.js servers got everybody's messages
	before    toll
	recovered bool // the traveller
}

// informed returns what waits until all nodes have asked once more who the
// masters are. One that is ready may still use one that will be none when it has.
func (c *cluster) informed() (wait func(testing.TB)) {
	var asked []func() bool
	for _, n := range c.nodes {
		refreshes := func() uint64 { return n.member.(redisMember).Stats().Refreshes }
		before := refreshes() // perhaps it asks now, and hears of before
		asked = append(asked, func() bool { return refreshes() >= before+2 })
	}
	return func(t testing.TB) {
		t.Helper()
		for _, f := range asked {
			eventually(t, c.kind.name+" to know the masters", f)
		}
	}
}

// strikeAndCheck has all clusters send, breaks Redis, and looks at what their
// clients got when everything flows again.
func strikeAndCheck(t *testing.T, p place, clusters []*cluster) {
	t.Helper()
	courses := make([]course, len(clusters))
	each := func(do func(*cluster, *course)) {
		for i, c := range clusters {
			do(c, &courses[i])
		}
	}
	each(func(c *cluster, o *course) {
		o.before = c.toll()
		c.send()
	})
	each(func(c *cluster, _ *course) { c.begun(t) })
	each(func(c *cluster, _ *course) {
		c.settled()
		c.cut = c.history.behind(c.traveller().receiver)
		c.traveller().to("")
	})
	each(func(c *cluster, o *course) {
		o.struck, o.down.from = time.Now(), c.behind()
		if !c.keeps && c.toll() != o.before { // on a busy machine a node may take a slow connection for a dead one
			o.down.from = time.Time{}
		}
	})
	notice := watch(p, clusters)
	p.strike(t)
	notice(t)
	p.heal(t)
	informed := make(map[*cluster]func(testing.TB))
	each(func(c *cluster, _ *course) {
		if p.moves && !c.keeps {
			informed[c] = c.informed()
		}
	})
	each(func(c *cluster, o *course) {
		c.ready(t)
		o.down.to = time.Now()
	})
	each(func(c *cluster, o *course) {
		if wait := informed[c]; wait != nil {
			wait(t)
			c.progress(t, c.listeners[:len(c.nodes)]...)
			o.down.to = time.Now()
		}
	})
	each(func(c *cluster, o *course) {
		c.progress(t, c.listeners[:len(c.nodes)]...)
		c.foreignProgress(t)
		o.flows = window{o.down.from, time.Now()}
	})
	each(func(c *cluster, _ *course) { c.traveller().to(c.nodes[1].addr) })
	each(func(c *cluster, o *course) {
		away := c.traveller()
		e := away.enters(t)
		if o.recovered = e.recovered; !e.recovered {
			away.absent(window{c.cut, e.at})
		}
		c.progress(t, away)
	})
	each(func(c *cluster, _ *course) { c.rest(t) })
	each(func(c *cluster, o *course) {
		t.Run(c.kind.name, func(t *testing.T) {
			c.judge(t, p, *o)
			c.judgeForeign(t, p, *o)
		})
	})
}
