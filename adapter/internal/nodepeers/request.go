package nodepeers

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// requests are those this node waits for.
type requests struct {
	seq, late, overflow atomic.Uint64
	waiting             atomic.Int64 // len of pending

	mu      sync.Mutex
	pending map[string]*pending // by request id; a request has two with a barrier
}

// Request implements that method of [adapter.Adapter]. Each is called on the
// caller's goroutine.
func (a *Namespace) Request(ctx context.Context, m *adapter.Message, each func(adapter.Response)) error {
	if err := a.Err(); err != nil {
		return err
	}
	n := a.node
	n.count.requests.Add(1)
	err := a.request(ctx, m, each)
	if err != nil {
		n.count.partial.Add(1)
	}
	return err
}

func (a *Namespace) request(ctx context.Context, m *adapter.Message, each func(adapter.Response)) error {
	n := a.node
	uids, more, err := a.census(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return &adapter.PartialError{Missing: n.dir.names(), Cause: err}
	}
	p := n.newPending(m.Kind, uids, more)
	left := maxAnswerTime
	if deadline, ok := ctx.Deadline(); ok {
		left = max(0, time.Until(deadline))
	}
	out := a.toWire(m)
	out.RequestID = requestID(n.uid, n.requests.seq.Add(1), left)
	barrier := out.RequestID + "." + barrierMark
	n.requests.add(p, out.RequestID, barrier)
	defer n.requests.remove(out.RequestID, barrier)
	// A node that died before it was registered is gone from the directory, one
	// that dies later is taken off by requests.gone.
	for _, uid := range uids {
		if n.dir.dead(uid) {
			p.forget(uid)
		}
	}
	if !p.open() {
		if !p.confirmed() || len(uids)+more == 0 {
			return nil
		}
		// Node.js peers alone, who carry it out and do not tell.
		if err := n.wire.Publish(out); err != nil {
			return &adapter.PartialError{Missing: n.dir.names(), Cause: err}
		}
		return nil
	}
	if m.Kind == adapter.Broadcast || m.Kind == adapter.Fetch {
		out.Flags.Timeout = left.Truncate(time.Millisecond)
	}
	if err := a.send(p, out, barrier); err != nil {
		p.failAll(err)
	}
	return a.wait(ctx, p, each)
}

// send sends a request, and what Node.js peers confirm it by.
func (a *Namespace) send(p *pending, m *nodewire.Message, barrier string) error {
	if err := a.node.wire.Publish(m); err != nil {
		return err
	}
	if !p.confirmed() || !p.foreign() {
		return nil
	}
	return a.node.wire.Publish(&nodewire.Message{
		UID: a.node.uid, NSP: a.name, Type: nodewire.FetchSockets, RequestID: barrier,
		Target: adapter.Target{Rooms: []string{barrier}}, // nobody is in there
	})
}

// wait hands responses to each until all have answered or ctx or the namespace
// ends. What came before the end is handed over in any case.
func (a *Namespace) wait(ctx context.Context, p *pending, each func(adapter.Response)) error {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for {
		got, more := p.take()
		for _, r := range got {
			each(r)
		}
		if !more {
			return p.result(nil)
		}
		if len(got) > 0 {
			continue
		}
		select {
		case <-p.wake:
			continue
		case <-look.C:
			a.look(ctx, p)
			continue
		case <-ctx.Done():
		case <-a.ctx.Done():
		}
		cause := context.Cause(ctx)
		if ctx.Err() == nil {
			cause = errAdapterClosed
		}
		got, _ = p.take()
		for _, r := range got {
			each(r)
		}
		return p.result(cause)
	}
}

func (q *requests) add(p *pending, ids ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		q.pending[id] = p
	}
	q.waiting.Store(int64(len(q.pending)))
}

func (q *requests) remove(ids ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		delete(q.pending, id)
	}
	q.waiting.Store(int64(len(q.pending)))
}

// mine reports whether bytes that are a response may answer a request. Ids of
// this node's requests begin with its uid, and are the same in JSON and
// msgpack.
func (q *requests) mine(response []byte, uid string) bool {
	return q.waiting.Load() > 0 && bytes.Contains(response, []byte(uid))
}

// receive takes a response.
func (q *requests) receive(m *nodewire.Message) {
	q.mu.Lock()
	p := q.pending[m.RequestID]
	q.mu.Unlock()
	if p == nil {
		q.late.Add(1)
		return
	}
	switch p.receive(m) {
	case unexpected:
		q.late.Add(1)
	case tooMuch:
		q.overflow.Add(1)
	}
}

// gone stops waiting for a Go node.
func (q *requests) gone(uid string) {
	q.mu.Lock()
	all := make(map[*pending]bool, len(q.pending))
	for _, p := range q.pending {
		all[p] = true
	}
	q.mu.Unlock()
	for p := range all {
		p.fail(uid, ErrGone)
	}
}
