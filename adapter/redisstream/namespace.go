package redisstream

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// namespace is the adapter of one namespace.
type namespace struct {
	c       *Cluster
	name    string
	stream  *stream
	peers   *nodepeers.Namespace
	local   adapter.Local
	history history
	closing sync.Once

	nextPage atomic.Int64 // how many entries to read of what is before the history; 0 at first

	// Guarded by stream.deliver.
	closed  bool
	gapVoid *bool // of the newest marker of a gap
}

// Open implements [adapter.Factory].
func (c *Cluster) Open(ctx context.Context, nsp string, local adapter.Local) (adapter.Adapter, error) {
	s, err := c.streamOf(ctx, nsp)
	if err != nil {
		return nil, err
	}
	ns := &namespace{c: c, name: nsp, stream: s, local: local}
	ns.history.init(&c.o)
	if ns.peers, err = c.node.Open(nsp, local); err != nil {
		return nil, err
	}
	if err := c.subscribe(ctx, nsp); err != nil {
		ns.peers.Close()
		return nil, fmt.Errorf("socketeer: open namespace %q: %w", nsp, err)
	}
	s.deliver.Lock() // what is read from now on is for it
	defer s.deliver.Unlock()
	ns.history.Begin(s.read.position())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		ns.peers.Close()
		return nil, errClosed
	}
	c.namespaces[nsp] = ns
	return ns, nil
}

// handle gives the namespace a message of another node. With stream.deliver
// held.
func (ns *namespace) handle(m *nodewire.Message, out *adapter.Message) {
	switch {
	case ns.closed:
	case out.Offset != "":
		ns.local.Handle(out)
	default:
		ns.peers.Receive(m)
	}
}

// Publish implements [adapter.Adapter].
func (ns *namespace) Publish(m *adapter.Message) error { return ns.peers.Publish(m) }

// Request implements [adapter.Adapter].
func (ns *namespace) Request(ctx context.Context, m *adapter.Message, each func(adapter.Response)) error {
	return ns.peers.Request(ctx, m, each)
}

// Join implements [adapter.Adapter]: every node gets everything.
func (ns *namespace) Join(context.Context, string) error { return ns.peers.Err() }

// Leave implements [adapter.Adapter].
func (ns *namespace) Leave(string) {}

// Close implements [adapter.Adapter].
func (ns *namespace) Close() error {
	ns.closing.Do(func() {
		ns.c.mu.Lock()
		if ns.c.namespaces[ns.name] == ns {
			delete(ns.c.namespaces, ns.name)
		}
		ns.c.mu.Unlock()
		ns.peers.Close()
		ns.stream.deliver.Lock()
		ns.closed = true
		left := ns.stream.pending.Remove(func(a *appended) bool { return a.ns == ns })
		for _, a := range left {
			a.kept("")
		}
		ns.stream.deliver.Unlock()
		ns.c.unsubscribe(ns.name)
	})
	return nil
}

// onStream returns the namespaces of a stream.
func (c *Cluster) onStream(s *stream) (list []*namespace) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, ns := range c.namespaces {
		if ns.stream == s {
			list = append(list, ns)
		}
	}
	return list
}

func (c *Cluster) lookup(nsp string) *namespace {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.namespaces[nsp]
}

// streamOf returns the stream of a namespace, and opens it if need be. Streams
// stay open until the node ends: there are no more than StreamCount names, and
// as many for what Node.js gets wrong.
func (c *Cluster) streamOf(ctx context.Context, nsp string) (*stream, error) {
	name := nodewire.StreamName(c.o.StreamName, nsp, c.o.StreamCount, true)
	c.opening.Lock()
	defer c.opening.Unlock()
	c.mu.RLock()
	s, closed := c.streams[name], c.closed
	c.mu.RUnlock()
	switch {
	case closed:
		return nil, errClosed
	case s != nil:
		return s, nil
	}
	s, err := c.openStream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("socketeer: open stream %q: %w", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[name] = s
	return s, nil
}

// fromMessage is the wire's form of a message to be kept.
func (c *Cluster) fromMessage(nsp string, m *adapter.Message) *nodewire.Message {
	return &nodewire.Message{
		UID: c.uid, NSP: nsp, Type: nodewire.Broadcast, Target: m.Target, Flags: m.Flags,
		Data: m.Data, Attachments: m.Attachments,
	}
}
