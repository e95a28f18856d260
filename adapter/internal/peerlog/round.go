package peerlog

import (
	"fmt"
	"slices"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/msgread"
)

// held is what a node told of a sender's log.
type held struct {
	node        string // "" is this one
	first, last uint64
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
		r := reader{msgread.Reader{Rest: b}}
		for _, p := range r.Texts() {
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
		r := reader{msgread.Reader{Rest: b}}
		r.Texts()
		for range r.Array() {
			extra := r.want(r.Array(), 3)
			sender := r.Text()
			h := held{node: node, first: r.Uint64(), last: r.Uint64()}
			r.Skip(extra)
			if len(sender) < tagLen {
				r.Fail()
			}
			if r.Err == nil {
				logs[sender] = append(logs[sender], h)
			}
		}
		if r.Err != nil {
			return nil, r.Err
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
