package cluster

import (
	"errors"
	"sync"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter/internal/lane"
	"github.com/socketeer-io/socketeer/internal/msgread"
)

// maxSenders bounds the memory for senders. It is only ever reached by
// publishers that are no members.
const maxSenders = 1024

// inbox is what is remembered of each sender.
type inbox struct {
	log sync.Mutex // frames of the log are dealt with one at a time

	mu      sync.Mutex
	senders map[string]*sender
}

// sender is where the sequences of one sender stand.
type sender struct {
	lane       uint32 // key of its lane
	seq        uint64
	node       uint64
	namespaces map[string]*uint64
}

// receiveBatch is called by a bus that reads from each sender apart. What came
// alone may be handled at once: nothing waits behind it. Not so with a log: who
// is in the middle of reading what was missed may have to hear from the sender
// before a message of its can be handed over.
func (n *Node) receiveBatch(batch [][]byte) {
	alone := len(batch) == 1 && n.keeps == nil && n.cfg.Log == nil
	for _, data := range batch {
		n.receive(data, alone)
	}
}

// receive is called by the bus for each frame, on one goroutine for each
// sender. Control frames are dealt with here; messages and requests are
// queued, so that a slow namespace holds up neither heartbeats nor barriers,
// unless one is alone.
func (n *Node) receive(data []byte, alone bool) {
	if n.ctx.Err() != nil {
		return
	}
	n.heard.Store(true)
	h, body, err := parseHeader(data)
	if err != nil {
		if errors.Is(err, errVersion) {
			n.count.dropUnknown.Add(1)
		} else {
			n.count.dropMalformed.Add(1)
		}
		return
	}
	if string(h.sender) == n.id.Incarnation {
		return // a probe, or a bus that echoes
	}
	n.count.received.Add(1)
	r := reader{msgread.Reader{Rest: body}}
	switch h.kind {
	case frameOp, frameRequest, frameCancel, frameFence:
		if key, ok := n.track(&h, body); ok {
			n.push(key, h, data, body, alone)
		}
		return
	}
	n.track(&h, body)
	switch h.kind {
	case frameMember:
		r.Err = n.members.Receive(body)
	case frameSync:
		if id := r.Uint64(); r.Err == nil {
			n.reply(frameSynced, string(h.sender), id)
		}
	case frameSynced:
		if id := r.Uint64(); r.Err == nil {
			n.barriers.answered(id, string(h.sender))
		}
	case frameResponse:
		n.onResponse(string(h.sender), &r)
	case frameLog:
		if n.keeps != nil {
			n.in.log.Lock()
			r.Err = n.keeps.Receive(string(h.sender), body)
			n.in.log.Unlock()
		}
	}
	if r.Err != nil {
		n.count.dropMalformed.Add(1)
	}
}

// reply sends a frame whose body is one number.
func (n *Node) reply(k frameKind, to string, id uint64) {
	b := appendHeader(make([]byte, 0, headerLen+9), k, n.id.Incarnation)
	if err := n.sendNode(msgp.AppendUint64(b, id), to); err != nil {
		n.log.Debug("not sent", "peer", to, "err", err)
	}
}

// track notices duplicates and gaps. It returns the sender's lane, and false
// if the frame is a copy of the one before.
func (n *Node) track(h *header, body []byte) (uint32, bool) {
	n.in.mu.Lock()
	defer n.in.mu.Unlock()
	s, ok := n.in.senders[string(h.sender)]
	if !ok {
		s = n.newSender(string(h.sender))
	}
	switch h.path {
	case pathNode:
		n.gap(&s.node, h.pathSeq)
	case pathNamespace:
		r := reader{msgread.Reader{Rest: body}}
		r.Record(1)
		nsp := r.TextBytes()
		last, ok := s.namespaces[string(nsp)]
		if !ok && r.Err == nil && len(s.namespaces) < maxElements {
			last = new(uint64)
			s.namespaces[string(nsp)] = last
		}
		if last != nil {
			n.gap(last, h.pathSeq)
		}
	}
	if h.kind != frameOp {
		return s.lane, true
	}
	switch {
	case h.seq == s.seq:
		n.count.duplicates.Add(1)
		return s.lane, false
	case h.seq < s.seq:
		n.count.reordered.Add(1)
	}
	s.seq = max(s.seq, h.seq)
	return s.lane, true
}

// gap compares a path sequence with the one before it. One that is not larger
// means that the sender counts anew, because it closed the namespace or took
// this node for dead in between.
func (n *Node) gap(last *uint64, seq uint64) {
	if *last != 0 && seq > *last+1 {
		missing := seq - *last - 1
		if n.count.gaps.Add(missing) == missing {
			n.log.Warn("messages from a peer were lost on the way; counted from now on", "missing", missing)
		}
	}
	*last = seq
}

// newSender is called with in.mu held. A sender that is declared dead is kept,
// so that what it sent meanwhile is noticed should it come back.
func (n *Node) newSender(incarnation string) *sender {
	if len(n.in.senders) >= maxSenders {
		live := n.view.Load().name
		for inc := range n.in.senders {
			if _, ok := live[inc]; !ok {
				delete(n.in.senders, inc)
			}
		}
	}
	// One that is forgotten and comes back gets the same lane.
	s := &sender{lane: lane.Key([]byte(incarnation)), namespaces: make(map[string]*uint64)}
	n.in.senders[incarnation] = s
	return s
}

// restart forgets where the sequences of a namespace stand: it was closed here
// and what came meanwhile was not missed.
func (in *inbox) restart(nsp string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, s := range in.senders {
		delete(s.namespaces, nsp)
	}
}
