package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/nodewire"
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
		ns.stream.pending.add(a)
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
	err = ns.stream.write.push(write{fields: fields, must: true, void: void}, func(seq uint64) {
		ns.history.soil(strconv.FormatUint(seq, 36))
	})
	if err != nil {
		ns.history.soil("?") // the node ends
	}
}

// Missed implements [adapter.Log]. What this node has read itself is in the
// history; what was before is read from the stream, by one caller for all.
func (ns *namespace) Missed(ctx context.Context, s *adapter.Session, text string) ([]*adapter.Message, error) {
	after, ok := parseOffset(text)
	if !ok {
		return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	if err := ns.reach(ctx, after); err != nil {
		return nil, err
	}
	missed, what := ns.history.missed(s, after)
	if what == older {
		select {
		case ns.filling <- struct{}{}:
		case <-ctx.Done():
			return nil, &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: context.Cause(ctx)}
		}
		defer func() { <-ns.filling }()
		if missed, what = ns.history.missed(s, after); what == older {
			return ns.fill(ctx, s, after)
		}
	}
	switch what {
	case gapped:
		return nil, &adapter.Unrecoverable{Reason: adapter.Gap}
	case unknown:
		return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	ns.c.count.replayed.Add(uint64(len(missed)))
	return missed, nil
}

// reach waits until this node has read up to an offset, which the client may
// have from a node that is ahead.
func (ns *namespace) reach(ctx context.Context, id offset) error {
	if int64(id.ms) > time.Now().Add(maxClockSkew).UnixMilli() {
		return &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	ctx, cancel := context.WithTimeout(ctx, ns.c.o.KeepTimeout)
	defer cancel()
	if err := ns.stream.read.wait(ctx, id); err != nil {
		if ready := ns.stream.read.ready(); ready != nil {
			return &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: ready}
		}
		return &adapter.Unrecoverable{Reason: adapter.BadOffset, Err: errors.New("socketeer: no entry that new")}
	}
	return nil
}

// maxClockSkew is how far Redis's clock may be ahead for an offset to be
// looked for at all.
const maxClockSkew = time.Hour

// fill reads what is between an offset and the history, and extends the history
// by it. One caller at a time: those who wait find it there.
func (ns *namespace) fill(ctx context.Context, s *adapter.Session, from offset) ([]*adapter.Message, error) {
	to := ns.history.bounds()
	earlier, gap, err := ns.scan(ctx, from, to)
	if err != nil {
		return nil, err
	}
	missed := wanted(s, earlier[1:]) // the first is what the client has
	later, what := ns.history.after(s, to)
	ns.history.extend(from, to, earlier[1:], gap)
	switch {
	case gap != offset{} || what == gapped:
		return nil, &adapter.Unrecoverable{Reason: adapter.Gap}
	case what != found:
		return nil, &adapter.Unrecoverable{Reason: adapter.Trimmed} // the history was cut at the same time
	}
	ns.c.count.replayed.Add(uint64(len(missed) + len(later)))
	return append(missed, later...), nil
}

// scan returns the namespace's messages from one offset, which must be one, to
// another, and the newest gap between them.
func (ns *namespace) scan(ctx context.Context, from, to offset) (list []remembered, gap offset, err error) {
	failure := func(err error) error {
		return &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
	}
	ns.c.count.scans.Add(1)
	redis, next := ns.stream.redis, from
	for n := 0; ; n += page {
		if n >= maxMissed {
			return nil, gap, failure(fmt.Errorf("socketeer: more than %d entries", maxMissed))
		}
		entries, err := redis.Do(ctx, redis.B().Xrange().Key(ns.stream.name).Start(next.String()).End(to.String()).
			Count(page).Build()).AsXRange()
		if err != nil {
			return nil, gap, failure(err)
		}
		for _, e := range entries {
			id, ok := parseOffset(e.ID)
			if !ok {
				return nil, gap, failure(fmt.Errorf("socketeer: redis gave an entry the id %.50q", e.ID))
			}
			if next = id; len(list) == 0 && id != from {
				return nil, gap, &adapter.Unrecoverable{Reason: adapter.Trimmed}
			}
			f := e.FieldValues
			if f["type"] == gapType && (f["nsp"] == ns.name || f["nsp"] == "") {
				gap = id
			}
			m, ok := ns.decode(e.ID, f)
			switch {
			case ok:
				list = append(list, remembered{id: id, m: m})
			case len(list) == 0: // an entry, and not one of ours
				return nil, gap, &adapter.Unrecoverable{Reason: adapter.BadOffset}
			}
		}
		if len(entries) < page {
			break
		}
		next.seq++
	}
	if len(list) == 0 {
		return nil, gap, &adapter.Unrecoverable{Reason: adapter.Trimmed}
	}
	return list, gap, nil
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
	return ns.c.toMessage(m, id), true
}
