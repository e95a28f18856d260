package cluster

import (
	"cmp"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/cluster"
)

// maxDeparted bounds the nodes that are remembered after their end.
const maxDeparted = 1024

// departed are the nodes that were seen to end lately.
type departed struct {
	mu    sync.Mutex
	known map[string]struct{}
	order []string
}

func (d *departed) add(incarnation string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = make(map[string]struct{})
	}
	if _, ok := d.known[incarnation]; ok {
		return
	}
	d.known[incarnation] = struct{}{}
	if d.order = append(d.order, incarnation); len(d.order) > maxDeparted {
		delete(d.known, d.order[0])
		d.order = d.order[1:]
	}
}

func (d *departed) has(incarnation string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.known[incarnation]
	return ok
}

// gone reports whether the node of an incarnation is known not to run any more:
// it was seen to end, or it should have been heard of by now.
func (n *Node) gone(incarnation string) bool {
	if _, live := n.view.Load().name[incarnation]; live || incarnation == n.id.Incarnation {
		return false
	}
	timeout := cmp.Or(n.cfg.Timeout, cluster.DefaultTimeoutIntervals*cmp.Or(n.cfg.Interval, cluster.DefaultInterval))
	return n.departed.has(incarnation) || time.Since(n.begun) > 2*timeout
}
