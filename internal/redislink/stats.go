package redislink

import "sync/atomic"

// Stats are counters since Open.
type Stats struct {
	Published uint64 // messages that Redis took
	Commands  uint64 // of Send, that Redis answered
	Batches   uint64 // writes that they left in
	Received  uint64 // messages handed to Receive

	DroppedDown    uint64 // not published: Redis was away for too long
	DroppedBacklog uint64 // not published: the backlog was full
	DroppedLost    uint64 // sent when the connection broke: perhaps published
	DroppedRefused uint64 // Redis answered with an error
	DroppedNoOwner uint64 // no master owned the slot, or it kept moving
	DroppedClosed  uint64 // not sent when the link was closed
	DroppedQueue   uint64 // received, and the queue to Receive was full

	Backlog int // bytes that wait to be sent
	Queued  int // bytes that wait for Receive

	Reconnects   uint64 // connections made again, of either kind
	Resubscribed uint64 // subscriptions made again
	Refreshes    uint64 // times the topology was asked for
	Probes       uint64 // sent
	ProbesMissed uint64 // silent intervals after a probe
}

type counters struct {
	published, commands, batches, received                    atomic.Uint64
	down, backlog, lost, refused, noOwner, closed, queue      atomic.Uint64
	reconnects, resubscribed, refreshes, probes, probesMissed atomic.Uint64
}

// Stats returns the counters now.
func (l *Link) Stats() Stats {
	c := &l.count
	s := Stats{
		Published: c.published.Load(), Commands: c.commands.Load(), Batches: c.batches.Load(), Received: c.received.Load(),
		DroppedDown: c.down.Load(), DroppedBacklog: c.backlog.Load(), DroppedLost: c.lost.Load(),
		DroppedRefused: c.refused.Load(), DroppedNoOwner: c.noOwner.Load(), DroppedClosed: c.closed.Load(),
		DroppedQueue: c.queue.Load(), Queued: l.queue.size(),
		Reconnects: c.reconnects.Load(), Resubscribed: c.resubscribed.Load(), Refreshes: c.refreshes.Load(),
		Probes: c.probes.Load(), ProbesMissed: c.probesMissed.Load(),
	}
	if v := l.view.Load(); v != nil {
		for _, lane := range v.lanes {
			s.Backlog += lane.size()
		}
	}
	return s
}
