package peerlog

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/socketeer-io/socketeer/adapter"
)

// missing is what a round found out: for each sender its messages, so far as
// somebody has them.
type missing struct {
	senders []*found
	dead    map[string]bool // tags of nodes that are gone, and of whom nobody has anything
}

// found is one sender's messages of interest to a round.
type found struct {
	sender  string
	last    uint64 // the newest that anybody knows
	fresh   bool   // nobody told: the first message came during the round
	sure    bool   // the sender itself told
	entries []*entry
	from    uint64   // the oldest offset's, or older
	recent  []handed // newer than last, of interest to this node
	ended   int64    // when the round ended, Unix us
	whole   bool     // entries go up to last, if they are not too old
	lost    uint64   // what is up to here is not kept any more, though not too old
}

// Missed returns the messages after offset that s wants.
func (l *Log) Missed(ctx context.Context, nsp string, s *adapter.Session, offset string) ([]*adapter.Message, error) {
	v, ok := parseOffset(offset)
	if !ok {
		return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	m, err := l.round(ctx, nsp, offset)
	if err != nil {
		return nil, &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
	}
	return m.after(v, s)
}

// Catch returns when the offsets that this node gives tell of all that the live
// nodes have sent so far, be it to this node or not.
func (l *Log) Catch(ctx context.Context, nsp string) error {
	_, err := l.round(ctx, nsp, "")
	return err
}

func (l *Log) round(ctx context.Context, nsp, offset string) (*missing, error) {
	l.mu.Lock()
	sp := l.space(nsp)
	l.mu.Unlock()
	return sp.rounds.join(ctx, offset, l.spawn, func(all []*passenger[*missing]) { l.fly(sp, all) })
}

// spawn starts a goroutine that Close waits for, unless the log is closed.
func (l *Log) spawn(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.wg.Go(f)
	return true
}

// after returns what comes after v and is wanted by s, or why something would be
// missing.
func (m *missing) after(v vector, s *adapter.Session) ([]*adapter.Message, error) {
	known := map[string]bool{}
	var list []wanted
	for _, f := range m.senders {
		tag := f.sender[:tagLen]
		if known[tag] {
			return nil, &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: fmt.Errorf("socketeer: two nodes have the tag %s", tag)}
		}
		known[tag] = true
		from := v.of(tag)
		if why := f.lacks(from); why != "" {
			return nil, &adapter.Unrecoverable{Reason: why}
		}
		list = f.appendWanted(list, from, s)
	}
	for _, mark := range v {
		if !known[mark.tag] && m.dead[mark.tag] {
			return nil, &adapter.Unrecoverable{Reason: adapter.Gap}
		}
	}
	slices.SortStableFunc(list, func(a, b wanted) int {
		return cmp.Or(cmp.Compare(a.stamp, b.stamp), cmp.Compare(a.tag, b.tag))
	})
	now := slices.DeleteFunc(slices.Clone(v), func(m mark) bool { return !known[m.tag] })
	messages := make([]*adapter.Message, 0, len(list))
	for _, w := range list {
		now = now.reach(w.tag, w.pos)
		c := *w.msg
		c.Offset = string(appendOffset(make([]byte, 0, 64), now))
		messages = append(messages, &c)
	}
	return messages, nil
}

// wanted is a message for one session.
type wanted struct {
	tag   string
	pos   uint64
	stamp int64 // never decreases for one sender
	msg   *adapter.Message
}

// lacks returns why not everything after from is there, or "".
func (f *found) lacks(from uint64) string {
	switch {
	case from > f.last && f.sure:
		return adapter.BadOffset
	case from > f.last && !f.fresh, from < f.last && !f.whole:
		return adapter.Gap
	case from < f.lost:
		return adapter.Trimmed
	}
	return ""
}

// appendWanted appends what s wants after from.
func (f *found) appendWanted(list []wanted, from uint64, s *adapter.Session) []wanted {
	tag, stamp := f.sender[:tagLen], int64(0)
	for _, e := range f.entries {
		stamp = max(stamp, e.stamp)
		if e.pos > from && s.Wants(&e.msg.Target) {
			list = append(list, wanted{tag, e.pos, stamp, e.msg})
		}
	}
	for _, h := range f.recent {
		if h.pos > from && s.Wants(&h.msg.Target) {
			list = append(list, wanted{tag, h.pos, max(stamp, f.ended), h.msg})
		}
	}
	return list
}

// reach returns v with the mark of a sender moved to pos, and to the front.
func (v vector) reach(tag string, pos uint64) vector {
	v = slices.DeleteFunc(v, func(m mark) bool { return m.tag == tag })
	return slices.Insert(v, 0, mark{tag, pos})
}
