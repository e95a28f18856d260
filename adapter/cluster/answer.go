package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
)

const (
	// maxAnswers bounds the requests being answered at a time.
	maxAnswers = 1 << 16
	// responseBytes is the size around which a list of sockets is split.
	responseBytes = 256 << 10
)

// answers are the requests of other nodes being answered here.
type answers struct {
	mu      sync.Mutex
	running map[answerKey]*answer
}

type answerKey struct {
	from string // incarnation
	id   uint64
}

// answer is one request being answered. It ends with its last response, its
// deadline, the death of who asked, or the closing of the namespace.
type answer struct {
	node *Node
	a    *namespace
	key  answerKey
	stop context.CancelFunc

	mu   sync.Mutex
	done bool
}

// handleRequest starts to answer a request. It is called in the order of the
// sender's messages.
func (n *Node) handleRequest(from string, r *reader) {
	r.Record(3)
	id := r.Uint64()
	left := time.Duration(r.Int64())
	r.Record(opFields)
	nsp := r.TextBytes()
	if r.Err != nil {
		return
	}
	a := n.lookup(nsp)
	if a == nil {
		n.respond(from, id, &adapter.Response{Last: true}, false)
		return
	}
	m := r.op()
	if r.Err != nil {
		n.refuse(from, id)
		return
	}
	ctx, stop := n.answerContext(left)
	w := &answer{node: n, a: a, key: answerKey{from, id}, stop: stop}
	if !n.answers.add(w) {
		stop()
		n.refuse(from, id)
		return
	}
	context.AfterFunc(ctx, w.end)
	// A requester that died before it was added is gone from the view.
	if _, live := n.view.Load().name[from]; !live {
		w.end()
		return
	}
	if !a.deliver(func() { a.local.Answer(ctx, m, w.reply) }) {
		w.abandon()
	}
}

// answerContext returns the context of an answer that has left to go, or as
// long as it takes when left is 0.
func (n *Node) answerContext(left time.Duration) (context.Context, context.CancelFunc) {
	if left > 0 {
		return context.WithTimeout(n.ctx, left)
	}
	return context.WithCancel(n.ctx)
}

func (q *answers) add(w *answer) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.running) >= maxAnswers {
		return false
	}
	q.running[w.key] = w
	return true
}

func (q *answers) remove(w *answer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running[w.key] == w {
		delete(q.running, w.key)
	}
}

func (q *answers) matching(match func(*answer) bool) (list []*answer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.running {
		if match(w) {
			list = append(list, w)
		}
	}
	return list
}

// cancel ends an answer that is not waited for any more.
func (q *answers) cancel(key answerKey) {
	q.mu.Lock()
	w := q.running[key]
	q.mu.Unlock()
	if w != nil {
		w.end()
	}
}

// gone ends the answers to a node that is gone.
func (q *answers) gone(incarnation string) {
	for _, w := range q.matching(func(w *answer) bool { return w.key.from == incarnation }) {
		w.end()
	}
}

// abandon ends the answers of a namespace that is closed, telling those who
// asked if tell is true.
func (q *answers) abandon(a *namespace, tell bool) {
	for _, w := range q.matching(func(w *answer) bool { return w.a == a }) {
		if tell {
			w.abandon()
		} else {
			w.end()
		}
	}
}

// end stops the answer without a word. It is idempotent.
func (w *answer) end() { w.finish() }

// finish marks the answer as done; it is true for the first call.
func (w *answer) finish() bool {
	w.mu.Lock()
	first := !w.done
	w.done = true
	w.mu.Unlock()
	if first {
		w.node.answers.remove(w)
		w.stop()
	}
	return first
}

// abandon tells who asked that the answer is not complete.
func (w *answer) abandon() {
	if w.finish() {
		w.node.refuse(w.key.from, w.key.id)
	}
}

// reply sends one response. Lists of sockets are split, so that many sockets
// make several frames and not one that the bus cannot take.
func (w *answer) reply(r adapter.Response) {
	w.mu.Lock()
	done := w.done
	w.mu.Unlock()
	if done {
		return
	}
	n := w.node
	for sockets := r.Sockets; len(sockets) > 0; {
		i, size := 0, 0
		for i < len(sockets) && i < maxElements && (i == 0 || size < responseBytes) {
			size += socketSize(&sockets[i])
			i++
		}
		if i == len(sockets) {
			r.Sockets = sockets
			break
		}
		n.respond(w.key.from, w.key.id, &adapter.Response{Sockets: sockets[:i]}, false)
		sockets = sockets[i:]
	}
	if !r.Last {
		n.respond(w.key.from, w.key.id, &r, false)
	} else if w.finish() {
		n.respond(w.key.from, w.key.id, &r, false)
	}
}

// refuse tells a requester that it gets no complete answer.
func (n *Node) refuse(to string, id uint64) {
	n.respond(to, id, &adapter.Response{Last: true}, true)
}

// respond sends one response. One that is too large is replaced by a refusal.
func (n *Node) respond(to string, id uint64, r *adapter.Response, failed bool) {
	buf := n.out.buffer()
	defer n.out.release(buf)
	b := appendHeader((*buf)[:0], frameResponse, n.id.Incarnation)
	b = msgp.AppendArrayHeader(b, 2)
	b = msgp.AppendUint64(b, id)
	*buf = appendResponse(b, r, failed)
	if len(*buf) > n.cfg.MaxMessage || len(r.Attachments) > maxElements {
		n.count.dropResponses.Add(1)
		n.log.Warn("response too large for the cluster", "peer", to, "bytes", len(*buf), "limit", n.cfg.MaxMessage)
		n.refuse(to, id)
		return
	}
	if err := n.sendNode(*buf, to); err != nil {
		n.log.Debug("response not sent", "peer", to, "err", err)
	}
}
