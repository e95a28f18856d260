package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/msgread"
)

// requests are those this node waits for.
type requests struct {
	mu      sync.Mutex
	id      uint64
	pending map[uint64]*pending
}

// pending is one request under way.
type pending struct {
	wake  chan struct{} // capacity 1
	limit int           // bytes waiting for each

	mu      sync.Mutex
	waiting map[string]string // incarnation -> name
	missing []string          // names of those that died or failed
	cause   error             // of the first in missing
	queue   []adapter.Response
	bytes   int
}

// errIncomplete is the cause when a node said that its answer is not complete.
var errIncomplete = errors.New("socketeer: node could not answer in full")

// Request implements [adapter.Adapter]. Each is called on the caller's
// goroutine.
func (a *namespace) Request(ctx context.Context, m *adapter.Message, each func(adapter.Response)) error {
	return a.request(ctx, m, 0, each)
}

// request is Request; at is the place in a SharedLog that it comes after, 0 if
// there is none.
func (a *namespace) request(ctx context.Context, m *adapter.Message, at uint64, each func(adapter.Response)) error {
	if a.isClosed() {
		return errAdapterClosed
	}
	if err := checkOp(m); err != nil {
		return err
	}
	n := a.node
	n.count.requests.Add(1)
	id, p := n.requests.add(n)
	defer n.requests.remove(id)
	if ctx.Err() == nil {
		if err := n.sendRequest(ctx, id, p, a.name, m, at); err != nil {
			return err
		}
	}
	err := p.wait(ctx, n.ctx, each)
	if err != nil {
		n.count.partial.Add(1)
		for _, inc := range p.asked() {
			n.reply(frameCancel, inc, id)
		}
	}
	return err
}

// add registers a request to the live nodes. One that died before it was
// registered is not in the view any more, and is taken off here; one that dies
// later is taken off by gone.
func (q *requests) add(n *Node) (uint64, *pending) {
	p := &pending{wake: make(chan struct{}, 1), limit: n.cfg.QueueBytes, waiting: make(map[string]string)}
	for _, peer := range n.view.Load().peers {
		p.waiting[peer.incarnation] = peer.name
	}
	q.mu.Lock()
	q.id++
	id := q.id
	q.pending[id] = p
	q.mu.Unlock()
	live := n.view.Load().name
	for _, inc := range p.asked() {
		if _, ok := live[inc]; !ok {
			p.gone(inc)
		}
	}
	return id, p
}

func (q *requests) remove(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.pending, id)
}

func (q *requests) find(id uint64) *pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pending[id]
}

// gone stops waiting for a node.
func (q *requests) gone(incarnation string) {
	q.mu.Lock()
	all := make([]*pending, 0, len(q.pending))
	for _, p := range q.pending {
		all = append(all, p)
	}
	q.mu.Unlock()
	for _, p := range all {
		p.gone(incarnation)
	}
}

// sendRequest sends a request to everyone it waits for.
func (n *Node) sendRequest(ctx context.Context, id uint64, p *pending, nsp string, m *adapter.Message, at uint64) error {
	to := p.asked()
	if len(to) == 0 {
		return nil
	}
	var left time.Duration // 0: no deadline
	if deadline, ok := ctx.Deadline(); ok {
		left = max(time.Until(deadline), 1)
	}
	buf := n.out.buffer()
	defer n.out.release(buf)
	b := appendHeader((*buf)[:0], frameRequest, n.id.Incarnation)
	b = msgp.AppendArrayHeader(b, 3)
	b = msgp.AppendUint64(b, id)
	b = msgp.AppendInt64(b, int64(left))
	if at == 0 {
		*buf = appendOp(b, nsp, m)
	} else {
		*buf = appendPlaced(b, nsp, m)
		setPosition(*buf, at)
	}
	if len(*buf) > n.cfg.MaxMessage {
		return &TooLargeError{Size: len(*buf), Limit: n.cfg.MaxMessage}
	}
	defer n.flush()
	n.out.mu.Lock()
	defer n.out.mu.Unlock()
	for _, inc := range to {
		if err := n.handNode(*buf, inc, n.subj.node(inc)); err != nil {
			p.fail(inc, err)
		}
	}
	return nil
}

// asked returns whom the request waits for.
func (p *pending) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]string, 0, len(p.waiting))
	for inc := range p.waiting {
		list = append(list, inc)
	}
	return list
}

func (p *pending) gone(incarnation string) { p.fail(incarnation, ErrNodeGone) }

// fail stops waiting for a node and notes it as missing.
func (p *pending) fail(incarnation string, cause error) {
	p.mu.Lock()
	p.failLocked(incarnation, cause)
	p.mu.Unlock()
	p.signal()
}

func (p *pending) failLocked(incarnation string, cause error) {
	name, ok := p.waiting[incarnation]
	if !ok {
		return
	}
	delete(p.waiting, incarnation)
	p.missing = append(p.missing, name)
	if p.cause == nil {
		p.cause = cause
	}
}

func (p *pending) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// onResponse takes a response from the bus.
func (n *Node) onResponse(from string, r *reader) {
	r.Record(2)
	p := n.requests.find(r.Uint64())
	if p == nil || r.Err != nil {
		return // too late: the request has ended
	}
	size := len(r.Rest)
	resp, failed := r.response()
	if r.Err != nil {
		p.fail(from, msgread.ErrMalformed)
		return
	}
	if !p.push(from, resp, failed, size) {
		n.count.dropResponses.Add(1)
	}
}

// push queues a response for the caller. It is false if the caller is so slow
// that too much is waiting; the node then counts as missing.
func (p *pending) push(from string, resp adapter.Response, failed bool, size int) bool {
	defer p.signal()
	p.mu.Lock()
	defer p.mu.Unlock()
	name, ok := p.waiting[from]
	if !ok {
		return true
	}
	if p.bytes+size > p.limit {
		p.failLocked(from, errIncomplete)
		return false
	}
	if failed {
		p.failLocked(from, errIncomplete)
		return true
	}
	resp.Node = name
	p.queue = append(p.queue, resp)
	p.bytes += size
	if resp.Last {
		delete(p.waiting, from)
	}
	return true
}

// take returns what has come, and whether anybody is still waited for.
func (p *pending) take() (got []adapter.Response, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	got, p.queue, p.bytes = p.queue, nil, 0
	return got, len(p.waiting) > 0
}

// wait hands responses to each until all have answered or ctx or the node
// ends. What came before the end is handed over in any case.
func (p *pending) wait(ctx, node context.Context, each func(adapter.Response)) error {
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
		case <-ctx.Done():
		case <-node.Done():
		}
		cause := context.Cause(ctx)
		if ctx.Err() == nil {
			cause = errClosed
		}
		got, _ = p.take()
		for _, r := range got {
			each(r)
		}
		return p.result(cause)
	}
}

// result is the error for those who are missing, nil when nobody is.
func (p *pending) result(cause error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	missing := slices.Clone(p.missing)
	for _, name := range p.waiting {
		missing = append(missing, name)
	}
	if len(missing) == 0 {
		return nil
	}
	if cause == nil {
		cause = p.cause
	}
	slices.Sort(missing)
	return &adapter.PartialError{Missing: missing, Cause: cause}
}
