package redisstream

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/departed"
	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/cluster"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// Cluster is this node's place in the cluster: what a server takes as its
// adapter. All methods may be called concurrently.
type Cluster struct {
	// immutable
	o       Options
	log     *slog.Logger
	id      cluster.Identity
	uid     string
	started time.Time
	link    *redislink.Link
	redis   rueidis.Client
	node    *nodepeers.Node

	count    counters
	trouble  atomic.Int64 // when it was logged last, in Unix nanoseconds
	departed departed.Nodes

	opening sync.Mutex // held while a stream is opened

	mu         sync.RWMutex
	streams    map[string]*stream
	namespaces map[string]*namespace
	closed     bool

	closing sync.Once
}

// Locks, in the order in which they are taken: Cluster.opening; stream.deliver,
// which is held while a namespace is handed something; Cluster.mu; writer.mu;
// then, each as the last, reader.mu and those inside of unkept.Queue,
// replay.History and askonce.Question.

var (
	_ adapter.Factory = (*Cluster)(nil)
	_ adapter.Node    = (*Cluster)(nil)
	_ adapter.Health  = (*Cluster)(nil)
)

// New connects to Redis and announces the node. ctx bounds only the start. It
// does not wait for other nodes; see [Cluster.WaitPeers].
//
// Errors: the options; Redis being out of reach.
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
		o: o, id: id, uid: nodepeers.UID(id.Incarnation), log: o.Logger.With("node", id.Name), started: time.Now(),
		streams: make(map[string]*stream), namespaces: make(map[string]*namespace),
	}
	c.departed.Interval, c.departed.Timeout = o.HeartbeatInterval, o.HeartbeatTimeout
	if c.node, err = nodepeers.New(wire{c}, nodepeers.Config{
		Identity: id, Transport: announcer{c}, Addr: o.AdvertiseAddr,
		Interval: o.HeartbeatInterval, Timeout: o.HeartbeatTimeout, Logger: c.log,
	}); err != nil {
		return nil, err
	}
	c.node.Watch(c.departed.Note)
	if c.link, err = redislink.Open(ctx, redislink.Options{
		URLs: o.URLs, TLS: o.TLS, Prefix: o.ChannelPrefix, Logger: c.log, Receive: c.receive,
		BacklogBytes: o.BacklogBytes, PublishTimeout: min(o.PublishTimeout, redislink.DefaultPublishTimeout), ProbeInterval: o.ProbeInterval,
	}); err != nil {
		return nil, err
	}
	c.redis = c.link.Client()
	if err := c.link.Subscribe(ctx, c.membersChannel(), c.memberChannel(id.Incarnation)); err != nil {
		c.link.Close()
		return nil, fmt.Errorf("socketeer: redis streams: %w", err)
	}
	c.node.Start()
	return c, nil
}

// Name implements [adapter.Node].
func (c *Cluster) Name() string { return c.id.Name }

// Tag implements [adapter.Node].
func (c *Cluster) Tag() string { return c.id.Tag() }

// Ready implements [adapter.Health]: nil while the node hears itself over
// Redis's channels, reads its streams and writes to them (a server can be there
// and refuse that: out of memory, a replica), and its tag is its own.
func (c *Cluster) Ready() error {
	c.mu.RLock()
	closed, streams := c.closed, make([]*stream, 0, len(c.streams))
	for _, s := range c.streams {
		streams = append(streams, s)
	}
	c.mu.RUnlock()
	if closed {
		return errClosed
	}
	if err := c.link.Ready(); err != nil {
		return err
	}
	for _, s := range streams {
		if err := s.read.ready(); err != nil {
			return fmt.Errorf("socketeer: stream %q cannot be read: %w", s.name, err)
		}
		if err := s.write.ready(); err != nil {
			return fmt.Errorf("socketeer: stream %q cannot be written to: %w", s.name, err)
		}
	}
	return c.node.Conflict()
}

// Members returns the live Go nodes, this one included, sorted by name.
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

// Close leaves the cluster: it writes what is queued, says goodbye, closes all
// adapters and the connections. Close the server that uses the adapters first.
// When ctx ends, or has ended before, the rest is cut short: without a goodbye
// the peers notice after their timeout, as after a crash. It is idempotent; all
// calls return when it is done. The error is always nil.
func (c *Cluster) Close(ctx context.Context) error {
	c.closing.Do(func() {
		c.opening.Lock() // nobody is opening a stream, and nobody will
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.opening.Unlock()
		for _, s := range c.streams {
			s.close(ctx)
		}
		for _, ns := range c.all() {
			if err := ns.Close(); err != nil {
				c.log.Warn("closing an adapter failed", "nsp", ns.name, "err", err)
			}
		}
		c.node.Close(ctx)
		c.link.Close()
	})
	return nil
}

func (c *Cluster) all() (list []*namespace) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, ns := range c.namespaces {
		list = append(list, ns)
	}
	return list
}

// troubled logs an error of Redis, not more often than every ten seconds.
func (c *Cluster) troubled(what string, err error) {
	const pace = 10 * time.Second
	now, last := time.Now().UnixNano(), c.trouble.Load()
	if now-last > int64(pace) && c.trouble.CompareAndSwap(last, now) {
		c.log.Warn(what+": trying again", "err", err)
	}
}

// malformed counts what cannot be understood: what was found where, on a channel
// or as an entry of a stream.
func (c *Cluster) malformed(found, where string, err error) {
	if c.count.malformed.Add(1) == 1 {
		c.log.Warn("what makes no sense was ignored; counted from now on", "found", found, "where", where, "err", err)
	}
}

// gone reports whether the node of an incarnation is known not to run any more.
func (c *Cluster) gone(incarnation string) bool {
	for _, m := range c.node.Members() {
		if m.Incarnation == incarnation {
			return false
		}
	}
	return c.departed.Gone(incarnation, c.started)
}
