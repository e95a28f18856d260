package peerlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
)

// held is what a node told of a sender's log.
type held struct {
	node        string // "" is this one
	first, last uint64
}

// missing is what a round found out: for each sender its messages, so far as
// somebody has them.
type missing struct {
	senders []found
	dead    map[string]bool // tags of nodes that are gone, and of whom nobody has anything
}

// found is one sender's messages of interest to a round.
type found struct {
	sender  string
	last    uint64 // the newest that anybody knows
	sure    bool   // the sender itself told
	entries []*entry
	whole   bool   // entries go up to last, if they are not too old
	lost    uint64 // what is up to here is not kept any more, though not too old
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

// fly is one round, for all who wait.
func (l *Log) fly(sp *space, all []*passenger[*missing]) {
	l.count.rounds.Add(1)
	var vectors []vector
	for _, p := range all {
		if v, ok := parseOffset(p.key); ok {
			vectors = append(vectors, v)
		}
	}
	m, err := l.look(sp, vectors)
	for _, p := range all {
		p.result, p.err = m, err
	}
}

// look asks all nodes, brings this one up to date, and gathers what comes after
// the oldest of the offsets.
func (l *Log) look(sp *space, vectors []vector) (*missing, error) {
	l.mu.Lock()
	peers := slices.Clone(l.peers)
	l.mu.Unlock()
	id, a := l.begin(peers, func(id uint64) []byte {
		return msgp.AppendString(msgp.AppendUint64(appendHead(nil, 2, typeAsk), id), sp.name)
	})
	enough := l.attested
	if len(vectors) == 0 { // nothing is promised that a silent node could break
		enough = func(map[string][]byte, []string) bool { return true }
	}
	answers, silent := l.settle(l.ctx, id, a, enough)
	if !enough(answers, silent) {
		return nil, fmt.Errorf("socketeer: node %s does not answer, and no other is known to have all it sent", l.name(silent[0]))
	}
	logs, err := l.gather(sp, answers)
	if err != nil {
		return nil, err
	}
	m := &missing{dead: l.lostSenders(logs)}
	for sender, list := range logs {
		f, err := l.follow(sp, sender, list, vectors)
		if err != nil {
			return nil, err
		}
		m.senders = append(m.senders, f)
	}
	return m, nil
}

// attested reports whether for each silent peer there is a replica of it that
// is in sync and answered, or is this node.
func (l *Log) attested(answers map[string][]byte, silent []string) bool {
	synced := map[string]bool{}
	for _, b := range answers {
		r := reader{b: b}
		for _, p := range r.texts() {
			synced[p] = true
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range silent {
		if in := l.in[p]; !synced[p] && (in == nil || !in.synced) {
			return false
		}
	}
	return true
}

// gather returns who has what of each sender; what this node has comes last.
func (l *Log) gather(sp *space, answers map[string][]byte) (map[string][]held, error) {
	logs := map[string][]held{}
	for node, b := range answers {
		r := reader{b: b}
		r.texts()
		for range r.array() {
			extra := r.want(r.array(), 3)
			sender := r.text()
			h := held{node: node, first: r.uint64(), last: r.uint64()}
			r.skip(extra)
			if len(sender) < tagLen {
				r.fail()
			}
			if r.err == nil {
				logs[sender] = append(logs[sender], h)
			}
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for sender, sl := range sp.logs {
		h := held{first: sl.first, last: sl.last}
		if sender == l.cfg.Self {
			h.last = sp.at(sender)
		}
		logs[sender] = append(logs[sender], h)
	}
	return logs, nil
}

// lostSenders returns the tags of nodes that are gone, not long ago, and of
// which nobody has anything.
func (l *Log) lostSenders(logs map[string][]held) map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	dead := map[string]bool{}
	for inc, died := range l.dead {
		if _, ok := logs[inc]; !ok && time.Since(died) < l.keep {
			dead[inc[:tagLen]] = true
		}
	}
	return dead
}

// follow brings this node up to date with one sender, and returns what comes
// after the oldest of the offsets.
func (l *Log) follow(sp *space, sender string, list []held, vectors []vector) (found, error) {
	f := found{sender: sender}
	for _, h := range list {
		f.last = max(f.last, h.last)
		f.sure = f.sure || h.node == sender
	}
	self := sender == l.cfg.Self
	f.sure = f.sure || self
	for _, h := range list {
		if h.node == sender || self && h.node == "" {
			f.last = h.last // what it has not sent yet will come by the ordinary way
		}
	}
	if !self {
		l.cfg.Drain(l.ctx, sender)
	}
	l.mu.Lock()
	from := f.last
	if !f.sure {
		from = min(from, sp.at(sender))
	}
	l.mu.Unlock()
	for _, v := range vectors {
		from = min(from, v.of(sender[:tagLen]))
	}
	if from < f.last && !self {
		if err := l.fill(sp, sender, from, f.last, list); err != nil {
			return f, err
		}
	}
	l.catchUp(sp, &f)
	l.mu.Lock()
	defer l.mu.Unlock()
	sl := sp.log(sender)
	f.entries, f.whole = slices.Clone(sl.between(from, f.last)), sl.last >= f.last
	if l.lacks(sl, from) {
		f.lost = sl.lost
	}
	return f, l.decode(f.entries)
}

// decode decodes entries that were not yet. With mu held.
func (l *Log) decode(entries []*entry) error {
	for _, e := range entries {
		if e.msg == nil {
			m, err := l.cfg.Decode(e.body)
			if err != nil {
				return err
			}
			e.msg = m
		}
	}
	return nil
}

// catchUp hands the namespace what it will not get by the ordinary way: what was
// sent by a node that does not answer. What a node that answers has sent
// arrived before its answer, if it was for this node.
func (l *Log) catchUp(sp *space, f *found) {
	l.mu.Lock()
	enter, handle := sp.enter, sp.handle
	l.mu.Unlock()
	if enter != nil {
		enter(func() { l.handOver(sp, f, handle) })
	}
}

func (l *Log) handOver(sp *space, f *found, handle func(*adapter.Message)) {
	sp.order.Lock()
	defer sp.order.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	at := sp.at(f.sender)
	if f.sender == l.cfg.Self || f.last <= at {
		return
	}
	if f.sure {
		l.see(sp, f.sender, f.last)
		return
	}
	for _, e := range slices.Clone(sp.log(f.sender).between(at, f.last)) {
		if l.decode([]*entry{e}) != nil {
			continue // counted where it is read for a client
		}
		m := *e.msg
		m.Offset = l.offset(sp, f.sender, e.pos)
		l.mu.Unlock()
		handle(&m)
		l.mu.Lock()
		l.count.repaired.Add(1)
		l.see(sp, f.sender, e.pos)
	}
	l.see(sp, f.sender, f.last)
}

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

// read reads messages from whoever has most of them, in parts.
func (l *Log) read(sp *space, sender string, from, to uint64, list []held) ([]*message, error) {
	list = slices.DeleteFunc(slices.Clone(list), func(h held) bool { return h.node == "" || h.last < from || h.first > to })
	slices.SortFunc(list, func(a, b held) int {
		return cmp.Or(cmp.Compare(max(a.first, from), max(b.first, from)), cmp.Compare(b.last, a.last))
	})
	var got []*message
	var failed error
	for _, h := range list {
		for next := max(from, h.first); next <= min(to, h.last); {
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
	r := reader{b: b}
	var part []*message
	r.records(func(m *message, _ *saved) {
		if m == nil || m.sender != sender || m.entry.nsp != nsp || m.entry.pos > to ||
			m.entry.pos < from || len(part) > 0 && m.entry.pos != part[len(part)-1].entry.pos+1 {
			r.fail()
			return
		}
		part = append(part, m)
	})
	return part, r.err
}

// after returns what comes after v and is wanted by s, or why something would be
// missing.
func (m *missing) after(v vector, s *adapter.Session) ([]*adapter.Message, error) {
	known := map[string]bool{}
	var wanted []*entry
	for _, f := range m.senders {
		tag := f.sender[:tagLen]
		from := v.of(tag)
		switch {
		case known[tag]:
			return nil, &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: fmt.Errorf("socketeer: two nodes have the tag %s", tag)}
		case from > f.last && f.sure:
			return nil, &adapter.Unrecoverable{Reason: adapter.BadOffset}
		case from > f.last:
			return nil, &adapter.Unrecoverable{Reason: adapter.Gap}
		case from < f.lost:
			return nil, &adapter.Unrecoverable{Reason: adapter.Trimmed}
		}
		known[tag] = true
		if from == f.last {
			continue
		}
		if !f.whole {
			return nil, &adapter.Unrecoverable{Reason: adapter.Gap}
		}
		for _, e := range f.entries {
			if e.pos > from && s.Wants(&e.msg.Target) {
				wanted = append(wanted, e)
			}
		}
	}
	for _, mark := range v {
		if !known[mark.tag] && m.dead[mark.tag] {
			return nil, &adapter.Unrecoverable{Reason: adapter.Gap}
		}
	}
	slices.SortFunc(wanted, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.stamp, b.stamp), cmp.Compare(a.log.sender, b.log.sender), cmp.Compare(a.pos, b.pos))
	})
	now := slices.DeleteFunc(slices.Clone(v), func(m mark) bool { return !known[m.tag] })
	list := make([]*adapter.Message, 0, len(wanted))
	for _, e := range wanted {
		now = now.reach(e.log.sender[:tagLen], e.pos)
		c := *e.msg
		c.Offset = string(appendOffset(make([]byte, 0, 64), now))
		list = append(list, &c)
	}
	return list, nil
}

// reach returns v with the mark of a sender moved to pos, and to the front.
func (v vector) reach(tag string, pos uint64) vector {
	v = slices.DeleteFunc(v, func(m mark) bool { return m.tag == tag })
	return slices.Insert(v, 0, mark{tag, pos})
}
