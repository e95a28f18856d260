package peerlog

import (
	"slices"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// Open says who is handed the messages of a namespace that did not come by the
// ordinary way: handle is called within enter, which does not call its argument
// once the namespace is closed.
func (l *Log) Open(nsp string, enter func(func()) bool, handle func(*adapter.Message)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sp := l.space(nsp)
	sp.enter, sp.handle = enter, handle
}

// CloseSpace ends that.
func (l *Log) CloseSpace(nsp string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sp := l.space(nsp)
	sp.enter, sp.handle = nil, nil
}

// Deliver hands a message that has come by the ordinary way to handle, with its
// offset, unless it was handed over before.
func (l *Log) Deliver(nsp, sender string, pos uint64, m *adapter.Message, handle func(*adapter.Message)) {
	l.mu.Lock()
	sp := l.space(nsp)
	l.mu.Unlock()
	sp.order.Lock()
	defer sp.order.Unlock()
	l.mu.Lock()
	if pos <= sp.at(sender) {
		l.mu.Unlock()
		l.count.repeated.Add(1)
		return
	}
	m.Offset = l.offset(sp, sender, pos)
	l.mu.Unlock()
	handle(m)
	l.mu.Lock()
	l.see(sp, sender, pos)
	if sp.round {
		sp.recent = append(sp.recent, handed{sender, pos, m})
	}
	l.mu.Unlock()
}

// at returns how far the namespace is with a sender. With mu held.
func (sp *space) at(sender string) uint64 {
	for i := range sp.seen {
		if sp.seen[i].sender == sender {
			return sp.seen[i].pos
		}
	}
	return 0
}

// see notes that a message has been handed over. With mu held.
func (l *Log) see(sp *space, sender string, pos uint64) {
	now := time.Now()
	for i := range sp.seen {
		if s := &sp.seen[i]; s.sender == sender {
			if pos > s.pos {
				s.pos, s.at = pos, now
			}
			return
		}
	}
	sp.seen = slices.DeleteFunc(sp.seen, func(s seen) bool {
		_, dead := l.dead[s.sender]
		return dead && now.Sub(s.at) > 2*l.keep
	})
	sp.seen = append(sp.seen, seen{sender, pos, now})
}

// offset returns the offset of a message that is about to be handed over.
// Senders of whom nothing can be kept any more are left out: the sender's own
// mark is new. With mu held.
func (l *Log) offset(sp *space, sender string, pos uint64) string {
	v := make(vector, 1, 8)
	v[0] = mark{sender[:tagLen], pos}
	old := time.Now().Add(-l.keep - grace)
	for _, s := range sp.seen {
		if s.sender != sender && s.pos > 0 && s.at.After(old) && len(v) < maxMarks {
			v = append(v, mark{s.sender[:tagLen], s.pos})
		}
	}
	return string(appendOffset(make([]byte, 0, 64), v))
}
