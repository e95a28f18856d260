package redislink

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Link is one node's link to Redis. All methods may be called concurrently.
type Link struct {
	// Immutable after Open.
	options Options
	conf    config
	mode    Mode
	log     *slog.Logger
	start   time.Time
	client  rueidis.Client
	queue   *queue
	home    *subscriber // of channels and patterns; nil if PublishOnly
	probe   string      // the link's own channel

	ctx      context.Context //nolint:containedctx // ends with Close
	cancel   context.CancelFunc
	draining chan struct{} // closed when Close begins
	kicked   chan struct{} // capacity 1: ask for the topology
	closing  sync.Once
	wg       sync.WaitGroup // all goroutines but that of Receive
	handing  sync.WaitGroup // that of Receive

	view    atomic.Pointer[view]
	heard   atomic.Bool // something arrived at home since the last probe tick
	deaf    atomic.Bool
	count   counters
	outage  saying // connection lost
	refused saying // answers to messages that are errors
	denied  saying // answers to subscriptions that are; never over

	mu     sync.Mutex // of what follows; taken before a lane's or a subscriber's
	shards map[string]*subscriber
	lost   []item // to be sent again when the topology is known better
	closed bool
}

// Open connects to Redis and returns when messages can be published and
// received. ctx bounds only that. From then on the link heals by itself.
//
// Its errors say in one line what to check: a URL, an address nobody listens
// at, a password, rights, a server that is a replica.
func Open(ctx context.Context, o Options) (*Link, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	t, err := parseURLs(o.URLs)
	if err != nil {
		return nil, err
	}
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	l := &Link{
		options: o, log: o.Logger, start: time.Now(),
		conf:     newConfig(t, &o),
		probe:    o.Prefix + "-socketeer-probe#" + hex.EncodeToString(random[:]),
		draining: make(chan struct{}), kicked: make(chan struct{}, 1),
		shards: make(map[string]*subscriber),
	}
	l.queue = &queue{link: l, limit: o.QueueBytes, wake: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if err := l.open(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// open makes the first connections.
func (l *Link) open(ctx context.Context) error {
	if err := l.discover(ctx); err != nil {
		return err
	}
	a := l.newAsker()
	topo, err := a.resolve(ctx, l.mode, nil)
	if err != nil {
		a.close()
		return err
	}
	if l.mode == Sentinel {
		if err := l.greet(ctx, topo.publish); err != nil {
			a.close()
			return err
		}
	}
	if l.client, err = l.newClient(); err != nil {
		a.close()
		return explain(topo.publish, err)
	}
	l.handing.Go(func() { l.queue.run(l.ctx) })
	if !l.options.PublishOnly {
		l.home = l.newSubscriber(false, topo.listen)
	}
	l.apply(topo)
	l.wg.Go(func() { l.steer(a, topo) })
	if err := l.tryOut(ctx); err != nil {
		return err
	}
	l.wg.Go(l.probeLoop)
	return nil
}

// tryOut uses the connections for the first time.
func (l *Link) tryOut(ctx context.Context) error {
	if l.options.PublishOnly {
		return l.await(ctx, func(done func(error)) error {
			return l.Send(l.client.B().Ping().Build(), func(_ rueidis.RedisMessage, err error) {
				if _, answered := rueidis.IsRedisErr(err); answered {
					err = nil // perhaps not allowed, but there
				}
				done(err)
			})
		})
	}
	if err := l.Subscribe(ctx, l.probe); err != nil {
		return fmt.Errorf("%w (is the user allowed channels %s-socketeer-*?)", err, l.options.Prefix)
	}
	return l.await(ctx, func(done func(error)) error {
		return l.submit(item{verb: verbPublish, channel: l.probe, done: func(_ rueidis.RedisMessage, err error) { done(err) }})
	})
}

// await returns what f's callback gets, or f's error, or that of ctx.
func (l *Link) await(ctx context.Context, f func(done func(error)) error) error {
	result := make(chan error, 1)
	if err := f(func(err error) { result <- err }); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("socketeer: redis: %w", context.Cause(ctx))
	case <-l.ctx.Done():
		return ErrClosed
	}
}

// discover finds out how Redis is deployed.
func (l *Link) discover(ctx context.Context) error {
	t := &l.conf.target
	if t.sentinel {
		l.mode = Sentinel
		return nil
	}
	var failed error
	for _, addr := range t.addrs {
		var err error
		if l.mode, err = l.modeOf(ctx, addr); err == nil {
			break
		}
		failed = firstError(failed, explain(addr, err))
	}
	switch {
	case l.mode == "":
		return failed
	case l.mode == Standalone && len(t.addrs) > 1:
		return errors.New("socketeer: redis: several addresses are given, but the server is not part of a Redis Cluster")
	case l.mode == Cluster && t.db != 0:
		return errors.New("socketeer: redis: a Redis Cluster has no database but 0")
	}
	return nil
}

// modeOf asks one server.
func (l *Link) modeOf(ctx context.Context, addr string) (Mode, error) {
	n, err := l.conf.newNode(addr)
	if n != nil {
		defer n.close()
	}
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, l.conf.answer)
	defer cancel()
	a, err := hello(ctx, n.client)
	switch {
	case err != nil:
		return "", err
	case a.mode == "sentinel":
		return "", errSentinel
	case a.mode == "cluster":
		return Cluster, nil
	case a.role == "replica":
		return "", errReplica
	}
	return Standalone, nil
}

// greet connects to a master once, for the error.
func (l *Link) greet(ctx context.Context, addr string) error {
	n, err := l.newLaneNode(ctx, addr)
	if err != nil {
		return explain(addr, err)
	}
	n.close()
	return nil
}

// newClient makes the client for commands.
func (l *Link) newClient() (rueidis.Client, error) {
	o, t := l.conf.options(), &l.conf.target
	o.InitAddress = t.addrs
	o.PipelineMultiplex = -1
	o.Dialer.KeepAlive = max(l.options.ProbeInterval, time.Second)
	o.DialCtxFn = func(ctx context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
		s, err := l.conf.connect(ctx, addr, l.conf.tls)
		if err != nil {
			return nil, err
		}
		return s.Conn, nil
	}
	switch l.mode {
	case Sentinel:
		o.Sentinel = rueidis.SentinelOption{
			MasterSet: t.master, Username: t.sentinelUser, Password: t.sentinelPassword,
			Dialer: o.Dialer, TopologyRefreshInterval: l.options.ProbeInterval,
		}
	case Standalone:
		o.ForceSingleClient = true
	case Cluster:
		o.ClusterOption.ShardsRefreshInterval = l.options.ProbeInterval
	}
	client, err := rueidis.NewClient(o)
	if err != nil && client != nil {
		client.Close()
	}
	return client, err
}

// Client returns the client for commands other than those of the link, such as
// GET and XRANGE. It heals by itself, and is closed with the link.
func (l *Link) Client() rueidis.Client { return l.client }

// Mode returns how Redis is deployed.
func (l *Link) Mode() Mode { return l.mode }

// now is the time since the start, which is cheap to ask for.
func (l *Link) now() time.Duration { return time.Since(l.start) }

// after returns a channel that gets a value when the pause after a failed
// attempt is over.
func (l *Link) after(attempt int) <-chan time.Time {
	d := min(backoffMin<<min(attempt, 10), backoffMax)
	return time.After(d/2 + mathrand.N(d/2))
}

// Close ends the link. What waits to be sent is sent first if Redis is there,
// for at most Options.PublishTimeout; what Receive has not taken is dropped.
// It waits for Receive to return, and must not be called by it. It is
// idempotent; the error is always nil.
func (l *Link) Close() error {
	l.closing.Do(func() {
		l.mu.Lock()
		l.closed = true
		waiting := l.lost
		l.lost = nil
		l.mu.Unlock()
		close(l.draining)
		l.drain()
		l.cancel()
		if v := l.view.Load(); v != nil {
			for _, n := range v.lanes {
				waiting = append(waiting, n.retire()...)
			}
		}
		l.count.closed.Add(uint64(len(waiting)))
		finishAll(waiting, ErrClosed)
		l.wg.Wait()
		l.handing.Wait()
		if l.client != nil {
			l.client.Close()
		}
	})
	return nil
}

// drain waits for the lanes to have sent what they have.
func (l *Link) drain() {
	v := l.view.Load()
	if v == nil {
		return
	}
	limit := time.After(l.options.PublishTimeout)
	for _, n := range v.lanes {
		select {
		case <-n.ended:
		case <-limit:
			return
		}
	}
}
