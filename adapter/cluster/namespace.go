package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/interest"
)

// maxNamespaceName bounds a namespace's name, in bytes.
const maxNamespaceName = 4096

// namespace is the adapter of one namespace.
type namespace struct {
	node       *Node
	name       string
	local      adapter.Local
	subject    string // of messages to all
	roomPrefix string // of the rooms' subjects
	rooms      *interest.Set
	seq        uint64 // path sequence; guarded by node.out.mu

	gate   sync.RWMutex // held for reading while local is called
	closed bool         // guarded by gate
}

var _ adapter.Adapter = (*namespace)(nil)

// Open implements [adapter.Factory]. Opening a namespace twice is an error,
// until the first adapter is closed. It fails if an older node has this
// node's tag.
func (n *Node) Open(ctx context.Context, nsp string, local adapter.Local) (adapter.Adapter, error) {
	if len(nsp) > maxNamespaceName {
		return nil, fmt.Errorf("socketeer: namespace name of %d bytes", len(nsp))
	}
	if err := n.members.Conflict(); err != nil {
		return nil, err
	}
	a := &namespace{
		node: n, name: nsp, local: local,
		subject: n.subj.namespace(nsp), roomPrefix: n.subj.rooms(nsp),
	}
	a.rooms = interest.New(n.leaving, subscriber{a}, local)
	if err := n.register(a); err != nil {
		return nil, err
	}
	n.in.restart(nsp)
	if err := n.bus.Subscribe(a.subject); err != nil {
		n.unregister(a)
		return nil, fmt.Errorf("socketeer: open namespace %q: %w", nsp, err)
	}
	if err := n.barrier(ctx); err != nil {
		a.detach(true)
		return nil, fmt.Errorf("socketeer: open namespace %q: %w", nsp, err)
	}
	if log := n.cfg.Log; log != nil {
		log.Open(nsp, a.deliver, local.Handle)
		return &streamed{namespace: a, log: log}, nil
	}
	if n.keeps == nil {
		return a, nil
	}
	kept := logged{a}
	n.keeps.Open(nsp, a.deliver, local.Handle)
	if err := kept.catch(ctx); err != nil {
		kept.detach(true)
		return nil, fmt.Errorf("socketeer: open namespace %q: %w", nsp, err)
	}
	return kept, nil
}

func (n *Node) register(a *namespace) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return errClosed
	case !n.started:
		return errors.New("socketeer: cluster node not started")
	case n.namespaces[a.name] != nil:
		return fmt.Errorf("socketeer: namespace %q is already open on this node", a.name)
	}
	n.namespaces[a.name] = a
	return nil
}

func (n *Node) unregister(a *namespace) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.namespaces[a.name] == a {
		delete(n.namespaces, a.name)
	}
}

// deliver calls f, which calls local, unless the namespace is closed.
func (a *namespace) deliver(f func()) bool {
	a.gate.RLock()
	defer a.gate.RUnlock()
	if a.closed {
		return false
	}
	f()
	return true
}

func (a *namespace) isClosed() bool {
	a.gate.RLock()
	defer a.gate.RUnlock()
	return a.closed
}

var errAdapterClosed = fmt.Errorf("socketeer: adapter: %w", net.ErrClosed)

// Publish implements [adapter.Adapter].
func (a *namespace) Publish(m *adapter.Message) error {
	if a.isClosed() {
		return errAdapterClosed
	}
	if err := checkOp(m); err != nil {
		return err
	}
	n := a.node
	buf := n.out.buffer()
	defer n.out.release(buf)
	*buf = appendOp(appendHeader((*buf)[:0], frameOp, n.id.Incarnation), a.name, m)
	if len(*buf) > n.cfg.MaxMessage {
		return &TooLargeError{Size: len(*buf), Limit: n.cfg.MaxMessage}
	}
	return a.publishOp(*buf, &m.Target)
}

// Close implements [adapter.Adapter]. When it returns, the local side is
// called no more. It is idempotent and must not be called by the local side's
// Handle or Answer.
func (a *namespace) Close() error {
	a.detach(true)
	return nil
}

// detach closes the namespace. Requests being answered end; if answer is true
// their senders are told.
func (a *namespace) detach(answer bool) {
	a.gate.Lock()
	first := !a.closed
	a.closed = true
	a.gate.Unlock()
	if !first {
		return
	}
	a.node.unregister(a)
	if err := a.node.bus.Unsubscribe(a.subject); err != nil {
		a.node.log.Debug("not unsubscribed", "nsp", a.name, "err", err)
	}
	a.rooms.Close(errAdapterClosed)
	a.node.answers.abandon(a, answer)
}
