package jslog

import (
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// take hands on a batch.
func (r *reader) take(b batch) {
	if b.seq <= r.position() {
		return
	}
	r.skip(b.seq)
	r.l.deliver.Lock() // around both: a namespace that opens sees the batch or begins after it
	defer r.l.deliver.Unlock()
	if b.broken {
		r.l.count.malformed.Add(1)
	}
	for i, rec := range b.records {
		r.record(&b, offset{born: r.born, pos: position{b.seq, uint32(i)}, stored: b.stored}, rec)
	}
	r.stored = b.stored
	r.reached(b.seq)
}

// record hands on one record. With Log.deliver held.
func (r *reader) record(b *batch, at offset, rec record) {
	l := r.l
	own := b.sender == l.cfg.Self
	if rec.kind == kindGap {
		number := rec.number
		if !own {
			number = 0
		}
		l.history.Gapped(at.pos, number)
		return
	}
	if rec.kind != kindMessage {
		return // of a later release
	}
	l.count.read.Add(1)
	if rec.number <= r.numbers[b.sender] {
		l.count.repeated.Add(1)
		return
	}
	if len(r.numbers) >= maxSenders {
		clear(r.numbers)
	}
	r.numbers[b.sender] = rec.number
	if own {
		l.own.Store(b.seq)
		if a := l.back(rec.number); a != nil {
			m := *a.m
			m.Offset = at.String()
			l.history.Add(entry{At: at.pos, NSP: a.nsp, Message: &m, Read: time.Now()})
			l.count.kept.Add(1)
			a.kept(m.Offset)
			l.pending.Pop()
			l.turns()
			return
		}
	}
	nsp, m, fence, err := l.hooks.decode(rec.body)
	if err != nil {
		l.count.malformed.Add(1)
		return
	}
	m.Offset = at.String()
	if fence > 0 && !own && l.space(nsp) != nil {
		l.order.await(b.sender, nsp, fence)
	}
	l.history.Add(entry{At: at.pos, NSP: nsp, Message: m, Read: time.Now()}) // first: who joins after the hand-over must find it
	if own {
		return // it came too late: this node's sockets have got it without an offset
	}
	l.handOver(nsp, m)
}

// handOver hands a message of another node to its namespace, if that is open.
func (l *Log) handOver(nsp string, m *adapter.Message) {
	if sp := l.space(nsp); sp != nil {
		sp.enter(func() { sp.handle(m) })
	}
}
