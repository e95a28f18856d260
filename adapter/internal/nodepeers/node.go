package nodepeers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/cluster"
)

// DefaultQueueBytes is the default of [Config].QueueBytes.
const DefaultQueueBytes = 64 << 20

// ErrGone is the cause of an *adapter.PartialError when the nodes that are
// missing have died or left.
var ErrGone = errors.New("socketeer: node died or left")

var (
	errClosed        = fmt.Errorf("socketeer: redis node: %w", net.ErrClosed)
	errAdapterClosed = fmt.Errorf("socketeer: redis adapter: %w", net.ErrClosed)
	errIncomplete    = errors.New("socketeer: node answered more than can be kept")
)

// Config of a [Node]. Identity and Transport are required; zero values of the
// others mean the defaults.
type Config struct {
	Identity cluster.Identity
	// Transport carries the announcements of Go nodes; what arrives is given to
	// [Node.ReceiveAnnouncement].
	Transport cluster.Transport
	// Addr is this node's public address, told to the others.
	Addr string
	// Interval and Timeout of heartbeats, as in cluster.Config.
	Interval, Timeout time.Duration
	// Anonymous says that Node.js peers do not tell their uid when they answer,
	// as on the classic wire.
	Anonymous bool
	// Barrier says that a request to describe sockets does not overtake a join,
	// leave or disconnect, so that Node.js peers confirm these by answering it.
	// Without it, nobody waits for Node.js peers to carry them out.
	Barrier bool
	// QueueBytes bounds what waits for the caller of one request. Default 64 MiB.
	QueueBytes int
	// Logger: default silent.
	Logger *slog.Logger
}

// Node is one Go node among its peers. All methods may be called concurrently.
//
// Locks, in the order in which they are taken: the membership's while it calls
// onEvent; mu; those of requests, pending and directory, each alone.
type Node struct {
	// immutable
	cfg     Config
	uid     string
	wire    Wire
	log     *slog.Logger
	members *cluster.Membership
	ctx     context.Context //nolint:containedctx // ends with the node
	cancel  context.CancelFunc

	count    counters
	dir      directory
	requests requests

	mu         sync.RWMutex
	namespaces map[string]*Namespace
	closed     bool
}

var _ adapter.Node = (*Node)(nil)

// New returns a node on a wire. It is silent until [Node.Start].
func New(wire Wire, cfg Config) (*Node, error) {
	if len(cfg.Identity.Incarnation) != cluster.IncarnationLen || cfg.Transport == nil {
		return nil, errors.New("socketeer: a redis node needs an identity and a transport")
	}
	if cfg.QueueBytes <= 0 {
		cfg.QueueBytes = DefaultQueueBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		cfg: cfg, uid: UID(cfg.Identity.Incarnation), wire: wire, log: cfg.Logger,
		namespaces: make(map[string]*Namespace),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.dir.init()
	n.requests.pending = make(map[string]*pending)
	n.members = cluster.New(cfg.Identity, cfg.Addr, cfg.Transport, cluster.Config{
		Interval: cfg.Interval, Timeout: cfg.Timeout, Logger: n.log,
	})
	n.members.Watch(n.onEvent)
	return n, nil
}

// Start begins to announce the node. What others announce should arrive by
// then.
func (n *Node) Start() { n.members.Start() }

// Close says goodbye and ends all namespaces, requests and answers. If ctx has
// ended, no goodbye is said. It is idempotent.
func (n *Node) Close(ctx context.Context) {
	n.mu.Lock()
	n.closed = true
	open := make([]*Namespace, 0, len(n.namespaces))
	for _, a := range n.namespaces {
		open = append(open, a)
	}
	n.mu.Unlock()
	if ctx.Err() != nil {
		n.members.Stop()
	}
	for _, a := range open {
		a.Close()
	}
	n.members.Leave()
	n.cancel()
}

// UID is what the adapters of this node are called on the wire.
func (n *Node) UID() string { return n.uid }

// Name implements [adapter.Node].
func (n *Node) Name() string { return n.cfg.Identity.Name }

// Tag implements [adapter.Node].
func (n *Node) Tag() string { return n.cfg.Identity.Tag() }

// Conflict tells of an older node with this one's tag, as
// cluster.Membership.Conflict does.
func (n *Node) Conflict() error { return n.members.Conflict() }

// Members returns the live Go nodes, this one included, sorted by name.
func (n *Node) Members() []cluster.Member { return n.members.Members() }

// Watch calls f for every Go node that joins, changes, leaves or dies, as
// cluster.Membership.Watch does.
func (n *Node) Watch(f func(cluster.Event)) (stop func()) { return n.members.Watch(f) }

// SetState tells the cluster what this node is ready for.
func (n *Node) SetState(s cluster.State) { n.members.SetState(s) }

// SetCounts sets the function asked for this node's load.
func (n *Node) SetCounts(f func() cluster.Counts) { n.members.SetCounts(f) }

// SetAddr tells the cluster this node's public address.
func (n *Node) SetAddr(addr string) { n.members.SetAddr(addr) }

// WaitPeers returns when at least count other Go nodes are live, or an error
// with ctx's cause.
func (n *Node) WaitPeers(ctx context.Context, count int) error {
	if err := n.members.Wait(ctx, count); err != nil {
		return fmt.Errorf("socketeer: %d of %d peers seen: %w", n.dir.live(), count, err)
	}
	return nil
}

// ReceiveAnnouncement takes what another Go node announced. A malformed one is
// an error.
func (n *Node) ReceiveAnnouncement(frame []byte) error { return n.members.Receive(frame) }

// onEvent is the membership's watcher: first the directory, then those who
// wait. Who registers to wait looks into the directory again afterwards, so a
// death is seen by one or the other.
func (n *Node) onEvent(e cluster.Event) {
	uid := UID(e.Member.Incarnation)
	gone := e.Kind == cluster.Left || e.Kind == cluster.Died
	n.dir.set(uid, e.Member.Name, !gone)
	if gone {
		n.requests.gone(uid)
	}
}

// maxEntries bounds what a directory remembers, and the uids that a namespace
// knows.
const maxEntries = 4096

// directory is the Go nodes, and those that are gone for a while.
type directory struct {
	mu      sync.Mutex
	entries map[string]entry // by uid
}

type entry struct {
	name string
	live bool
}

func (d *directory) init() { d.entries = make(map[string]entry) }

func (d *directory) set(uid, name string, live bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.entries) >= maxEntries {
		for old, e := range d.entries {
			if !e.live {
				delete(d.entries, old)
			}
		}
	}
	d.entries[uid] = entry{name, live}
}

// nameOf returns what a peer is called.
func (n *Node) nameOf(uid string) string {
	if !IsGo(uid) {
		return nodeName(uid)
	}
	if name, ok := n.dir.name(uid); ok {
		return name
	}
	// The membership knows of a node before it tells.
	for _, m := range n.members.Members() {
		if UID(m.Incarnation) == uid {
			return m.Name
		}
	}
	return "go peer " + uid // it has only just come
}

func (d *directory) name(uid string) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.entries[uid]
	return e.name, ok
}

// dead reports whether a peer is known to be gone, whatever it subscribes to.
func (d *directory) dead(uid string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.entries[uid]
	return ok && !e.live
}

// names returns the live nodes.
func (d *directory) names() (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.entries {
		if e.live {
			list = append(list, e.name)
		}
	}
	slices.Sort(list)
	return list
}

func (d *directory) live() int { return len(d.names()) }
