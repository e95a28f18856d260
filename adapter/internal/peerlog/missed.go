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

// fly is one round, for all who wait.
func (l *Log) fly(sp *space, all []*passenger[*missing]) {
	l.count.rounds.Add(1)
	l.mu.Lock()
	sp.round = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		sp.round, sp.recent = false, nil
		l.mu.Unlock()
	}()
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
		f := l.reach(sender, list)
		if err := l.fetch(sp, f, list, vectors); err != nil {
			return nil, err
		}
		m.senders = append(m.senders, f)
	}
	return m, l.meet(sp, m)
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

// reach says how far one sender has got.
func (l *Log) reach(sender string, list []held) *found {
	f := &found{sender: sender, sure: sender == l.cfg.Self}
	for _, h := range list {
		if h.node == sender || f.sure && h.node == "" {
			f.sure, f.last = true, h.last // what it has not sent yet will come by the ordinary way
			break
		}
		f.last = max(f.last, h.last)
	}
	return f
}

// fetch sees to it that what comes after the oldest of the offsets is here.
func (l *Log) fetch(sp *space, f *found, list []held, vectors []vector) error {
	if f.sender != l.cfg.Self {
		l.cfg.Drain(l.ctx, f.sender)
	}
	f.from = f.last
	l.mu.Lock()
	if !f.sure {
		f.from = min(f.from, sp.at(f.sender))
	}
	l.mu.Unlock()
	for _, v := range vectors {
		f.from = min(f.from, v.of(f.sender[:tagLen]))
	}
	if f.from < f.last && f.sender != l.cfg.Self {
		return l.fill(sp, f.sender, f.from, f.last, list)
	}
	return nil
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

// meet ends a round at one moment: what the namespace has been handed until then
// is in m, and the offsets that it is handed afterwards tell of all that is in
// m. So a socket that holds what it is handed while it waits for m neither
// loses nor repeats anything.
func (l *Log) meet(sp *space, m *missing) error {
	l.mu.Lock()
	enter, handle := sp.enter, sp.handle
	l.mu.Unlock()
	var err error
	if enter == nil || !enter(func() {
		sp.order.Lock()
		defer sp.order.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, f := range m.senders {
			l.catchUp(sp, f, handle)
		}
		err = l.collect(sp, m)
	}) {
		return errClosed
	}
	return err
}

// catchUp hands the namespace what it will not get by the ordinary way: what was
// sent by a node that does not answer. What a node that answers has sent
// arrived before its answer, if it was for this node. With order and mu held.
func (l *Log) catchUp(sp *space, f *found, handle func(*adapter.Message)) {
	at := sp.at(f.sender)
	if f.sender == l.cfg.Self || f.last <= at {
		return
	}
	if !f.sure {
		for _, e := range slices.Clone(sp.log(f.sender).between(at, f.last)) {
			if l.decode([]*entry{e}) != nil {
				continue // collect fails for it, too
			}
			c := *e.msg
			c.Offset = l.offset(sp, f.sender, e.pos)
			l.mu.Unlock()
			handle(&c)
			l.mu.Lock()
			l.count.repaired.Add(1)
			l.see(sp, f.sender, e.pos)
		}
	}
	l.see(sp, f.sender, f.last)
}

// collect gathers what has been asked for. With order and mu held.
func (l *Log) collect(sp *space, m *missing) error {
	now := time.Now().UnixMicro()
	known := make(map[string]*found)
	for _, f := range m.senders {
		known[f.sender] = f
		sl := sp.log(f.sender)
		if f.sender == l.cfg.Self {
			f.last = sp.at(f.sender)
		}
		f.entries, f.whole = slices.Clone(sl.between(f.from, f.last)), sl.last >= f.last
		if l.lacks(sl, f.from) {
			f.lost = sl.lost
		}
		if err := l.decode(f.entries); err != nil {
			return err
		}
	}
	for _, h := range sp.recent {
		f := known[h.sender]
		if f == nil {
			f = &found{sender: h.sender, fresh: true, last: h.pos - 1}
			known[h.sender], m.senders = f, append(m.senders, f)
		}
		if h.pos > f.last {
			f.ended = now
			f.recent = append(f.recent, h)
		}
	}
	return nil
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
