package cluster

import "github.com/socketeer-io/socketeer/internal/msgread"

// item is a frame that waits for its namespace, in the sender's lane.
type item struct {
	h    header
	body []byte
	mark chan struct{} // not a frame: closed when it is reached
}

// push appends a frame to a lane, or drops it when too much is waiting. A
// request that is dropped is answered, so that nobody waits for it. What came
// alone is handled at once when its lane is at rest.
func (n *Node) push(key uint32, h header, frame, body []byte, alone bool) {
	hand := n.lanes.Push
	if alone {
		hand = n.lanes.Do
	}
	ok, first := hand(key, item{h: h, body: body}, len(frame))
	if ok {
		return
	}
	if first {
		n.log.Warn("namespaces are slower than the cluster: messages are dropped", "queued", n.cfg.QueueBytes)
	}
	n.refuseItem(h, body)
}

// refuseItem answers a request that is dropped.
func (n *Node) refuseItem(h header, body []byte) {
	if h.kind == frameRequest {
		r := reader{msgread.Reader{Rest: body}}
		r.Record(2)
		if id := r.Uint64(); r.Err == nil {
			n.refuse(string(h.sender), id)
		}
	}
}

// mark has done closed when everything pushed to a lane so far has been handled.
func (n *Node) mark(key uint32, done chan struct{}) { n.lanes.Push(key, item{mark: done}, 0) }

// handle deals with what has come to the front of a lane.
func (n *Node) handle(it item) {
	if it.mark != nil {
		close(it.mark)
		return
	}
	if n.cfg.Log != nil {
		n.handleInOrder(it)
		return
	}
	n.carryOut(it)
}

// carryOut carries out one message or request.
func (n *Node) carryOut(it item) {
	r := reader{msgread.Reader{Rest: it.body}}
	switch it.h.kind {
	case frameCancel:
		if id := r.Uint64(); r.Err == nil {
			n.answers.cancel(answerKey{string(it.h.sender), id})
		}
	case frameRequest:
		n.handleRequest(string(it.h.sender), &r)
	case frameFence:
		if n.cfg.Log != nil && !n.onFence(it) {
			r.Fail()
		}
	case frameOp:
		extra := r.Record(opFields)
		nsp := r.TextBytes()
		m := r.op()
		pos := r.readPosition(extra)
		if r.Err != nil {
			break
		}
		a := n.lookup(nsp)
		if a == nil || !n.handleOp(a, string(it.h.sender), m, pos) {
			n.count.dropNamespace.Add(1)
		}
	}
	if r.Err != nil {
		n.count.dropMalformed.Add(1)
	}
}

func (n *Node) lookup(nsp []byte) *namespace {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.namespaces[string(nsp)]
}
