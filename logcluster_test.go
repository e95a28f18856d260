package socketeer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
)

// logCluster is a cluster in this process whose nodes share a log: one queue a
// namespace, from which all nodes get everything in one order, and their own
// messages told as kept.
type logCluster struct {
	mu     sync.Mutex
	spaces map[string]*logSpace
	gate   sync.RWMutex // locked, nothing gets on

	logBytes int // of each namespace; the default if 0
	limit    int // of a message's data; none if 0
}

func newLogCluster() *logCluster { return &logCluster{spaces: map[string]*logSpace{}} }

func (c *logCluster) nodes(n int) (list []*logNode) {
	for i := range n {
		list = append(list, &logNode{cluster: c, name: fmt.Sprint("node-", i), tag: fmt.Sprintf("tag%d", i)})
	}
	return list
}

var errTooLarge = errors.New("too large to be kept")

// logSpace is a namespace.
type logSpace struct {
	cluster *logCluster
	name    string
	log     adapter.Log // of adapter.Memory

	mu      sync.Mutex // guards the rest
	members []*logMember
	queue   []func()
	wake    chan struct{}
	done    chan struct{}
}

// logNode is one node's factory.
type logNode struct {
	cluster   *logCluster
	name, tag string

	mu   sync.Mutex
	dead bool
}

var (
	_ adapter.Factory = (*logNode)(nil)
	_ adapter.Node    = (*logNode)(nil)
	_ adapter.Log     = (*logMember)(nil)
)

func (n *logNode) Name() string { return n.name }
func (n *logNode) Tag() string  { return n.tag }

// die ends the node's part in the cluster, without a word.
func (n *logNode) die() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = true
}

func (n *logNode) isDead() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dead
}

// logMember is a namespace of a node.
type logMember struct {
	node  *logNode
	space *logSpace
	local adapter.Local
}

func (n *logNode) Open(ctx context.Context, nsp string, local adapter.Local) (adapter.Adapter, error) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	s := n.cluster.spaces[nsp]
	if s == nil {
		a, err := adapter.Memory{LogBytes: n.cluster.logBytes}.Open(ctx, nsp, nil)
		if err != nil {
			return nil, err
		}
		s = &logSpace{cluster: n.cluster, name: nsp, log: a.(adapter.Log), wake: make(chan struct{}, 1), done: make(chan struct{})}
		n.cluster.spaces[nsp] = s
		go s.run(s.done)
	}
	m := &logMember{n, s, local}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = append(s.members, m)
	return m, nil
}

func (s *logSpace) run(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-s.wake:
		}
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.mu.Unlock()
		for _, f := range queue {
			s.cluster.gate.RLock()
			f()
			s.cluster.gate.RUnlock()
		}
	}
}

// do queues f, which is given the other nodes when its turn comes.
func (m *logMember) do(f func(others []*logMember)) error {
	if m.node.isDead() {
		return net.ErrClosed
	}
	s := m.space
	s.add(func() {
		s.mu.Lock()
		others := slices.DeleteFunc(slices.Clone(s.members), func(o *logMember) bool { return o == m || o.node.isDead() })
		s.mu.Unlock()
		f(others)
	})
	return nil
}

// add queues f.
func (s *logSpace) add(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, f)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// settle returns when all that was queued before has been done.
func (c *logCluster) settle(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	spaces := slices.Collect(maps.Values(c.spaces))
	c.mu.Unlock()
	for _, s := range spaces {
		done := make(chan struct{})
		s.add(func() { close(done) })
		recv(t, "the log of "+s.name+" settles", done)
	}
}

func (m *logMember) Publish(msg *adapter.Message) error {
	return m.do(func(others []*logMember) {
		for _, o := range others {
			o.local.Handle(msg)
		}
	})
}

func (m *logMember) Append(msg *adapter.Message, kept func(string)) error {
	if limit := m.space.cluster.limit; limit > 0 && len(msg.Data) > limit {
		return errTooLarge
	}
	return m.do(func(others []*logMember) {
		_ = m.space.log.Append(msg, func(offset string) {
			c := *msg
			c.Offset = offset
			for _, o := range others {
				o.local.Handle(&c)
			}
			kept(offset)
		})
	})
}

func (m *logMember) Request(ctx context.Context, msg *adapter.Message, each func(adapter.Response)) error {
	type part struct {
		from string
		r    adapter.Response
	}
	parts := make(chan part)
	waiting := make(chan int, 1)
	err := m.do(func(others []*logMember) {
		waiting <- len(others)
		for _, o := range others {
			o.local.Answer(ctx, msg, func(r adapter.Response) {
				go func() { // nobody waits for us
					select {
					case parts <- part{o.node.name, r}:
					case <-ctx.Done():
					}
				}()
			})
		}
	})
	if err != nil {
		return err
	}
	n := -1
	for n != 0 {
		select {
		case n = <-waiting:
		case p := <-parts:
			p.r.Node = p.from
			each(p.r)
			if p.r.Last {
				n--
			}
		case <-ctx.Done():
			return &adapter.PartialError{Cause: context.Cause(ctx)}
		}
	}
	return nil
}

// Join has all that comes arrive, so nothing is to be announced; what was sent
// before has been.
func (m *logMember) Join(context.Context, string) error { return nil }
func (m *logMember) Leave(string)                       {}

func (m *logMember) Close() error {
	c := m.node.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	m.space.mu.Lock()
	defer m.space.mu.Unlock()
	m.space.members = slices.DeleteFunc(m.space.members, func(o *logMember) bool { return o == m })
	if len(m.space.members) == 0 && c.spaces[m.space.name] == m.space {
		delete(c.spaces, m.space.name)
		close(m.space.done)
	}
	return nil
}

func (m *logMember) Retain(d time.Duration) { m.space.log.Retain(d) }
func (m *logMember) Newer(a, b string) bool { return m.space.log.Newer(a, b) }
func (m *logMember) alive() error {
	if m.node.isDead() {
		return net.ErrClosed
	}
	return nil
}

func (m *logMember) SaveSession(ctx context.Context, s *adapter.Session) error {
	if err := m.alive(); err != nil {
		return err
	}
	return m.space.log.SaveSession(ctx, s)
}

func (m *logMember) DropSession(ctx context.Context, pid string) error {
	if err := m.alive(); err != nil {
		return err
	}
	return m.space.log.DropSession(ctx, pid)
}

func (m *logMember) TakeSession(ctx context.Context, pid string) (*adapter.Session, error) {
	if err := m.alive(); err != nil {
		return nil, err
	}
	return m.space.log.TakeSession(ctx, pid)
}

func (m *logMember) Missed(ctx context.Context, s *adapter.Session, offset string) ([]*adapter.Message, error) {
	if err := m.alive(); err != nil {
		return nil, err
	}
	return m.space.log.Missed(ctx, s, offset)
}

func TestLogCluster(t *testing.T) {
	adaptertest.RunLog(t, func(testing.TB, int) (list []adapter.Factory) {
		c := newLogCluster()
		c.logBytes = 1 << 20
		for _, n := range c.nodes(3) {
			list = append(list, n)
		}
		return list
	}, adaptertest.LogOptions{
		Nodes: 3,
		Trim: func(_ testing.TB, _ string, emit func()) {
			for range 1000 {
				emit()
			}
		},
	})
}

// startLogCluster starts n servers with recovery that share a log.
func startLogCluster(t testing.TB, n int, opts ...socketeer.Option) (*logCluster, []*node, []*logNode) {
	t.Helper()
	c := newLogCluster()
	logNodes := c.nodes(n)
	var nodes []*node
	for _, l := range logNodes {
		n := start(t, slices.Concat([]socketeer.Option{
			socketeer.WithAdapter(l), socketeer.WithRecovery(socketeer.Recovery{}),
		}, opts)...)
		n.logs = c
		nodes = append(nodes, n)
	}
	return c, nodes, logNodes
}
