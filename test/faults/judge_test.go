package faults_test

import (
	"testing"
	"time"
)

// watch begins to watch for the nodes that a fault reaches to notice it: they
// are not ready, or count something. It returns what waits for that.
func watch(p place, clusters []*cluster) (notice func(testing.TB)) {
	var waiting []func(testing.TB)
	for _, c := range clusters {
		for i, n := range c.nodes {
			if p.spares(i) {
				continue
			}
			before := n.toll()
			waiting = append(waiting, func(t testing.TB) {
				t.Helper()
				eventually(t, c.kind.name+"/"+n.name+" to notice", func() bool { return n.toll() != before || n.Ready() != nil })
			})
		}
	}
	return func(t testing.TB) {
		t.Helper()
		for _, f := range waiting {
			f(t)
		}
	}
}

// died returns the times of what Redis may have taken to its grave, of what was
// on its way since a moment.
func (p place) died(since time.Time) (list []window) {
	if p.deaths == nil {
		return nil
	}
	for _, w := range *p.deaths {
		if p.empty && since.Before(w.from) {
			w.from = since
		}
		list = append(list, w)
	}
	return list
}

// judge holds the Go nodes of a cluster to what their kind promises.
func (c *cluster) judge(t *testing.T, p place, o course) {
	t.Helper()
	after := c.toll()
	lost := 0
	for i, l := range c.listeners {
		f := c.check(l.receiver).only(func(m message) bool { return !c.isForeign(m) })
		lost += len(f.lost)
		if c.keeps {
			excused := p.died(o.down.from)
			if p.split && (!o.recovered || l != c.traveller()) {
				excused = append(excused, o.down)
			}
			f.judge(t, l.receiver, o.struck, excused...)
			continue
		}
		// What its own node sends reaches a client whatever happens to Redis.
		local := findings{}
		for _, m := range f.lost {
			if i < len(c.nodes) && m.sender == c.nodes[i].name {
				local.lost = append(local.lost, m)
			}
		}
		local.judge(t, l.receiver, o.struck)
		f.judge(t, l.receiver, o.struck, o.down)
	}
	t.Logf("down for %v: %d messages lost, dropped %d, outages %d, traveller recovered %v, %d emits refused",
		o.down.to.Sub(o.struck), lost, after.dropped-o.before.dropped, after.outages-o.before.outages, o.recovered, len(c.refused))
	if lost > 0 && after.dropped == o.before.dropped && after.outages == o.before.outages {
		t.Errorf("%d messages were lost, and nothing was counted: %+v", lost, after)
	}
	if after.unsorted > o.before.unsorted {
		t.Errorf("malformed, overflown or trimmed: %+v, before %+v", after, o.before)
	}
}
