package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/replay"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// page is how many entries are read at once when a client comes back from
// before the history.
const page = 1000

// maxMissed bounds the entries that are read for one client.
const maxMissed = 100 * page

// Texts of the wire.
var (
	broadcastType = strconv.Itoa(int(nodewire.Broadcast))
	gapType       = strconv.Itoa(int(nodewire.Gap))
)

var _ adapter.Log = (*namespace)(nil)

// Retain implements [adapter.Log].
func (ns *namespace) Retain(d time.Duration) { ns.history.keep(d) }

// Append implements [adapter.Log]. The message is kept when its entry comes
// back from the stream.
func (ns *namespace) Append(m *adapter.Message, kept func(offset string)) error {
	if err := ns.peers.Err(); err != nil {
		return err
	}
	fields, err := nodewire.StreamFields(ns.c.fromMessage(ns.name, m))
	if err != nil {
		return err
	}
	a := &appended{ns: ns, m: m, kept: kept, at: time.Now()}
	return ns.stream.write.push(write{fields: fields}, func(seq uint64) {
		a.seq = seq
		ns.stream.pending.Add(a)
	})
}

// Newer implements [adapter.Log].
func (ns *namespace) Newer(a, b string) bool {
	x, _ := parseOffset(a)
	y, _ := parseOffset(b)
	return x.after(y)
}

// markGap has a marker written where messages are missing, as soon as Redis
// takes one. Until it has come back nobody recovers here. A marker that is
// still queued gives way: the new one is after it. With stream.deliver held.
func (ns *namespace) markGap() {
	if ns.gapVoid != nil {
		ns.stream.write.forget(ns.gapVoid)
	}
	fields, err := nodewire.StreamFields(&nodewire.Message{UID: ns.c.uid, NSP: ns.name, Type: nodewire.Gap})
	if err != nil {
		ns.c.log.Error("no marker of a gap", "nsp", ns.name, "err", err)
		return
	}
	void := new(bool)
	ns.gapVoid = void
	err = ns.stream.write.push(write{fields: fields, must: true, void: void}, ns.history.Soil)
	if err != nil {
		ns.history.Soil(replay.Forever) // the node ends
	}
}

// Missed implements [adapter.Log]. What this node has read itself is in the
// history; what was before is read from the stream, by one caller for all.
func (ns *namespace) Missed(ctx context.Context, s *adapter.Session, text string) ([]*adapter.Message, error) {
	after, ok := parseOffset(text)
	if !ok {
		return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	if _, what := ns.history.Missed("", s, after, text); what == replay.Gapped { // it gets no better
		return nil, what.Err()
	}
	if err := ns.reach(ctx, after); err != nil {
		return nil, err
	}
	missed, what := ns.history.Missed("", s, after, text)
	if what == replay.Older {
		select {
		case ns.filling <- struct{}{}:
		case <-ctx.Done():
			return nil, &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: context.Cause(ctx)}
		}
		defer func() { <-ns.filling }()
		if missed, what = ns.history.Missed("", s, after, text); what == replay.Older {
			return ns.fill(ctx, s, after)
		}
	}
	if err := what.Err(); err != nil {
		return nil, err
	}
	ns.c.count.replayed.Add(uint64(len(missed)))
	return missed, nil
}

// reach waits until this node has read all that the stream has, which is beyond
// the client's offset, too.
func (ns *namespace) reach(ctx context.Context, id offset) error {
	end, err := ns.stream.end.Ask(ctx)
	if err != nil {
		return &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
	}
	if at := ns.stream.read.position(); at.after(end) { // what was there has been trimmed
		end = at
	}
	if id.after(end) {
		return &adapter.Unrecoverable{Reason: adapter.BadOffset, Err: errors.New("socketeer: no entry that new")}
	}
	if err := ns.stream.read.wait(ctx, end); err != nil {
		return &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: fmt.Errorf("socketeer: reading is behind: %w", err)}
	}
	return nil
}

// fill reads what is between an offset and the history, and extends the history
// by it. One caller at a time: those who wait find it there.
func (ns *namespace) fill(ctx context.Context, s *adapter.Session, from offset) (missed []*adapter.Message, err error) {
	for at := from; ; { // more than once if the history loses its beginning meanwhile
		to := ns.history.Start()
		part, err := ns.scan(ctx, at, to, at == from)
		if err != nil {
			return nil, err
		}
		missed = append(missed, replay.Wanted("", s, part.List)...)
		later, what := ns.history.After("", s, to)
		if at == from {
			ns.history.Extend(part, to)
		}
		switch {
		case part.Gap != offset{} || what == replay.Gapped:
			return nil, &adapter.Unrecoverable{Reason: adapter.Gap}
		case what == replay.Found:
			missed = append(missed, later...)
			ns.c.count.replayed.Add(uint64(len(missed)))
			return missed, nil
		}
		at = to
	}
}

// scan returns the namespace's messages after one offset and up to another. With
// exact, the first one must be an offset of the namespace.
func (ns *namespace) scan(ctx context.Context, from, to offset, exact bool) (part replay.Part[offset], err error) {
	failure := func(err error) error {
		return &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
	}
	part.Start, part.Edge = from, replay.Exact
	ns.c.count.scans.Add(1)
	redis, next, first := ns.stream.redis, from, exact
	for n := 0; ; n += page {
		if n >= maxMissed {
			return part, failure(fmt.Errorf("socketeer: more than %d entries", maxMissed))
		}
		entries, err := redis.Do(ctx, redis.B().Xrange().Key(ns.stream.name).Start(next.String()).End(to.String()).
			Count(page).Build()).AsXRange()
		if err != nil {
			return part, failure(err)
		}
		for _, e := range entries {
			id, ok := parseOffset(e.ID)
			if !ok {
				return part, failure(fmt.Errorf("socketeer: redis gave an entry the id %.50q", e.ID))
			}
			next = id
			m, ours := ns.decode(e.ID, e.FieldValues)
			switch {
			case first && id != from:
				return part, &adapter.Unrecoverable{Reason: adapter.Trimmed}
			case first && !ours:
				return part, &adapter.Unrecoverable{Reason: adapter.BadOffset}
			case id == from:
			case ours:
				part.List = append(part.List, replay.Entry[offset]{At: id, Message: m, Read: time.Now()})
			case ns.isGap(e.FieldValues):
				part.Gap = id
			}
			first = false
		}
		if len(entries) < page {
			break
		}
		next.seq++
	}
	if first {
		return part, &adapter.Unrecoverable{Reason: adapter.Trimmed}
	}
	return part, nil
}

func (ns *namespace) isGap(f map[string]string) bool {
	return f["type"] == gapType && (f["nsp"] == ns.name || f["nsp"] == "")
}

// decode returns the message of an entry, if it is one of the namespace that a
// client gets when it comes back.
func (ns *namespace) decode(id string, f map[string]string) (*adapter.Message, bool) {
	if f["nsp"] != ns.name || f["type"] != broadcastType {
		return nil, false
	}
	m, err := nodewire.DecodeStreamEntry(f)
	if err != nil || !storable(m) {
		return nil, false
	}
	return toMessage(m, id), true
}
