package redis

import "sync/atomic"

// Stats are counters since the start, but for Peers, Rooms, Backlog and Queued.
type Stats struct {
	Peers int // live Go nodes besides this one
	Rooms int // rooms this node receives, of all namespaces

	Published uint64 // messages that Redis took
	Received  uint64 // messages and requests of other nodes
	Filtered  uint64 // of these, not for sockets here
	Others    uint64 // responses to other nodes, that came by a shared channel
	Gaps      uint64 // heartbeats of Go nodes that never came: so may have messages

	Requests uint64 // asked of other nodes
	Partial  uint64 // of those, without a complete answer
	Late     uint64 // responses to requests that had ended
	Answers  uint64 // requests of other nodes

	Backlog int // bytes that wait to be sent
	Queued  int // bytes that have been received and not been looked at

	Probes       uint64 // sent because nothing was heard
	ProbesMissed uint64 // silent intervals after a probe
	Reconnects   uint64 // connections made again
	Resubscribed uint64 // subscriptions made again; what was sent meanwhile is lost
	Refreshes    uint64 // times that servers were asked who is a master

	Drops Drops
}

// Drops counts messages that were not delivered, by reason.
type Drops struct {
	Down      uint64 // not sent: Redis was away
	Backlog   uint64 // not sent: more was waiting than Options.QueueBytes
	Lost      uint64 // sent when the connection broke, perhaps in time
	Refused   uint64 // Redis answered with an error, or nobody owned the slot
	Closed    uint64 // not sent: the node closed before
	Receive   uint64 // received faster than they could be looked at
	Queue     uint64 // received: the namespaces are too slow
	Responses uint64 // responses: the asker was too slow to take them
	Answers   uint64 // answers to other nodes, that could not be sent or were too many
	Malformed uint64 // received, and not to be understood
}

type counters struct {
	received, filtered, others, gaps, malformed atomic.Uint64
}

// Stats returns the counters now.
func (c *Cluster) Stats() Stats {
	l, n := c.link.Stats(), c.node.Stats()
	s := Stats{
		Peers: n.Peers, Published: l.Published,
		Received: c.count.received.Load(), Filtered: c.count.filtered.Load(), Others: c.count.others.Load(),
		Gaps: c.count.gaps.Load(), Requests: n.Requests, Partial: n.Partial, Late: n.Late, Answers: n.Answers,
		Backlog: l.Backlog, Queued: l.Queued,
		Probes: l.Probes, ProbesMissed: l.ProbesMissed, Reconnects: l.Reconnects, Resubscribed: l.Resubscribed, Refreshes: l.Refreshes,
		Drops: Drops{
			Down: l.DroppedDown, Backlog: l.DroppedBacklog, Lost: l.DroppedLost, Refused: l.DroppedRefused + l.DroppedNoOwner,
			Closed: l.DroppedClosed, Receive: l.DroppedQueue, Queue: c.lanes.Dropped(), Responses: n.Overflow,
			Answers: n.AnswersLost + n.AnswersRefused, Malformed: c.count.malformed.Load(),
		},
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for space := range c.spaces {
		s.Rooms += space.rooms.Len()
	}
	return s
}
