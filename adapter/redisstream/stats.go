package redisstream

import "sync/atomic"

// Stats are counters since New, but for Peers.
type Stats struct {
	Peers int // live Go nodes besides this one

	Written uint64 // entries that Redis took
	Read    uint64 // entries read, this node's own included

	Kept     uint64 // messages that got their offset
	Unkept   uint64 // messages that did not, in time: nobody recovers across them
	Replayed uint64 // messages handed to clients that came back
	Scans    uint64 // times that a page of the stream was read for them
	Ends     uint64 // times that Redis was asked for them where the stream ends

	Gaps   uint64 // times that entries were missed: nobody recovers across them
	Missed uint64 // entries known to have been missed

	ReadErrors uint64 // failed reads; they are repeated
	Malformed  uint64 // entries and messages that cannot be decoded
	Overtaken  uint64 // requests sent or carried out before what was sent before them
	Repeated   uint64 // entries that came again, after Redis had lost them, and were ignored

	Requests uint64 // asked of other nodes
	Partial  uint64 // of those, without a complete answer
	Late     uint64 // responses to requests that had ended
	Answers  uint64 // requests of other nodes

	Drops    Drops
	Channels Channels
}

// Drops counts what was to go through the stream and did not reach other nodes,
// and requests whose answers were not complete for want of room, by reason.
type Drops struct {
	Backlog uint64 // too much was waiting; what goes past the stream, too, waits for what was sent before it
	Late    uint64 // waited for Redis for longer than PublishTimeout
	Lost    uint64 // the same, and was sent without an answer: perhaps written
	Refused uint64 // the same, and Redis answered with errors

	Responses uint64 // responses of other nodes: the asker was too slow to take them
	Answers   uint64 // answers to other nodes, that could not be sent or were too many
}

// Channels counts what goes past the stream, by channels: heartbeats, requests
// and answers. It is sent once, and is lost while there is no connection.
// Backlog and Queued are what there is now.
type Channels struct {
	Published uint64 // messages that Redis took
	Received  uint64 // messages of this node's channels

	Backlog int // bytes that wait to be sent
	Queued  int // bytes that have been received and not been looked at

	Probes       uint64 // sent because nothing was heard
	ProbesMissed uint64 // silent intervals after a probe
	Reconnects   uint64 // connections made again
	Resubscribed uint64 // subscriptions made again; what was sent meanwhile is lost

	Drops ChannelDrops
}

// ChannelDrops counts messages of channels that were not delivered, by reason.
type ChannelDrops struct {
	Down    uint64 // not sent: Redis was away
	Backlog uint64 // not sent: too much was waiting
	Lost    uint64 // sent when the connection broke, perhaps in time
	Refused uint64 // Redis answered with an error, or nobody owned the slot
	Closed  uint64 // not sent: the node closed before
	Receive uint64 // received faster than they could be looked at
}

type counters struct {
	written, read, kept, unkept, replayed, scans, ends atomic.Uint64
	gaps, missed, readErrors, malformed, overtaken     atomic.Uint64
	repeated                                           atomic.Uint64
	backlog, late, lost, refused                       atomic.Uint64
}

// Stats returns the counters now.
func (c *Cluster) Stats() Stats {
	n, p, l := &c.count, c.node.Stats(), c.link.Stats()
	return Stats{
		Peers:   p.Peers,
		Written: n.written.Load(), Read: n.read.Load(),
		Kept: n.kept.Load(), Unkept: n.unkept.Load(), Replayed: n.replayed.Load(), Scans: n.scans.Load(), Ends: n.ends.Load(),
		Gaps: n.gaps.Load(), Missed: n.missed.Load(),
		ReadErrors: n.readErrors.Load(), Malformed: n.malformed.Load(), Overtaken: n.overtaken.Load(), Repeated: n.repeated.Load(),
		Requests: p.Requests, Partial: p.Partial, Late: p.Late, Answers: p.Answers,
		Drops: Drops{
			Backlog: n.backlog.Load(), Late: n.late.Load(), Lost: n.lost.Load(), Refused: n.refused.Load(),
			Responses: p.Overflow, Answers: p.AnswersLost + p.AnswersRefused,
		},
		Channels: Channels{
			Published: l.Published, Received: l.Received, Backlog: l.Backlog, Queued: l.Queued,
			Probes: l.Probes, ProbesMissed: l.ProbesMissed, Reconnects: l.Reconnects, Resubscribed: l.Resubscribed,
			Drops: ChannelDrops{
				Down: l.DroppedDown, Backlog: l.DroppedBacklog, Lost: l.DroppedLost, Refused: l.DroppedRefused + l.DroppedNoOwner,
				Closed: l.DroppedClosed, Receive: l.DroppedQueue,
			},
		},
	}
}
