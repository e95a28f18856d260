package peerlog

import (
	"cmp"
	"errors"
	"slices"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/internal/msgread"
)

// fill reads what this node lacks of a sender's messages after from up to to,
// from those who have it.
func (l *Log) fill(sp *space, sender string, from, to uint64, list []held) error {
	l.mu.Lock()
	sl := sp.log(sender)
	newer := max(sl.last, from)
	older := len(sl.entries) > 0 && l.lacks(sl, from)
	first := sl.first
	l.mu.Unlock()
	if newer < to {
		part, err := l.read(sp, sender, newer+1, to, list)
		if err != nil {
			return err
		}
		l.mu.Lock()
		if len(part) > 0 {
			part[0].lost = max(part[0].lost, from) // not asked for
		}
		for _, m := range part {
			l.add(sl, m)
		}
		l.mu.Unlock()
	}
	if older {
		part, err := l.read(sp, sender, from+1, first-1, list)
		if err != nil {
			return err
		}
		entries := make([]*entry, len(part))
		for i, m := range part {
			entries[i] = m.entry
		}
		l.mu.Lock()
		l.prepend(sl, entries)
		l.mu.Unlock()
	}
	return nil
}

// read reads messages from whoever has most of them, in parts. They may have
// more by now than they told.
func (l *Log) read(sp *space, sender string, from, to uint64, list []held) ([]*message, error) {
	list = slices.DeleteFunc(slices.Clone(list), func(h held) bool { return h.node == "" || h.first > to })
	slices.SortFunc(list, func(a, b held) int {
		return cmp.Or(cmp.Compare(max(a.first, from), max(b.first, from)), cmp.Compare(b.last, a.last))
	})
	var got []*message
	var failed error
	for _, h := range list {
		for next := max(from, h.first); next <= to; {
			part, err := l.chunk(h.node, sp.name, sender, next, to)
			if err != nil {
				failed = errors.Join(failed, err)
				break
			}
			if len(part) == 0 {
				break
			}
			if len(got) > 0 && part[0].entry.pos != next {
				break // trimmed meanwhile
			}
			got = append(got, part...)
			next = part[len(part)-1].entry.pos + 1
			from = next
		}
	}
	if len(got) > 0 {
		failed = nil // what is missing shows in the numbers
	}
	return got, failed
}

// chunk reads one part from one node.
func (l *Log) chunk(node, nsp, sender string, from, to uint64) ([]*message, error) {
	l.count.reads.Add(1)
	b, err := l.one(l.ctx, node, func(id uint64) []byte {
		b := msgp.AppendUint64(appendHead(nil, 5, typeRead), id)
		b = msgp.AppendString(msgp.AppendString(b, nsp), sender)
		return msgp.AppendUint64(msgp.AppendUint64(b, from), to)
	})
	if err != nil {
		return nil, err
	}
	r := reader{msgread.Reader{Rest: b}}
	var part []*message
	r.records(func(m *message, _ *saved) {
		if m == nil || m.sender != sender || m.entry.nsp != nsp || m.entry.pos > to ||
			m.entry.pos < from || len(part) > 0 && m.entry.pos != part[len(part)-1].entry.pos+1 {
			r.Fail()
			return
		}
		part = append(part, m)
	})
	return part, r.Err
}
