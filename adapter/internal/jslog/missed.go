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

// maxScan bounds the messages that are read at once for clients that come back.
const maxScan = 200_000

func failure(err error) error {
	return &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
}

// Missed returns what a client of a namespace has missed after an offset. What
// this node has read itself is in the history; what was before is read from the
// stream, by one caller for all.
func (l *Log) Missed(ctx context.Context, nsp string, s *adapter.Session, text string) ([]*adapter.Message, error) {
	after, ok := parseOffset(text)
	if !ok || after.born != l.read.birth() {
		return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	if _, what := l.history.Missed(nsp, s, after.pos, text); what == replay.Gapped { // it gets no better
		return nil, what.Err()
	}
	if err := l.reach(ctx, after.pos.seq); err != nil {
		return nil, err
	}
	missed, what := l.history.Missed(nsp, s, after.pos, text)
	if what == replay.Older {
		select {
		case l.filling <- struct{}{}:
		case <-ctx.Done():
			return nil, failure(context.Cause(ctx))
		}
		defer func() { <-l.filling }()
		if missed, what = l.history.Missed(nsp, s, after.pos, text); what == replay.Older {
			return l.fill(ctx, nsp, s, after)
		}
	}
	if err := what.Err(); err != nil {
		return nil, err
	}
	l.count.replayed.Add(uint64(len(missed)))
	return missed, nil
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

// fill reads what is between an offset and the history, and extends the history
// by it. One caller at a time: those who wait find it there.
func (l *Log) fill(ctx context.Context, nsp string, s *adapter.Session, from offset) (missed []*adapter.Message, err error) {
	for first := true; ; first = false { // more than once if the history loses its beginning meanwhile
		to := l.history.Start()
		e, err := l.scan(ctx, from, to, first)
		if err != nil {
			return nil, err
		}
		later, what := l.history.After(nsp, s, to)
		if first {
			l.history.Extend(e.Part, to)
			if missed, err = e.since(nsp, s, from); err != nil {
				return nil, err
			}
		} else {
			missed = append(missed, replay.Wanted(nsp, s, e.List)...)
		}
		switch {
		case e.Gap.after(from.pos) || what == replay.Gapped:
			return nil, &adapter.Unrecoverable{Reason: adapter.Gap}
		case what == replay.Found:
			missed = append(missed, later...)
			l.count.replayed.Add(uint64(len(missed)))
			return missed, nil
		}
		from = offset{born: from.born, pos: to}
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

// extension is a part of the stream before the history.
type extension struct{ replay.Part[position] }

// since returns what s wants after an offset, at which there must be a message
// of the namespace, unless it has been too old to be kept.
func (e *extension) since(nsp string, s *adapter.Session, from offset) ([]*adapter.Message, error) {
	if e.Edge == replay.Aged {
		return replay.Wanted(nsp, s, e.List), nil
	}
	text := from.String()
	for i, r := range e.List {
		if r.Message.Offset == text && r.NSP == nsp {
			return replay.Wanted(nsp, s, e.List[i+1:]), nil
		}
	}
	return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
}

// scan reads the stream from an offset on, the message there included if
// inclusive, up to a position.
func (l *Log) scan(ctx context.Context, from offset, to position, inclusive bool) (*extension, error) {
	l.count.scans.Add(1)
	var info *jetstream.StreamInfo
	if err := patiently(ctx, func() (err error) { info, err = l.info(ctx); return err }); err != nil {
		return nil, failure(err)
	}
	if info.Created.UnixNano() != from.born {
		return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	e := &extension{replay.Part[position]{Start: endOf(from.pos.seq - 1)}}
	if !inclusive {
		e.Start = from.pos
	}
	at := max(from.pos.seq, 1)
	if first := info.State.FirstSeq; at < first {
		if !inclusive || !aged(info, from) {
			return nil, &adapter.Unrecoverable{Reason: adapter.Trimmed}
		}
		at, e.Start, e.Edge = first, endOf(first-1), replay.Aged
	}
	if at > to.seq {
		e.Start = to
		return e, nil
	}
	if at > info.State.LastSeq { // it is not what it was
		return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	return e, l.collect(ctx, e, from, at, to)
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

// collect adds what is in the stream from a sequence up to a position. If that is
// the sequence of an offset, and not of the message that the offset is of, nothing
// more is read.
func (l *Log) collect(ctx context.Context, e *extension, from offset, at uint64, to position) error {
	var s *source
	if err := patiently(ctx, func() (err error) { s, err = l.open(ctx, at); return err }); err != nil {
		return failure(err)
	}
	defer s.close()
	bytes, numbers := 0, make(map[string]uint64)
	for n := 0; ; {
		b, err := s.next(ctx)
		if err != nil {
			return failure(err)
		}
		if b.seq > at { // removed since
			return &adapter.Unrecoverable{Reason: adapter.Trimmed}
		}
		if b.seq == from.pos.seq && from.stored != 0 && b.stored != from.stored {
			return &adapter.Unrecoverable{Reason: adapter.BadOffset}
		}
		at++
		for i, rec := range b.records {
			o := offset{born: l.read.birth(), pos: position{b.seq, uint32(i)}, stored: b.stored}
			if o.pos.after(to) || !o.pos.after(e.Start) {
				continue
			}
			if n++; n > maxScan || bytes > l.cfg.HistoryBytes {
				return failure(fmt.Errorf("socketeer: more than %d messages, or %d bytes of them", maxScan, l.cfg.HistoryBytes))
			}
			bytes += itemOverhead + len(rec.body)
			if rec.kind == kindMessage && rec.number <= numbers[b.sender] {
				continue // read before
			}
			numbers[b.sender] = rec.number
			l.add(e, o, rec)
		}
		if b.seq >= to.seq {
			return nil
		}
	}
}

// add adds a record to an extension.
func (l *Log) add(e *extension, at offset, rec record) {
	switch rec.kind {
	case kindGap:
		e.Gap = at.pos
	case kindMessage:
		nsp, m, _, err := l.hooks.decode(rec.body)
		if err != nil {
			l.count.malformed.Add(1)
			return
		}
		m.Offset = at.String()
		e.List = append(e.List, entry{At: at.pos, NSP: nsp, Message: m, Read: time.Now()})
	}
}
