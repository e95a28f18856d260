package peerlog

import "sync/atomic"

// Stats are counters since the log was made; the first group are states.
type Stats struct {
	Bytes        int // of messages kept, of all nodes
	Sessions     int // kept, of all nodes
	SessionBytes int
	Waiting      int // bytes of messages that wait to be kept
	Replicas     int // nodes that keep what this one sends
	InSync       int // of those, the ones that are waited for

	Appended        uint64 // messages of this node
	Batches         uint64 // frames sent to replicas, without repetitions of the bus
	Resends         uint64 // times a link went back because something was lost on the way
	OutOfSync       uint64 // times a replica did not keep up
	LinkBreaks      uint64 // times too much was waiting for a replica, so that it began anew
	Repeated        uint64 // messages that arrived although they had been handed over
	Repaired        uint64 // messages of silent nodes handed over from the log
	Rounds          uint64 // times the nodes were asked what they have
	Reads           uint64 // frames of messages read from other nodes
	Served          uint64 // frames of messages read by other nodes
	Taken           uint64 // sessions given to clients that came back
	Holes           uint64 // times messages of a sender are missing between others
	Trimmed         uint64 // messages forgotten early, because there were too many
	SessionsTrimmed uint64 // sessions forgotten early
}

type counters struct {
	appended, batches, resends, outOfSync, linkBreaks atomic.Uint64
	repeated, repaired, rounds, reads, served         atomic.Uint64
	taken, holes, trimmed, sessionsTrimmed            atomic.Uint64
}

// Stats returns the log's counters.
func (l *Log) Stats() Stats {
	c := &l.count
	s := Stats{
		Appended: c.appended.Load(), Batches: c.batches.Load(), Resends: c.resends.Load(),
		OutOfSync: c.outOfSync.Load(), LinkBreaks: c.linkBreaks.Load(),
		Repeated: c.repeated.Load(), Repaired: c.repaired.Load(),
		Rounds: c.rounds.Load(), Reads: c.reads.Load(), Served: c.served.Load(),
		Taken: c.taken.Load(), Holes: c.holes.Load(), Trimmed: c.trimmed.Load(), SessionsTrimmed: c.sessionsTrimmed.Load(),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Bytes, s.Sessions, s.SessionBytes = l.bytes, len(l.sessions.byKey), l.sessions.bytes
	s.Waiting, s.Replicas = l.waiting, len(l.links)
	for _, k := range l.links {
		if k.synced {
			s.InSync++
		}
	}
	return s
}
