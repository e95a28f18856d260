package peerlog

import (
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// entryOverhead is what an entry takes beside its body, about, in bytes.
const entryOverhead = 200

// space is what is kept of one namespace.
type space struct {
	name   string
	retain time.Duration // of sessions; guarded by Log.mu
	order  sync.Mutex    // held while the namespace is handed a message; after enter, before Log.mu

	// guarded by Log.mu; seen is changed with order held, too
	logs   map[string]*senderLog // by incarnation
	seen   []seen                // what the namespace has been handed
	round  bool                  // a round is under way:
	recent []handed              // what has been handed over since it began
	enter  func(func()) bool
	handle func(*adapter.Message)
	rounds flight[*missing]
}

// seen is how far this node has got with a sender.
type seen struct {
	sender string
	pos    uint64
	at     time.Time
}

// handed is a message of another node that came by the ordinary way.
type handed struct {
	sender string
	pos    uint64
	msg    *adapter.Message
}

// senderLog is what is kept of one sender's messages in one namespace: those
// with positions from first to last, without a hole.
type senderLog struct {
	sender  string
	first   uint64 // of entries; last+1 when there are none
	last    uint64 // the newest ever known here
	sent    uint64 // of this node's own: the newest that was sent; guarded by Log.sending
	entries []*entry

	// Not kept, though not too old: what is up to lost. Others may have it.
	lost   uint64
	lostAt time.Time
}

// entry is a message that is kept. It is immutable but for msg, prev and next.
type entry struct {
	nsp   string
	log   *senderLog
	pos   uint64
	stamp int64     // the sender's clock, Unix us, never decreasing: orders messages of several senders
	at    time.Time // when it was sent, by this node's clock
	body  []byte
	msg   *adapter.Message // decoded when it is needed first; guarded by Log.mu
	gone  bool             // trimmed; guarded by Log.mu
}

func (e *entry) size() int { return entryOverhead + len(e.body) }

// space returns a namespace's, made when needed. With mu held.
func (l *Log) space(nsp string) *space {
	sp := l.spaces[nsp]
	if sp == nil {
		sp = &space{name: nsp, retain: defaultRetain, logs: make(map[string]*senderLog)}
		l.spaces[nsp] = sp
	}
	return sp
}

func (sp *space) log(sender string) *senderLog {
	sl := sp.logs[sender]
	if sl == nil {
		sl = &senderLog{sender: sender, first: 1}
		sp.logs[sender] = sl
	}
	return sl
}

// append keeps e behind what is there of its sender, unless it is there already.
// With mu held.
func (l *Log) append(sl *senderLog, e *entry) {
	if e.pos <= sl.last {
		return
	}
	if e.pos > sl.last+1 {
		l.cut(sl, sl.last)
		sl.lost, sl.lostAt, sl.first = e.pos-1, time.Now(), e.pos
		l.count.holes.Add(1)
	}
	e.log = sl
	sl.last = e.pos
	sl.entries = append(sl.entries, e)
	l.arrived.push(e)
	l.bytes += e.size()
	l.trim()
}

// add keeps a message that came from another node. What was before the first
// message of a sender that this node hears of is lost only if it is for the one
// who sent it: else it was too old. With mu held.
func (l *Log) add(sl *senderLog, m *message) {
	if sl.last == 0 && m.entry.pos > 1 {
		sl.last, sl.first = m.entry.pos-1, m.entry.pos
		if m.lost > 0 {
			sl.lost, sl.lostAt = m.lost, time.Now()
		}
	}
	l.append(sl, m.entry)
}

// prepend keeps older entries, without holes among them, if they fit before
// what is there. With mu held.
func (l *Log) prepend(sl *senderLog, older []*entry) {
	for len(older) > 0 && older[len(older)-1].pos >= sl.first {
		older = older[:len(older)-1]
	}
	if len(older) == 0 || older[len(older)-1].pos != sl.first-1 {
		return
	}
	sl.entries = append(older[:len(older):len(older)], sl.entries...)
	sl.first = older[0].pos
	for _, e := range older {
		e.log = sl
		l.arrived.push(e)
		l.bytes += e.size()
	}
	l.trim()
}

// cut forgets the entries up to pos. With mu held.
func (l *Log) cut(sl *senderLog, pos uint64) {
	n := 0
	for n < len(sl.entries) && sl.entries[n].pos <= pos {
		sl.entries[n].gone = true
		l.bytes -= sl.entries[n].size()
		n++
	}
	sl.entries = sl.entries[n:] // append moves the rest to new memory now and then
	sl.first += uint64(n)
}

// trim forgets what is too old or too much. With mu held.
func (l *Log) trim() {
	expired := time.Now().Add(-l.keep)
	for e := l.arrived.front(); e != nil; e = l.arrived.front() {
		old := e.at.Before(expired)
		if !e.gone && !old && l.bytes <= l.cfg.Bytes {
			return
		}
		l.arrived.pop()
		if e.gone {
			continue
		}
		if !old {
			e.log.lost, e.log.lostAt = e.pos, time.Now()
			l.count.trimmed.Add(1)
		}
		l.cut(e.log, e.pos)
	}
}

// lacks reports whether something after pos is not kept here although it is not
// too old. With mu held.
func (l *Log) lacks(sl *senderLog, pos uint64) bool {
	return pos+1 < sl.first && sl.lost > pos && time.Since(sl.lostAt) < l.keep
}

// between returns the entries after from up to to. With mu held.
func (sl *senderLog) between(from, to uint64) []*entry {
	if to < sl.first || to <= from || len(sl.entries) == 0 {
		return nil
	}
	i := 0
	if from+1 > sl.first {
		i = int(min(from+1-sl.first, uint64(len(sl.entries))))
	}
	return sl.entries[i:min(uint64(len(sl.entries)), to+1-sl.first)]
}

// forget drops what is known of senders that are gone and of whom nothing has
// been kept for long. With mu held.
func (l *Log) forget(now time.Time) {
	for _, sp := range l.spaces {
		for sender, sl := range sp.logs {
			died, dead := l.dead[sender]
			if dead && len(sl.entries) == 0 && now.Sub(died) > 2*l.keep {
				delete(sp.logs, sender)
			}
		}
	}
	for sender, died := range l.dead {
		if now.Sub(died) > 3*l.keep {
			delete(l.dead, sender)
			delete(l.in, sender)
		}
	}
}

// fifo is a queue.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) push(v T) { f.items = append(f.items, v) }
func (f *fifo[T]) len() int { return len(f.items) - f.head }

// front returns the oldest, the zero value when there is none.
func (f *fifo[T]) front() (v T) {
	if f.len() > 0 {
		v = f.items[f.head]
	}
	return v
}

func (f *fifo[T]) pop() {
	var zero T
	f.items[f.head] = zero
	f.head++
	if f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
		if cap(f.items) > 1<<16 {
			f.items = nil
		}
	} else if f.head > 1024 && f.head > len(f.items)/2 {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
}
