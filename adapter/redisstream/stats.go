package redisstream

import (
	"sync/atomic"

	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// Stats are counters since Start.
type Stats struct {
	Written uint64 // entries that Redis took
	Read    uint64 // entries read, this node's own included

	Kept     uint64 // messages that got their offset
	Unkept   uint64 // messages that did not, in time: nobody recovers across them
	Replayed uint64 // messages handed to clients that came back
	Scans    uint64 // times that the stream was read for them
	Ends     uint64 // times that Redis was asked for them where the stream ends

	Gaps   uint64 // times that entries were missed: nobody recovers across them
	Missed uint64 // entries known to have been missed

	ReadErrors uint64 // failed reads; they are repeated
	Malformed  uint64 // entries and messages that cannot be decoded
	Overtaken  uint64 // requests carried out before what was sent before them
	Repeated   uint64 // entries that came again, after Redis had lost them, and were ignored

	Drops Drops

	Peers nodepeers.Stats // requests and answers
	Link  redislink.Stats // channels
}

// Drops counts messages that did not go to other nodes, by reason.
type Drops struct {
	Backlog uint64 // too much was waiting
	Late    uint64 // waited for Redis for longer than PublishTimeout
	Lost    uint64 // the same, and was sent without an answer: perhaps written
	Refused uint64 // the same, and Redis answered with errors
}

type counters struct {
	written, read, kept, unkept, replayed, scans, ends atomic.Uint64
	gaps, missed, readErrors, malformed, overtaken     atomic.Uint64
	repeated                                           atomic.Uint64
	backlog, late, lost, refused                       atomic.Uint64
}

// Stats returns the counters now.
func (c *Cluster) Stats() Stats {
	n := &c.count
	return Stats{
		Written: n.written.Load(), Read: n.read.Load(),
		Kept: n.kept.Load(), Unkept: n.unkept.Load(), Replayed: n.replayed.Load(), Scans: n.scans.Load(), Ends: n.ends.Load(),
		Gaps: n.gaps.Load(), Missed: n.missed.Load(),
		ReadErrors: n.readErrors.Load(), Malformed: n.malformed.Load(), Overtaken: n.overtaken.Load(), Repeated: n.repeated.Load(),
		Drops: Drops{Backlog: n.backlog.Load(), Late: n.late.Load(), Lost: n.lost.Load(), Refused: n.refused.Load()},
		Peers: c.node.Stats(), Link: c.link.Stats(),
	}
}
