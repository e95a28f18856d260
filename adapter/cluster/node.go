package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/departed"
	"github.com/socketeer-io/socketeer/adapter/internal/interest"
	"github.com/socketeer-io/socketeer/adapter/internal/lane"
	"github.com/socketeer-io/socketeer/adapter/internal/peerlog"
	"github.com/socketeer-io/socketeer/cluster"
)

// Defaults of [Config].
const (
	DefaultPrefix        = "socketeer"
	DefaultLeaveDelay    = 5 * time.Second
	DefaultProbeInterval = 5 * time.Second
	DefaultMaxMessage    = 8 << 20
	DefaultQueueBytes    = 64 << 20
)

// maxLanes bounds the goroutines that hand messages to namespaces.
const maxLanes = 8

// ErrNodeGone is the cause of a *adapter.PartialError when the nodes that are
// missing have died or left.
var ErrNodeGone = errors.New("socketeer: node died or left")

// Config adjusts a [Node]. Identity is required; zero values of the others
// mean the defaults.
type Config struct {
	// Identity is this node's, of cluster.NewIdentity.
	Identity cluster.Identity
	// Prefix names the cluster: nodes see only those of the same prefix.
	// Default "socketeer".
	Prefix string
	// Addr is this node's public address, told to the others.
	Addr string
	// Interval and Timeout of heartbeats, as in cluster.Config.
	Interval, Timeout time.Duration
	// LeaveDelay is how long a room's messages still come after its last
	// member left. Default 5 s.
	LeaveDelay time.Duration
	// ProbeInterval is the silence after which the bus is probed; after two
	// more the node is not ready and the bus starts over. Each is up to a
	// tenth shorter or longer. Default 5 s.
	ProbeInterval time.Duration
	// MaxMessage is the largest frame the bus carries, in bytes. Default 8 MiB.
	MaxMessage int
	// QueueBytes bounds what is waiting for slow namespaces, in bytes.
	// Default 64 MiB.
	QueueBytes int
	// Recovery lets nodes keep each other's messages and sessions, so that their
	// adapters are an [adapter.Log]. It must be the same on all nodes. Default
	// off: then it costs nothing.
	Recovery bool
	// LogBytes bounds what is kept of messages on this node, its own and those of
	// others, and as much again of sessions, in bytes. Default 128 MiB.
	LogBytes int
	// Log keeps messages and sessions outside of the nodes, instead of Recovery.
	// It, too, must be the same on all nodes. The node starts and closes it.
	// Default: none.
	Log SharedLog
	// Logger: default silent.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	c.Prefix = cmp.Or(c.Prefix, DefaultPrefix)
	c.LeaveDelay = cmp.Or(c.LeaveDelay, DefaultLeaveDelay)
	c.ProbeInterval = cmp.Or(c.ProbeInterval, DefaultProbeInterval)
	c.MaxMessage = cmp.Or(c.MaxMessage, DefaultMaxMessage)
	c.QueueBytes = cmp.Or(c.QueueBytes, DefaultQueueBytes)
	c.LogBytes = cmp.Or(c.LogBytes, DefaultLogBytes)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(c.Identity.Incarnation) != cluster.IncarnationLen || c.Identity.Name == "":
		return c, errors.New("socketeer: a cluster node needs an identity")
	case c.MaxMessage < 1024 || c.QueueBytes < c.MaxMessage:
		return c, fmt.Errorf("socketeer: cluster limits: message %d bytes, queue %d bytes", c.MaxMessage, c.QueueBytes)
	case c.LogBytes < c.MaxMessage:
		return c, fmt.Errorf("socketeer: log of %d bytes for messages of %d", c.LogBytes, c.MaxMessage)
	case c.Recovery && c.Log != nil:
		return c, errors.New("socketeer: a cluster's messages are kept by its nodes or by a log, not both")
	case min(c.LeaveDelay, c.ProbeInterval) < 0:
		return c, errors.New("socketeer: negative cluster durations")
	}
	return c, nil
}

// Node is one node of the cluster: a factory of adapters. All methods may be
// called concurrently.
type Node struct {
	// immutable
	cfg     Config
	id      cluster.Identity
	log     *slog.Logger
	bus     Bus
	flush   func() // makes the bus send what it has queued; called without locks
	subj    subjects
	members *cluster.Membership
	lanes   *lane.Set[item]
	leaving *interest.Queue
	keeps   *peerlog.Log    // nil without recovery
	ctx     context.Context //nolint:containedctx // ends with the node
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	count    counters
	departed departed.Nodes
	begun    time.Time // when Start was called
	view     atomic.Pointer[view]
	deaf     atomic.Bool
	heard    atomic.Bool // since the last probe tick
	out      outbox
	in       inbox
	barriers barriers
	requests requests
	answers  answers

	mu         sync.RWMutex
	namespaces map[string]*namespace
	started    bool
	closed     bool
}

// Locks, in the order in which they are taken: the membership's while it calls
// onEvent; Node.mu; that of an interest.Set, which is held around calls of the
// bus and of adapter.Rooms; outbox.mu, which is held around Bus.Publish;
// pending.mu. The others are held alone. No lock but namespace.gate is held while
// a namespace handles a message.

var (
	_ adapter.Factory = (*Node)(nil)
	_ adapter.Node    = (*Node)(nil)
	_ adapter.Health  = (*Node)(nil)
)

// view is the live peers as the adapter uses them. It is replaced, never
// changed.
type view struct {
	peers []peer
	name  map[string]string   // by incarnation
	byTag map[string][]string // tag -> incarnations; one, but for a conflict
}

type peer struct{ incarnation, name string }

// New returns a node on bus. It is silent until [Node.Start]. The caller
// closes the bus after the node.
func New(bus Bus, cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, id: cfg.Identity, log: cfg.Logger, bus: bus,
		subj: newSubjects(cfg.Prefix), namespaces: make(map[string]*namespace),
	}
	n.departed.Interval, n.departed.Timeout = cfg.Interval, cfg.Timeout
	n.flush = func() {}
	if f, ok := bus.(Flusher); ok {
		n.flush = f.Flush
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.view.Store(&view{})
	n.out.nodeSeq = make(map[string]uint64)
	n.in.senders = make(map[string]*sender)
	n.requests.pending = make(map[uint64]*pending)
	n.answers.running = make(map[answerKey]*answer)
	n.leaving = interest.NewQueue(cfg.LeaveDelay)
	n.members = cluster.New(n.id, cfg.Addr, announcer{n}, cluster.Config{
		Interval: cfg.Interval, Timeout: cfg.Timeout, Logger: n.log,
	})
	n.members.Watch(n.onEvent)
	if w, ok := bus.(PeerWatcher); ok {
		w.WatchPeers(n.members.Gone)
	}
	if cfg.Recovery {
		n.keeps = n.newLog()
	}
	count := min(maxLanes, runtime.GOMAXPROCS(0))
	n.lanes = lane.New(count, cfg.QueueBytes/count, n.handle)
	return n, nil
}

// Start connects the node to the bus and begins to announce it. It does not
// wait for other nodes; see [Node.WaitPeers].
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errClosed
	}
	if n.started {
		return errors.New("socketeer: cluster node started twice")
	}
	if err := n.listen(); err != nil {
		return err
	}
	for _, s := range []string{n.subj.members(), n.subj.node(n.id.Incarnation)} {
		if err := n.bus.Subscribe(s); err != nil {
			return err
		}
	}
	n.started = true
	n.wg.Go(func() { n.lanes.Run(n.ctx) })
	n.wg.Go(n.probeLoop)
	n.wg.Go(func() { n.leaving.Run(n.ctx) })
	n.members.Start()
	if n.keeps != nil {
		n.keeps.Start()
	}
	if n.cfg.Log != nil {
		n.begun = time.Now()
		n.cfg.Log.Start(decodeShared, n.gone)
	}
	return nil
}

// listen has the bus deliver here.
func (n *Node) listen() error {
	if b, ok := n.bus.(BatchListener); ok {
		return b.ListenBatch(n.receiveBatch)
	}
	return n.bus.Listen(func(data []byte) { n.receive(data, false) })
}

var errClosed = fmt.Errorf("socketeer: cluster node: %w", net.ErrClosed)

// Close says goodbye, closes all adapters and waits for the node's goroutines.
// If ctx has ended, no goodbye is said: the peers notice after their timeout,
// as after a crash. It is idempotent.
func (n *Node) Close(ctx context.Context) error {
	n.mu.Lock()
	first, started := !n.closed, n.started
	n.closed = true
	var open []*namespace
	for _, a := range n.namespaces {
		open = append(open, a)
	}
	n.mu.Unlock()
	if ctx.Err() != nil {
		n.members.Stop()
	}
	if n.keeps != nil {
		n.keeps.Close(ctx)
	}
	if n.cfg.Log != nil && started && first {
		n.cfg.Log.Close(ctx)
	}
	for _, a := range open {
		a.detach(ctx.Err() == nil)
	}
	n.members.Leave()
	n.cancel()
	n.wg.Wait()
	return nil
}

// spawn starts a goroutine that Close waits for, unless the node is closed.
func (n *Node) spawn(f func()) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.closed {
		return false
	}
	n.wg.Go(f)
	return true
}

// Name implements [adapter.Node].
func (n *Node) Name() string { return n.id.Name }

// Tag implements [adapter.Node].
func (n *Node) Tag() string { return n.id.Tag() }

// Ready implements [adapter.Health]. It fails while the bus is away or deaf,
// and while an older node has this one's tag.
func (n *Node) Ready() error {
	n.mu.RLock()
	closed, started := n.closed, n.started
	n.mu.RUnlock()
	switch {
	case closed:
		return errClosed
	case !started:
		return errors.New("socketeer: cluster node not started")
	case n.deaf.Load():
		return errors.New("socketeer: cluster bus is deaf: nothing comes back from it")
	}
	if h, ok := n.bus.(adapter.Health); ok {
		if err := h.Ready(); err != nil {
			return err
		}
	}
	if n.cfg.Log != nil {
		if err := n.cfg.Log.Ready(); err != nil {
			return err
		}
	}
	return n.members.Conflict()
}

// Members returns the live nodes, this one included, sorted by name.
func (n *Node) Members() []cluster.Member { return n.members.Members() }

// Watch calls f for every node that joins, changes, leaves or dies, as
// cluster.Membership.Watch does.
func (n *Node) Watch(f func(cluster.Event)) (stop func()) { return n.members.Watch(f) }

// SetState tells the cluster what this node is ready for.
func (n *Node) SetState(s cluster.State) { n.members.SetState(s) }

// SetCounts sets the function asked for this node's load.
func (n *Node) SetCounts(f func() cluster.Counts) { n.members.SetCounts(f) }

// SetAddr tells the cluster this node's public address.
func (n *Node) SetAddr(addr string) { n.members.SetAddr(addr) }

// WaitPeers returns when at least count other nodes are live, or an error
// with ctx's cause.
func (n *Node) WaitPeers(ctx context.Context, count int) error {
	if err := n.members.Wait(ctx, count); err != nil {
		return fmt.Errorf("socketeer: %d of %d peers seen: %w", len(n.view.Load().peers), count, err)
	}
	return nil
}

// onEvent is the membership's watcher. The order matters: first the view,
// then those who wait. Whoever registers to wait looks at the view again
// afterwards, so a death is seen by one or the other.
func (n *Node) onEvent(e cluster.Event) {
	v := &view{name: make(map[string]string), byTag: make(map[string][]string)}
	for _, m := range n.members.Members() {
		if m.Self {
			continue
		}
		v.peers = append(v.peers, peer{m.Incarnation, m.Name})
		v.name[m.Incarnation] = m.Name
		v.byTag[m.Tag()] = append(v.byTag[m.Tag()], m.Incarnation)
	}
	n.view.Store(v)
	if e.Kind == cluster.Left || e.Kind == cluster.Died {
		inc := e.Member.Incarnation
		n.barriers.gone(inc)
		n.requests.gone(inc)
		n.answers.gone(inc)
		n.out.forget(inc, v)
		n.departed.Note(e)
	}
	if n.keeps != nil {
		n.keeps.PeersChanged()
	}
}

// announcer carries the membership's announcements.
type announcer struct{ n *Node }

// Announce implements cluster.Transport.
func (a announcer) Announce(frame []byte) error {
	b := append(appendHeader(make([]byte, 0, headerLen+len(frame)), frameMember, a.n.id.Incarnation), frame...)
	return a.n.send(b, a.n.subj.members())
}

// Send implements cluster.Transport.
func (a announcer) Send(incarnation string, frame []byte) error {
	b := append(appendHeader(make([]byte, 0, headerLen+len(frame)), frameMember, a.n.id.Incarnation), frame...)
	return a.n.sendNode(b, incarnation)
}

// gone reports whether the node of an incarnation is known not to run any more.
func (n *Node) gone(incarnation string) bool {
	if _, live := n.view.Load().name[incarnation]; live || incarnation == n.id.Incarnation {
		return false
	}
	return n.departed.Gone(incarnation, n.begun)
}
