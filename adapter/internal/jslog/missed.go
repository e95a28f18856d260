package jslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/replay"
)

// minBatches is how many batches are read at least for clients that come back
// from before the history: what is before where anybody was is of use to who
// comes next.
const minBatches = 64

func failure(err error) error {
	return &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
}

// Missed returns what a client of a namespace has missed after an offset. What
// this node has read itself is in the history; what was before is read from the
// stream, once for all.
func (l *Log) Missed(ctx context.Context, nsp string, s *adapter.Session, text string) ([]*adapter.Message, error) {
	after, ok := parseOffset(text)
	if !ok || after.born != l.read.birth() {
		return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	if err := l.history.Across(after.pos); err != nil {
		return nil, err
	}
	if err := l.reach(ctx, after.pos.seq); err != nil {
		return nil, err
	}
	missed, err := l.history.Fetch(ctx, nsp, s, after.pos, text,
		func(ctx context.Context, r replay.Range[position]) (part, error) { return l.earlier(ctx, r, after) })
	l.count.replayed.Add(uint64(len(missed)))
	return missed, err
}

// reach waits until this node has read all that the stream has, the client's
// offset included. While nobody says how much that is, to have read as far as
// the offset is enough: what comes later is handed to the namespace. A node that
// was killed may have been ahead of this one: then it takes until there is an
// answer.
func (l *Log) reach(ctx context.Context, seq uint64) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		end, err := l.end.Ask(ctx)
		at := l.read.position()
		switch {
		case err == nil && seq > max(end, at):
			return &adapter.Unrecoverable{Reason: adapter.BadOffset, Err: errors.New("socketeer: no message that new")}
		case err == nil:
			if err := l.read.wait(ctx, end); err != nil {
				return failure(fmt.Errorf("socketeer: reading is behind: %w", err))
			}
			return nil
		case seq <= at:
			return nil
		case !sleep(ctx, jitter(pause)):
			return failure(errors.Join(context.Cause(ctx), err))
		}
	}
}

// entry is one message of the stream.
type entry = replay.Entry[position]

// forgets says what is known when the history forgets its oldest message.
func forgets(old bool) replay.Edge {
	if old {
		return replay.Aged
	}
	return replay.Open
}

// part is a part of the stream before the history.
type part = replay.Part[position]

// earlier reads what is between two positions of the stream, or the newest part
// of it, for clients of whom one had an offset.
func (l *Log) earlier(ctx context.Context, r replay.Range[position], had offset) (p part, err error) {
	l.count.scans.Add(1)
	var info *jetstream.StreamInfo
	if err := patiently(ctx, func() (err error) { info, err = l.info(ctx); return err }); err != nil {
		return p, failure(err)
	}
	state := &info.State
	if info.Created.UnixNano() != had.born || r.To.seq > state.LastSeq { // it is not what it was
		return p, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	p.Start = r.To
	old := aged(info, had)
	switch {
	case had.pos.seq >= state.FirstSeq:
	case !old:
		p.Floor = endOf(state.FirstSeq - 1)
		return p, nil
	case r.To.seq < state.FirstSeq:
		p.Edge = replay.Aged
		return p, nil
	}
	from := first(r, state)
	p.Start = endOf(from - 1)
	if from <= state.FirstSeq && had.pos.seq < state.FirstSeq {
		p.Edge = replay.Aged
	}
	if err := l.collect(ctx, &p, from, r); err != nil {
		return p, err
	}
	if p.Start == r.To && !p.Cut { // all of it has been removed just now
		if p.Floor = r.To; old {
			p.Edge = replay.Aged
		}
	}
	return p, nil
}

// first returns the batch to begin with: the oldest that is wanted, if there is
// room for what is between, at the average size.
func first(r replay.Range[position], state *jetstream.StreamState) uint64 {
	room := max(1, uint64(r.Room)/max(1, state.Bytes/max(1, state.Msgs)))
	back := func(n uint64) uint64 { return r.To.seq - min(r.To.seq, n-1) }
	return max(1, state.FirstSeq, back(room), min(r.From.seq, back(minBatches)))
}

// aged reports whether what the stream has no more was removed because it was
// too old. A stream that is not full now has not been since anything that it
// could still have was stored.
func aged(info *jetstream.StreamInfo, from offset) bool {
	const skew = 5 * time.Second // of clocks
	cfg := &info.Config
	room := cfg.MaxBytes <= 0 || int64(info.State.Bytes) < cfg.MaxBytes/2
	limits := cfg.MaxMsgs > 0 && int64(info.State.Msgs) >= cfg.MaxMsgs/2 || cfg.MaxMsgsPerSubject > 0
	return room && !limits && cfg.MaxAge > 0 && time.Since(time.Unix(0, from.stored)) > cfg.MaxAge-skew
}

// collect adds what is in the stream from a sequence up to the end of a range.
// What is before something that was removed is of no use to anybody.
func (l *Log) collect(ctx context.Context, p *part, at uint64, r replay.Range[position]) error {
	var s *source
	if err := patiently(ctx, func() (err error) { s, err = l.open(ctx, at); return err }); err != nil {
		return failure(err)
	}
	defer s.close()
	if s.cons.CachedInfo().NumPending == 0 {
		return failure(errors.New("socketeer: what was to be read of the stream has been removed"))
	}
	numbers := make(map[string]uint64)
	for from := at; ; {
		b, err := s.next(ctx)
		if err != nil {
			return failure(err)
		}
		if b.seq > at {
			hole := endOf(b.seq - 1)
			if hole.after(r.To) {
				hole = r.To
			}
			p.Restart(hole)
			if at > from { // else it is too old, perhaps
				p.Floor = p.Start
			}
		}
		at = b.seq + 1
		for i, rec := range b.records {
			o := offset{born: l.read.birth(), pos: position{b.seq, uint32(i)}, stored: b.stored}
			if o.pos.after(r.To) {
				break
			}
			if rec.kind == kindMessage && rec.number <= numbers[b.sender] {
				continue // read before
			}
			numbers[b.sender] = rec.number
			l.add(p, o, rec, r.Room)
		}
		if b.seq >= r.To.seq {
			return nil
		}
	}
}

// add adds a record to a part.
func (l *Log) add(p *part, at offset, rec record, room int) {
	switch rec.kind {
	case kindGap:
		p.Gap = at.pos
	case kindMessage:
		nsp, m, _, err := l.hooks.decode(rec.body)
		if err != nil {
			l.count.malformed.Add(1)
			return
		}
		m.Offset = at.String()
		p.Append(entry{At: at.pos, NSP: nsp, Message: m, Read: time.Now()}, room)
	}
}
