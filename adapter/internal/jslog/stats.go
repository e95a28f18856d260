package jslog

import "sync/atomic"

// Stats are counters since the log was made.
type Stats struct {
	Written   uint64 // messages of this node that JetStream has taken
	Batches   uint64 // messages of the stream that they were in
	Attempts  uint64 // times a batch was sent, repetitions included
	Read      uint64 // messages read, of all nodes
	Kept      uint64 // of those, own ones that came back in time
	Unkept    uint64 // own ones that did not: delivered without an offset
	Repeated  uint64 // messages that were read before
	Gaps      uint64 // times messages were missing in the stream
	Lost      uint64 // messages known to be missing then
	Resumed   uint64 // times reading began anew
	Replaced  uint64 // connections that were silent, and given up
	Ends      uint64 // times it was asked where the stream ends
	Scans     uint64 // times the stream was read for clients that come back
	Replayed  uint64 // messages handed to those
	Taken     uint64 // sessions given to them
	Overtaken uint64 // messages beside the stream that did not wait for it any longer
	Unfenced  uint64 // messages that did not wait for what was sent beside the stream before
	Malformed uint64 // batches and messages that cannot be decoded

	Drops Drops
}

// Drops counts messages that other nodes do not get, by reason.
type Drops struct {
	Backlog uint64 // too much waits for JetStream
	Late    uint64 // it waited for too long
	Unsure  uint64 // the same, and JetStream may have taken it
	Held    uint64 // too much beside the stream waited for it
}

type counters struct {
	written, batches, attempts, read, kept, unkept         atomic.Uint64
	repeated, gaps, lost, resumed, replaced, ends          atomic.Uint64
	scans, replayed, taken, overtaken, unfenced, malformed atomic.Uint64
	dropBacklog, dropLate, dropUnsure, dropHeld            atomic.Uint64
}

// Stats returns the log's counters.
func (l *Log) Stats() Stats {
	c := &l.count
	return Stats{
		Written: c.written.Load(), Batches: c.batches.Load(), Attempts: c.attempts.Load(),
		Read: c.read.Load(), Kept: c.kept.Load(), Unkept: c.unkept.Load(), Repeated: c.repeated.Load(),
		Gaps: c.gaps.Load(), Lost: c.lost.Load(), Resumed: c.resumed.Load(), Replaced: c.replaced.Load(),
		Ends: c.ends.Load(), Scans: c.scans.Load(), Replayed: c.replayed.Load(), Taken: c.taken.Load(),
		Overtaken: c.overtaken.Load(), Unfenced: c.unfenced.Load(), Malformed: c.malformed.Load(),
		Drops: Drops{
			Backlog: c.dropBacklog.Load(), Late: c.dropLate.Load(), Unsure: c.dropUnsure.Load(), Held: c.dropHeld.Load(),
		},
	}
}
