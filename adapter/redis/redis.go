package redis

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/interest"
	"github.com/socketeer-io/socketeer/adapter/internal/lane"
	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/cluster"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// Cluster is this node's place in the cluster: what a server takes as its
// adapter. All methods may be called concurrently.
type Cluster struct {
	// immutable after New
	o        Options
	log      *slog.Logger
	channels channels
	wire     wire
	link     *redislink.Link
	node     *nodepeers.Node
	lanes    *lane.Set[arrival]
	leaving  *interest.Queue
	cancel   context.CancelFunc
	running  sync.WaitGroup

	count      counters
	routes     routes
	announcers announcers
	closing    sync.Once
	closed     atomic.Bool

	mu     sync.Mutex
	spaces map[*space]struct{}
}

// Locks, in the order in which they are taken: the membership's while it calls
// watchers; announcers.mu; interest.Set's, which is held around calls of routes
// and of adapter.Rooms; routes.mu, which is held while the link takes a change of
// subscriptions; Cluster.mu. No lock of this package is held while a namespace
// handles a message.

var (
	_ adapter.Factory = (*Cluster)(nil)
	_ adapter.Node    = (*Cluster)(nil)
	_ adapter.Health  = (*Cluster)(nil)
)

var errClosed = fmt.Errorf("socketeer: redis: %w", net.ErrClosed)

// New connects a node to Redis and begins to announce it. ctx bounds only the
// start. It does not wait for other nodes; see [Cluster.WaitPeers].
//
// Errors: the options, and whatever keeps the node from Redis, with what to
// check.
func New(ctx context.Context, o Options) (*Cluster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	id, err := cluster.NewIdentity(o.Name)
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		o: o, log: o.Logger.With("node", id.Name), channels: channels{o.Prefix},
		leaving: interest.NewQueue(o.LeaveDelay), spaces: make(map[*space]struct{}),
	}
	c.routes.bound = make(map[routeKey]*binding)
	c.announcers.last = make(map[string]uint64)
	count := min(maxLanes, runtime.GOMAXPROCS(0))
	c.lanes = lane.New(count, o.QueueBytes/count, c.handle)
	c.wire = classic{c}
	if o.Mode == Sharded {
		c.wire = &sharded{Cluster: c}
	}
	c.node, err = nodepeers.New(c.wire, nodepeers.Config{
		Identity: id, Transport: transport{c}, Addr: o.AdvertiseAddr,
		Interval: o.HeartbeatInterval, Timeout: o.HeartbeatTimeout,
		Anonymous: o.Mode == Classic, Barrier: true, QueueBytes: o.QueueBytes, Logger: c.log,
	})
	if err != nil {
		return nil, err
	}
	if err := c.connect(ctx); err != nil {
		c.stop()
		return nil, err
	}
	c.node.Start()
	return c, nil
}

// connect opens the link, and listens to announcements.
func (c *Cluster) connect(ctx context.Context) (err error) {
	running, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.link, err = redislink.Open(ctx, redislink.Options{
		URLs: c.o.URLs, TLS: c.o.TLS, Prefix: c.o.Prefix, ClientName: "socketeer", Logger: c.log,
		Receive: c.receive, QueueBytes: c.o.QueueBytes, BacklogBytes: c.o.QueueBytes, ProbeInterval: c.o.ProbeInterval, Gather: c.o.Gather,
	})
	if err != nil {
		return err
	}
	c.routes.link = c.link
	c.running.Go(func() { c.lanes.Run(running) })
	c.running.Go(func() { c.leaving.Run(running) })
	for _, name := range []string{c.channels.members(), c.channels.node(c.node.UID())} {
		wait, err := c.routes.bind(redislink.Channel, name, route{use: useMembers})
		if err != nil {
			return err
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop ends what connect has started.
func (c *Cluster) stop() {
	if c.link != nil {
		c.link.Close()
	}
	c.cancel()
	c.running.Wait()
}

// Name implements [adapter.Node].
func (c *Cluster) Name() string { return c.node.Name() }

// Tag implements [adapter.Node].
func (c *Cluster) Tag() string { return c.node.Tag() }

// Ready implements [adapter.Health]: nil while the node is connected to Redis
// and hears itself through it, and its tag is its own.
func (c *Cluster) Ready() error {
	if c.closed.Load() {
		return errClosed
	}
	if err := c.link.Ready(); err != nil {
		return err
	}
	return c.node.Conflict()
}

// Members returns the live Go nodes, this one included, sorted by name. Node.js
// nodes cannot be listed.
func (c *Cluster) Members() []cluster.Member { return c.node.Members() }

// Watch calls f for every Go node that joins, changes, leaves or dies, until
// stop is called. f must not block and must call no method but Members.
func (c *Cluster) Watch(f func(cluster.Event)) (stop func()) { return c.node.Watch(f) }

// SetState tells the cluster what this node is ready for.
func (c *Cluster) SetState(s cluster.State) { c.node.SetState(s) }

// SetAddr tells the cluster this node's public address, in place of
// Options.AdvertiseAddr.
func (c *Cluster) SetAddr(addr string) { c.node.SetAddr(addr) }

// SetCounts sets the function that is asked for this node's load at every
// heartbeat. It must be quick and safe for concurrent use.
func (c *Cluster) SetCounts(f func() cluster.Counts) { c.node.SetCounts(f) }

// WaitPeers returns when at least n other Go nodes are live, or an error with
// ctx's cause.
func (c *Cluster) WaitPeers(ctx context.Context, n int) error { return c.node.WaitPeers(ctx, n) }

// Close leaves the cluster: it says goodbye, closes all adapters and the
// connections. Close the server that uses the adapters first. When ctx has
// ended before, no goodbye is said: Go peers notice after their timeout, as
// after a crash. It is idempotent; all calls return when it is done. The error
// is always nil.
func (c *Cluster) Close(ctx context.Context) error {
	c.closing.Do(func() {
		c.closed.Store(true)
		if ctx.Err() != nil {
			c.node.Close(ctx)
			c.stop()
			return
		}
		c.mu.Lock()
		open := make([]*space, 0, len(c.spaces))
		for s := range c.spaces {
			open = append(open, s)
		}
		c.mu.Unlock()
		for _, s := range open {
			s.Close() // the error is always nil
		}
		c.node.Close(ctx)
		c.stop()
	})
	return nil
}
