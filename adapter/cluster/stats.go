package cluster

import "sync/atomic"

// Stats are counters since the node was made, but for Peers and Rooms.
type Stats struct {
	Peers int // live nodes besides this one
	Rooms int // rooms this node receives, of all namespaces

	Published  uint64 // frames given to the bus; one message may take several
	Received   uint64 // frames that came from other nodes
	Duplicates uint64 // copies of a message to several rooms, not delivered again
	Gaps       uint64 // messages to this node or to a namespace that never came
	Reordered  uint64 // frames older than the one before: the bus is not what it promises

	Requests uint64 // asked of other nodes
	Partial  uint64 // of those, without a complete answer

	Probes        uint64 // sent because nothing was heard
	ProbeFailures uint64 // silent intervals after a probe
	Reconnects    uint64 // times the bus was asked to start over

	Drops Drops
	Log   LogStats // zero without recovery
}

// Drops counts frames that were not delivered, by reason.
type Drops struct {
	Bus       uint64 // the bus's own queue was full
	Queue     uint64 // this node's queue was full: a namespace is too slow
	Send      uint64 // the bus refused to send
	Namespace uint64 // the namespace is not open here
	Unknown   uint64 // version or kind of a later release
	Malformed uint64 // not decodable
	Responses uint64 // answers larger than the bus or the requester can take
}

type counters struct {
	published, received, duplicates, gaps, reordered atomic.Uint64
	requests, partial                                atomic.Uint64
	probes, probeFailures, reconnects                atomic.Uint64
	dropSend, dropNamespace                          atomic.Uint64
	dropUnknown, dropMalformed, dropResponses        atomic.Uint64
}

// Stats returns the node's counters.
func (n *Node) Stats() Stats {
	c := &n.count
	s := Stats{
		Peers:     len(n.view.Load().peers),
		Published: c.published.Load(), Received: c.received.Load(),
		Duplicates: c.duplicates.Load(), Gaps: c.gaps.Load(), Reordered: c.reordered.Load(),
		Requests: c.requests.Load(), Partial: c.partial.Load(),
		Probes: c.probes.Load(), ProbeFailures: c.probeFailures.Load(), Reconnects: c.reconnects.Load(),
		Drops: Drops{
			Queue: n.lanes.Dropped(), Send: c.dropSend.Load(), Namespace: c.dropNamespace.Load(),
			Unknown: c.dropUnknown.Load(), Malformed: c.dropMalformed.Load(), Responses: c.dropResponses.Load(),
		},
	}
	if d, ok := n.bus.(Dropper); ok {
		s.Drops.Bus = d.Dropped()
	}
	if n.keeps != nil {
		s.Log = n.keeps.Stats()
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, a := range n.namespaces {
		s.Rooms += a.rooms.Len()
	}
	return s
}
