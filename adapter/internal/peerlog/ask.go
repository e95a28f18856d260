package peerlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/internal/msgread"
)

const (
	// answerTime is how long a peer may take to answer until others that know
	// what it knows are enough; readTime how long in any case.
	answerTime = 300 * time.Millisecond
	readTime   = 2 * time.Second
)

// ask is a question to some peers. Guarded by Log.mu.
type ask struct {
	waiting map[string]bool
	answers map[string][]byte // the rest of the frame after the id
	change  chan struct{}     // capacity 1: there is another answer
	done    chan struct{}     // closed when nobody is waited for
}

// gone stops waiting for those who are not among the live any more.
func (a *ask) gone(live []string) {
	for p := range a.waiting {
		if !slices.Contains(live, p) {
			a.remove(p)
		}
	}
}

func (a *ask) remove(peer string) {
	if !a.waiting[peer] {
		return
	}
	delete(a.waiting, peer)
	if len(a.waiting) == 0 {
		close(a.done)
	}
}

// begin asks peers. Frame is given the id. Those who have not answered lately
// are asked too.
func (l *Log) begin(to []string, frame func(id uint64) []byte) (uint64, *ask) {
	a := &ask{waiting: make(map[string]bool), answers: make(map[string][]byte), change: make(chan struct{}, 1), done: make(chan struct{})}
	l.mu.Lock()
	l.askID++
	id := l.askID
	l.asks[id] = a
	for _, p := range to {
		a.waiting[p] = true
	}
	a.gone(l.peers)
	if len(to) == 0 {
		close(a.done)
	}
	to = slices.Collect(maps.Keys(a.waiting))
	l.mu.Unlock()
	b := frame(id)
	for _, p := range to {
		if err := l.cfg.Send(p, b); err != nil {
			l.log.Debug("not asked", "peer", l.name(p), "err", err)
		}
	}
	return id, a
}

// settle waits for the answers: for all, or for answerTime until those who have
// not answered are suspects; and then, while enough says that they are needed,
// until readTime has passed. It returns the answers, and who did not give any.
func (l *Log) settle(ctx context.Context, id uint64, a *ask, enough func(answers map[string][]byte, silent []string) bool) (map[string][]byte, []string) {
	begin := time.Now()
	t := time.NewTicker(tick)
	defer t.Stop()
	over := false
	for !over {
		select {
		case <-a.done:
			over = true
		case <-a.change:
		case <-t.C:
		case <-ctx.Done():
			over = true
		}
		waited := time.Since(begin)
		answers, silent, hopeful := l.state(a)
		over = over || waited > readTime || (waited > answerTime || !hopeful) && enough(answers, silent)
	}
	l.mu.Lock()
	delete(l.asks, id)
	for p := range a.waiting {
		l.suspect[p] = true
	}
	l.mu.Unlock()
	answers, silent, _ := l.state(a)
	return answers, silent
}

// state returns the answers so far, who has not answered, and whether any of
// those is expected to.
func (l *Log) state(a *ask) (answers map[string][]byte, silent []string, hopeful bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range a.waiting {
		silent = append(silent, p)
		hopeful = hopeful || !l.suspect[p]
	}
	return maps.Clone(a.answers), silent, hopeful
}

var errSilent = errors.New("does not answer")

// one asks one peer and waits for its answer.
func (l *Log) one(ctx context.Context, to string, frame func(id uint64) []byte) ([]byte, error) {
	id, a := l.begin([]string{to}, frame)
	answers, _ := l.settle(ctx, id, a, func(map[string][]byte, []string) bool { return false })
	if b, ok := answers[to]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("socketeer: node %s %w", l.name(to), errSilent)
}

// answered takes an answer.
func (l *Log) answered(from string, r *reader) {
	id := r.Uint64()
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.asks[id]; r.Err == nil && a != nil && a.waiting[from] {
		a.answers[from] = r.Rest
		a.remove(from)
		notify(a.change)
	}
}

// Receive takes a frame from a peer. It does not block; it keeps parts of
// frame.
func (l *Log) Receive(from string, frame []byte) error {
	r := reader{msgread.Reader{Rest: frame}}
	kind, fields := r.head()
	if r.Err != nil {
		return r.Err
	}
	l.mu.Lock()
	delete(l.suspect, from)
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return nil
	}
	var reply []byte
	switch kind {
	case typeBatch:
		reply = l.takeBatch(from, &r, r.want(fields, 4))
	case typeAck:
		l.mu.Lock()
		l.acked(from, &r, r.want(fields, 3))
		l.advance()
		l.signal()
		l.mu.Unlock()
	case typeAsk:
		reply = l.onAsk(&r)
	case typeRead:
		reply = l.onRead(&r)
	case typeFind:
		reply = l.onFind(&r)
	case typeClaim:
		reply = l.onClaim(&r)
	case typeGone:
		l.onGone(&r)
	case typeAnswer, typeChunk, typeFound, typeGrant:
		l.answered(from, &r)
	}
	if reply != nil {
		return l.cfg.Send(from, reply)
	}
	return r.Err
}

// onAsk tells what is held of a namespace. Of its own messages a node tells
// those that it has sent.
func (l *Log) onAsk(r *reader) []byte {
	id, nsp := r.Uint64(), r.Text()
	if r.Err != nil {
		return nil
	}
	l.sending.Lock()
	defer l.sending.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := msgp.AppendUint64(appendHead(nil, 3, typeAnswer), id)
	var synced []string
	for p, in := range l.in {
		if in.synced {
			synced = append(synced, p)
		}
	}
	b = msgp.AppendArrayHeader(b, uint32(len(synced)))
	for _, p := range synced {
		b = msgp.AppendString(b, p)
	}
	sp := l.spaces[nsp]
	if sp == nil {
		return msgp.AppendArrayHeader(b, 0)
	}
	b = msgp.AppendArrayHeader(b, uint32(len(sp.logs)))
	for sender, sl := range sp.logs {
		last := sl.last
		if sender == l.cfg.Self {
			last = sl.sent
		}
		b = msgp.AppendArrayHeader(b, 3)
		b = msgp.AppendString(b, sender)
		b = msgp.AppendUint64(b, sl.first)
		b = msgp.AppendUint64(b, last)
	}
	return b
}

// onRead returns a part of what is asked for, or nothing if it is not here.
func (l *Log) onRead(r *reader) []byte {
	id, nsp, sender, from, to := r.Uint64(), r.Text(), r.Text(), r.Uint64(), r.Uint64()
	if r.Err != nil || from == 0 || to < from {
		r.Fail()
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.served.Add(1)
	var part []*entry
	if sp := l.spaces[nsp]; sp != nil && sp.logs[sender] != nil {
		sl := sp.logs[sender]
		part = sl.between(max(from, sl.first)-1, to)
	}
	n, bytes := 0, 0
	for n < len(part) && n < maxElements && (n == 0 || bytes+part[n].size() <= l.batch) {
		bytes += part[n].size()
		n++
	}
	b := msgp.AppendUint64(appendHead(make([]byte, 0, bytes+64), 2, typeChunk), id)
	b = msgp.AppendArrayHeader(b, uint32(n))
	for _, e := range part[:n] {
		b = e.appendTo(b)
	}
	return b
}
