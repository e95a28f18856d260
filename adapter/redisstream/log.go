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
// history; what was before is read from the stream, once for all.
func (ns *namespace) Missed(ctx context.Context, s *adapter.Session, text string) ([]*adapter.Message, error) {
	after, ok := parseOffset(text)
	if !ok {
		return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	if err := ns.history.Across(after); err != nil {
		return nil, err
	}
	if err := ns.reach(ctx, after); err != nil {
		return nil, err
	}
	missed, err := ns.history.Fetch(ctx, "", s, after, text, ns.earlier)
	ns.c.count.replayed.Add(uint64(len(missed)))
	return missed, err
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
