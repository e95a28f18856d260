package nodepeers

import (
	"context"
	"fmt"
	"sync"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// MaxNamespaceName bounds a namespace's name, in bytes.
const MaxNamespaceName = 4096

// Namespace is one namespace of a node: the part of its adapter that all wires
// have in common. All methods may be called concurrently.
type Namespace struct {
	node   *Node
	name   string
	local  adapter.Local
	known  known
	ctx    context.Context //nolint:containedctx // ends with the namespace
	cancel context.CancelFunc

	gate   sync.RWMutex // held for reading while local is called
	closed bool         // guarded by gate
}

// Open adds a namespace to the node. The caller subscribes to what others send
// to it; nothing is delivered before that. Opening one twice is an error, until
// the first has been closed. It fails if an older node has this node's tag.
func (n *Node) Open(nsp string, local adapter.Local) (*Namespace, error) {
	if len(nsp) > MaxNamespaceName {
		return nil, fmt.Errorf("socketeer: namespace name of %d bytes", len(nsp))
	}
	if err := n.members.Conflict(); err != nil {
		return nil, err
	}
	a := &Namespace{node: n, name: nsp, local: local}
	a.ctx, a.cancel = context.WithCancel(n.ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		a.cancel()
		return nil, errClosed
	case n.namespaces[nsp] != nil:
		a.cancel()
		return nil, fmt.Errorf("socketeer: namespace %q is already open on this node", nsp)
	}
	n.namespaces[nsp] = a
	return a, nil
}

// Close ends the namespace: its local side is not called any more when Close
// has returned, requests under way fail, and answers are not completed. It is
// idempotent and reports whether it was the first call.
func (a *Namespace) Close() (first bool) {
	a.gate.Lock()
	first = !a.closed
	a.closed = true
	a.gate.Unlock()
	a.cancel()
	n := a.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.namespaces[a.name] == a {
		delete(n.namespaces, a.name)
	}
	return first
}

// Err is an error that is a net.ErrClosed once the namespace has been closed.
func (a *Namespace) Err() error {
	a.gate.RLock()
	defer a.gate.RUnlock()
	if a.closed {
		return errAdapterClosed
	}
	return nil
}

// Publish implements that method of [adapter.Adapter].
func (a *Namespace) Publish(m *adapter.Message) error {
	if err := a.Err(); err != nil {
		return err
	}
	return a.node.wire.Publish(a.toWire(m))
}

// Receive takes a message that has arrived, the node's own included. Messages
// of one sender are to be given in their order, one at a time. Responses may be
// given from any goroutine.
func (a *Namespace) Receive(m *nodewire.Message) {
	n := a.node
	switch {
	case m.UID == n.uid || m.NSP != "" && m.NSP != a.name:
		return
	case m.Type.Response():
		n.requests.receive(m)
		return
	}
	op, ok := FromWire(m)
	if !ok {
		return // heartbeats of adapters that have them, types of later versions
	}
	a.gate.RLock()
	defer a.gate.RUnlock()
	switch {
	case a.closed:
	case wantsAnswer(m):
		a.answer(m, op)
	default:
		a.local.Handle(op)
	}
}

// Mine reports whether a response, as it came, may be one to this node: other
// nodes' need not be decoded.
func (n *Node) Mine(response []byte) bool { return n.requests.mine(response, n.uid) }

func wantsAnswer(m *nodewire.Message) bool { return m.RequestID != "" }
