package cluster

import (
	"sync"

	"github.com/socketeer-io/socketeer/adapter"
)

const (
	// MaxRoomSubjects is the number of rooms up to which a message is
	// published to each room instead of to the whole namespace.
	MaxRoomSubjects = 16
	// keepBuffer is the largest encoding buffer that is kept for reuse.
	keepBuffer = 64 << 10
)

// outbox numbers what this node sends. Its lock is held while the copies of a
// message are handed to the bus, which makes them contiguous: receivers need
// to remember only the last sequence to recognize copies.
type outbox struct {
	buffers sync.Pool // of *[]byte

	mu      sync.Mutex
	seq     uint64
	nodeSeq map[string]uint64 // by incarnation
}

func (o *outbox) buffer() *[]byte {
	if b, ok := o.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 1024)
	return &b
}

func (o *outbox) release(b *[]byte) {
	if cap(*b) <= keepBuffer {
		o.buffers.Put(b)
	}
}

// forget drops counters of nodes that are gone.
func (o *outbox) forget(incarnation string, v *view) {
	if _, back := v.name[incarnation]; back {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.nodeSeq, incarnation)
}

// hand gives a frame to the bus.
func (n *Node) hand(frame []byte, subject string) error {
	err := n.bus.Publish(subject, frame)
	if err != nil {
		n.count.dropSend.Add(1)
		return err
	}
	n.count.published.Add(1)
	return nil
}

// send publishes a frame that has no path sequence.
func (n *Node) send(frame []byte, subject string) error {
	defer n.flush()
	n.out.mu.Lock()
	defer n.out.mu.Unlock()
	return n.hand(frame, subject)
}

// sendNode publishes a frame to one node.
func (n *Node) sendNode(frame []byte, incarnation string) error {
	subject := n.subj.node(incarnation)
	defer n.flush()
	n.out.mu.Lock()
	defer n.out.mu.Unlock()
	return n.handNode(frame, incarnation, subject)
}

// handNode is sendNode with out.mu held.
func (n *Node) handNode(frame []byte, incarnation, subject string) error {
	n.out.nodeSeq[incarnation]++
	setPath(frame, pathNode, n.out.nodeSeq[incarnation])
	return n.hand(frame, subject)
}

// publishOp sends a message to those who need it.
func (a *namespace) publishOp(frame []byte, t *adapter.Target) error {
	n := a.node
	defer n.flush()
	if len(t.Rooms) == 0 || len(t.Rooms) > MaxRoomSubjects {
		n.out.mu.Lock()
		defer n.out.mu.Unlock()
		n.out.seq++
		setSeq(frame, n.out.seq)
		a.seq++
		setPath(frame, pathNamespace, a.seq)
		return n.hand(frame, a.subject)
	}
	v := n.view.Load()
	var room [MaxRoomSubjects]string // subjects, made before the lock is taken
	var node []string
	for i, r := range t.Rooms {
		room[i] = appendToken(a.roomPrefix, r)
		if looksLikeID(r) {
			node = addOnce(node, v.byTag[r[:len(n.id.Tag())]])
		}
	}
	n.out.mu.Lock()
	defer n.out.mu.Unlock()
	n.out.seq++
	setSeq(frame, n.out.seq)
	setPath(frame, pathNone, 0)
	var first error
	for i := range t.Rooms {
		if err := n.hand(frame, room[i]); err != nil && first == nil {
			first = err
		}
	}
	for _, inc := range node {
		if err := n.handNode(frame, inc, n.subj.node(inc)); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func addOnce(list, more []string) []string {
next:
	for _, s := range more {
		for _, have := range list {
			if have == s {
				continue next
			}
		}
		list = append(list, s)
	}
	return list
}
