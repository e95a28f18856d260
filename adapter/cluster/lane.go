package cluster

import (
	"sync"
)

// lane hands the messages of some senders to their namespaces, in order. A
// sender always has the same lane.
type lane struct {
	node  *Node
	limit int           // bytes
	wake  chan struct{} // capacity 1

	mu      sync.Mutex
	items   []item
	bytes   int  // of items and of those being handled
	running bool // somebody handles items, or is about to look whether there are any
	full    bool // overflowing; logged once until it has drained
}

type item struct {
	h    header
	body []byte
	size int
	mark chan struct{} // not a frame: closed when it is reached
}

func newLane(n *Node, limit int) *lane {
	return &lane{node: n, limit: limit, wake: make(chan struct{}, 1)}
}

// push appends a frame, or drops it when too much is waiting. A request that
// is dropped is answered, so that nobody waits for it. With inline, the frame
// is handled at once if nothing else is.
func (l *lane) push(h header, frame, body []byte, inline bool) {
	l.mu.Lock()
	if inline && !l.running {
		l.running = true
		l.bytes += len(frame)
		l.mu.Unlock()
		l.handle(&item{h: h, body: body, size: len(frame)})
		l.mu.Lock()
		l.running = len(l.items) > 0
		wake := l.running
		l.mu.Unlock()
		if wake {
			l.signal()
		}
		return
	}
	if l.bytes+len(frame) > l.limit && l.bytes > 0 {
		first := !l.full
		l.full = true
		l.mu.Unlock()
		l.node.count.dropQueue.Add(1)
		if first {
			l.node.log.Warn("namespaces are slower than the cluster: messages are dropped", "queued", l.limit)
		}
		if h.kind == frameRequest {
			r := reader{b: body}
			r.record(2)
			if id := r.uint64(); r.err == nil {
				l.node.refuse(string(h.sender), id)
			}
		}
		return
	}
	l.bytes += len(frame)
	l.append(item{h: h, body: body, size: len(frame)})
}

// mark has done closed when everything pushed so far has been handled.
func (l *lane) mark(done chan struct{}) {
	l.mu.Lock()
	l.append(item{mark: done})
}

// append is called with mu held, and unlocks it.
func (l *lane) append(it item) {
	l.items = append(l.items, it)
	wake := !l.running
	l.running = true
	l.mu.Unlock()
	if wake {
		l.signal()
	}
}

// signal makes run look. It is called by the one who has set running, or has
// left it set.
func (l *lane) signal() { l.wake <- struct{}{} }

// run handles what is pushed until the node ends.
func (l *lane) run() {
	for {
		select {
		case <-l.wake:
		case <-l.node.ctx.Done():
			return
		}
		l.drain()
	}
}

// drain handles items until there are none.
func (l *lane) drain() {
	var batch []item
	for {
		l.mu.Lock()
		batch, l.items = l.items, batch[:0]
		if len(batch) == 0 {
			l.full, l.running = false, false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		for i := range batch {
			if l.node.ctx.Err() != nil {
				return
			}
			l.handle(&batch[i])
			batch[i] = item{}
		}
		if cap(batch) > 4096 {
			batch = nil // do not keep the memory of a burst
		}
	}
}

func (l *lane) handle(it *item) {
	l.node.handle(it)
	l.mu.Lock()
	l.bytes -= it.size
	l.mu.Unlock()
}

// handle carries out one message or request.
func (n *Node) handle(it *item) {
	if it.mark != nil {
		close(it.mark)
		return
	}
	r := reader{b: it.body}
	switch it.h.kind {
	case frameCancel:
		if id := r.uint64(); r.err == nil {
			n.answers.cancel(answerKey{string(it.h.sender), id})
		}
	case frameRequest:
		n.handleRequest(string(it.h.sender), &r)
	case frameOp:
		extra := r.record(opFields)
		nsp := r.text()
		m := r.op()
		pos := r.readPosition(extra)
		if r.err != nil {
			break
		}
		a := n.lookup(nsp)
		if a == nil || !n.handleOp(a, string(it.h.sender), m, pos) {
			n.count.dropNamespace.Add(1)
		}
	}
	if r.err != nil {
		n.count.dropMalformed.Add(1)
	}
}

func (n *Node) lookup(nsp []byte) *namespace {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.namespaces[string(nsp)]
}
