package nodepeers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/cluster"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func patient(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// hub stands for Redis: it carries bytes in the format of one adapter.
type hub struct {
	classic bool

	mu        sync.Mutex
	nodes     map[*node]bool
	listeners map[string]map[string]listener // namespace -> uid
	unnamed   string                         // a listener whose uid nobody can know
	fail      error                          // of all questions
	lists     int
	queue     int // QueueBytes of nodes
}

// listener takes a request or, on its own channel, a response.
type listener func(m *nodewire.Message)

func newHub(classic bool) *hub {
	return &hub{classic: classic, nodes: make(map[*node]bool), listeners: make(map[string]map[string]listener)}
}

// listen adds an adapter. It returns how to take it away.
func (h *hub) listen(nsp, uid string, l listener) (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[nsp] == nil {
		h.listeners[nsp] = make(map[string]listener)
	}
	h.listeners[nsp][uid] = l
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners[nsp], uid)
	}
}

// carry takes a message through its format.
func (h *hub) carry(m *nodewire.Message) (out *nodewire.Message, err error) {
	var b []byte
	switch {
	case !h.classic:
		if b, err = nodewire.AppendEnvelope(nil, m); err == nil {
			out, err = nodewire.DecodeEnvelope(b)
		}
	case m.Type.Response():
		if b, err = nodewire.AppendClassicResponse(nil, m); err == nil {
			out, err = nodewire.DecodeClassicResponse(b)
		}
	case m.Type == nodewire.Broadcast && m.RequestID == "":
		if b, err = nodewire.AppendClassicBroadcast(nil, m); err == nil {
			out, err = nodewire.DecodeClassicBroadcast(b)
		}
	default:
		if b, err = nodewire.AppendClassicRequest(nil, m); err == nil {
			out, err = nodewire.DecodeClassicRequest(b)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %q", m.Type, err, b)
	}
	out.NSP = m.NSP
	return out, nil
}

// publish sends to all adapters of a namespace, or to one.
func (h *hub) publish(to string, m *nodewire.Message) error {
	out, err := h.carry(m)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for uid, l := range h.listeners[m.NSP] {
		if to == "" || uid == to {
			l(out)
		}
	}
	return nil
}

// node is one Go node on the hub. Its methods as a Wire are those of the hub.
type node struct {
	*nodepeers.Node
	hub   *hub
	stop  context.CancelFunc
	wg    sync.WaitGroup
	wake  chan struct{}
	mu    sync.Mutex
	queue []func()
}

var (
	_ nodepeers.Wire    = (*node)(nil)
	_ cluster.Transport = (*node)(nil)
	_ adapter.Factory   = (*node)(nil)
)

// start adds a node. Its heartbeats are those of the tests of adapters.
func (h *hub) start(tb testing.TB, name string) *node {
	tb.Helper()
	id, err := cluster.NewIdentity(name)
	if err != nil {
		tb.Fatal(err)
	}
	n := &node{hub: h, wake: make(chan struct{}, 1)}
	n.Node, err = nodepeers.New(n, nodepeers.Config{
		Identity: id, Transport: n, Anonymous: h.classic, Barrier: true, Timeout: 2 * time.Second, QueueBytes: h.queue,
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.wg.Go(func() { n.run(ctx) })
	h.mu.Lock()
	h.nodes[n] = true
	h.mu.Unlock()
	n.Start()
	tb.Cleanup(func() { n.close(context.Background()) })
	return n
}

func (n *node) close(ctx context.Context) {
	n.Close(ctx)
	n.hub.mu.Lock()
	delete(n.hub.nodes, n)
	for _, all := range n.hub.listeners {
		delete(all, n.UID())
	}
	n.hub.mu.Unlock()
	n.stop()
	n.wg.Wait()
}

// run is the goroutine that what arrives is handled on.
func (n *node) run(ctx context.Context) {
	for {
		n.mu.Lock()
		batch := n.queue
		n.queue = nil
		n.mu.Unlock()
		for _, f := range batch {
			f()
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (n *node) push(f func()) {
	n.mu.Lock()
	n.queue = append(n.queue, f)
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *node) Publish(m *nodewire.Message) error { return n.hub.publish("", m) }

func (n *node) Respond(to string, m *nodewire.Message) error { return n.hub.publish(to, m) }

func (n *node) Listening(ctx context.Context, nsp string, uids []string) (total int, present []bool, err error) {
	h := n.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := errors.Join(h.fail, ctx.Err()); err != nil {
		return 0, nil, err
	}
	for _, uid := range uids {
		_, ok := h.listeners[nsp][uid]
		present = append(present, ok && uid != h.unnamed)
	}
	return len(h.listeners[nsp]), present, nil
}

func (n *node) List(_ context.Context, nsp string) (uids []string, err error) {
	h := n.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lists++
	for uid := range h.listeners[nsp] {
		if uid != h.unnamed {
			uids = append(uids, uid)
		}
	}
	return uids, h.fail
}

func (n *node) Announce(frame []byte) error {
	h := n.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	for other := range h.nodes {
		if other != n {
			frame := slices.Clone(frame)
			other.push(func() { other.ReceiveAnnouncement(frame) })
		}
	}
	return nil
}

func (n *node) Send(_ string, frame []byte) error { return n.Announce(frame) }

// space is the adapter of a namespace: everything goes to everyone.
type space struct {
	*nodepeers.Namespace
	stop func()
}

func (n *node) Open(_ context.Context, nsp string, local adapter.Local) (adapter.Adapter, error) {
	a, err := n.Node.Open(nsp, local)
	if err != nil {
		return nil, err
	}
	stop := n.hub.listen(nsp, n.UID(), func(m *nodewire.Message) {
		if m.Type.Response() {
			a.Receive(m)
		} else {
			n.push(func() { a.Receive(m) })
		}
	})
	return space{a, stop}, nil
}

func (s space) Join(context.Context, string) error { return s.Err() }
func (s space) Leave(string)                       {}
func (s space) Close() error {
	if s.Namespace.Close() {
		s.stop()
	}
	return nil
}
