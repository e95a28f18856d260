// Package departed remembers which nodes have ended.
package departed

import (
	"cmp"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/cluster"
)

// Max bounds the nodes that are remembered: the latest.
const Max = 1024

// Nodes are those that were seen to end lately. All methods may be called
// concurrently.
type Nodes struct {
	// Interval and Timeout of heartbeats, as in [cluster.Config]. Immutable.
	Interval, Timeout time.Duration

	mu    sync.Mutex // guards the rest
	known map[string]struct{}
	order []string
}

// Note remembers the node of an event, if that is its end. It is a function for
// [cluster.Membership.Watch].
func (n *Nodes) Note(e cluster.Event) {
	if e.Kind != cluster.Left && e.Kind != cluster.Died {
		return
	}
	incarnation := e.Member.Incarnation
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = make(map[string]struct{})
	}
	if _, ok := n.known[incarnation]; ok {
		return
	}
	n.known[incarnation] = struct{}{}
	if n.order = append(n.order, incarnation); len(n.order) > Max {
		delete(n.known, n.order[0])
		n.order = n.order[1:]
	}
}

// Gone reports whether the node of an incarnation, which is not one of the live,
// is known not to run any more: it was seen to end, or it should have been heard
// of by now. This node has listened since then.
func (n *Nodes) Gone(incarnation string, since time.Time) bool {
	timeout := cmp.Or(n.Timeout, cluster.DefaultTimeoutIntervals*cmp.Or(n.Interval, cluster.DefaultInterval))
	return n.seen(incarnation) || time.Since(since) > 2*timeout
}

func (n *Nodes) seen(incarnation string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.known[incarnation]
	return ok
}
