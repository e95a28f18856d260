package nats

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/socketeer-io/socketeer/adapter"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
)

const (
	// queueLen bounds the frames between NATS' reader and the node. It only
	// has to take up bursts: the node does not wait for namespaces.
	queueLen = 1 << 14
	// Two unanswered pings, sent this far apart, mean a broken connection.
	pingInterval = 5 * time.Second
	maxPings     = 2
	// Reconnecting is tried after reconnectMin, doubled each time up to
	// reconnectMax, each up to half as long again.
	reconnectMin = 100 * time.Millisecond
	reconnectMax = 5 * time.Second
)

// bus is a cluster bus over NATS. It has two connections: one that carries
// everything and gets no echo of what it publishes, and one whose only use is
// to return probes.
type bus struct {
	log       *slog.Logger
	main      *natsgo.Conn
	mirror    *natsgo.Conn
	ask, echo string // subjects of a probe's way to the mirror and back
	queue     chan *natsgo.Msg
	stop      chan struct{}
	done      chan struct{}
	down      atomic.Bool // disconnected, and said so
	dropping  atomic.Bool // said so

	mu      sync.Mutex
	subs    map[string]*natsgo.Subscription
	slow    map[*natsgo.Subscription]int // drops counted so far
	dropped uint64
	started bool
	closed  bool
}

var (
	_ buscluster.Bus         = (*bus)(nil)
	_ buscluster.Dropper     = (*bus)(nil)
	_ buscluster.Reconnecter = (*bus)(nil)
	_ adapter.Health         = (*bus)(nil)
)

// connect opens both connections.
func connect(url string, log *slog.Logger, prefix, name string, extra ...natsgo.Option) (*bus, error) {
	b := &bus{
		log: log, ask: prefix + ".p." + name, echo: prefix + ".q." + name,
		queue: make(chan *natsgo.Msg, queueLen), stop: make(chan struct{}), done: make(chan struct{}),
		subs: make(map[string]*natsgo.Subscription), slow: make(map[*natsgo.Subscription]int),
	}
	common := connectionOptions(extra)
	var err error
	b.main, err = natsgo.Connect(url, append(slices.Clip(common),
		natsgo.Name("socketeer "+name), natsgo.NoEcho(),
		natsgo.ErrorHandler(b.onError),
		natsgo.DisconnectErrHandler(b.onDisconnect),
		natsgo.ReconnectHandler(b.onReconnect),
	)...)
	if err != nil {
		return nil, err
	}
	b.mirror, err = natsgo.Connect(url, append(slices.Clip(common),
		natsgo.Name("socketeer probe "+name),
		natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) {}),
	)...)
	if err != nil {
		b.main.Close()
		return nil, err
	}
	return b, nil
}

// connectionOptions are what all connections have.
func connectionOptions(extra []natsgo.Option) []natsgo.Option {
	return slices.Concat([]natsgo.Option{
		natsgo.MaxReconnects(-1),
		natsgo.CustomReconnectDelay(reconnectDelay),
		natsgo.PingInterval(pingInterval),
		natsgo.MaxPingsOutstanding(maxPings),
		natsgo.IgnoreAuthErrorAbort(),
	}, extra)
}

func reconnectDelay(attempts int) time.Duration {
	d := reconnectMin << min(attempts, 10)
	d = min(d, reconnectMax)
	return d + rand.N(d/2)
}

func (b *bus) onError(_ *natsgo.Conn, sub *natsgo.Subscription, err error) {
	if !errors.Is(err, natsgo.ErrSlowConsumer) || sub == nil {
		b.log.Warn("nats connection", "err", err)
		return
	}
	b.mu.Lock()
	b.recount(sub)
	b.mu.Unlock()
	if !b.dropping.Swap(true) {
		b.log.Warn("the node is slower than the cluster: frames are dropped, and counted from now on", "queued", queueLen)
	}
}

func (b *bus) onDisconnect(_ *natsgo.Conn, err error) {
	select {
	case <-b.stop:
		return
	default:
	}
	if !b.down.Swap(true) {
		b.log.Error("connection to nats lost; reconnecting", "err", err)
	}
}

func (b *bus) onReconnect(nc *natsgo.Conn) {
	if b.down.Swap(false) {
		b.log.Info("connected to nats again", "url", nc.ConnectedUrlRedacted())
	}
}

// recount adds a subscription's drops since the last count. Called with mu
// held.
func (b *bus) recount(sub *natsgo.Subscription) {
	if n, err := sub.Dropped(); err == nil {
		b.dropped += uint64(max(0, n-b.slow[sub]))
		b.slow[sub] = n
	}
}

// Listen implements the Bus.
func (b *bus) Listen(recv func([]byte)) error {
	if _, err := b.main.ChanSubscribe(b.echo, b.queue); err != nil {
		return wrap(err)
	}
	// The mirror returns a probe to where others' frames arrive.
	if _, err := b.mirror.Subscribe(b.ask, func(m *natsgo.Msg) {
		if err := b.mirror.Publish(b.echo, m.Data); err != nil {
			b.log.Debug("probe not returned", "err", err)
		}
	}); err != nil {
		return wrap(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.started = true
	go func() {
		defer close(b.done)
		for {
			select {
			case m := <-b.queue:
				recv(m.Data)
			case <-b.stop:
				return
			}
		}
	}()
	return nil
}

// Publish implements the Bus.
func (b *bus) Publish(subject string, data []byte) error {
	return wrap(b.main.Publish(subject, data))
}

// Subscribe implements the Bus.
func (b *bus) Subscribe(subject string) error {
	sub, err := b.main.ChanSubscribe(subject, b.queue)
	if err != nil {
		return wrap(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs[subject] = sub
	return nil
}

// Unsubscribe implements the Bus.
func (b *bus) Unsubscribe(subject string) error {
	b.mu.Lock()
	sub := b.subs[subject]
	delete(b.subs, subject)
	if _, slow := b.slow[sub]; slow {
		b.recount(sub)
		delete(b.slow, sub)
	}
	b.mu.Unlock()
	if sub == nil {
		return nil
	}
	return wrap(sub.Unsubscribe())
}

// Probe implements the Bus.
func (b *bus) Probe(data []byte) error { return wrap(b.main.Publish(b.ask, data)) }

// Reconnect implements the Bus.
func (b *bus) Reconnect() {
	for _, nc := range []*natsgo.Conn{b.main, b.mirror} {
		if err := nc.ForceReconnect(); err != nil {
			b.log.Debug("reconnect", "err", err)
		}
	}
}

// Dropped implements the Bus.
func (b *bus) Dropped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	for sub := range b.slow {
		b.recount(sub)
	}
	return b.dropped
}

// Ready implements adapter.Health.
func (b *bus) Ready() error {
	if s := b.main.Status(); s != natsgo.CONNECTED {
		return fmt.Errorf("socketeer: not connected to nats: %v", s)
	}
	return nil
}

// close ends delivery and both connections.
func (b *bus) close() {
	b.mu.Lock()
	first, started := !b.closed, b.started
	b.closed = true
	b.mu.Unlock()
	if first {
		close(b.stop)
		b.main.Close()
		b.mirror.Close()
	}
	if started {
		<-b.done
	}
}

// wrap makes NATS' errors ours.
func wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, natsgo.ErrConnectionClosed):
		return errClosed
	}
	return fmt.Errorf("socketeer: nats: %w", err)
}
