package jslog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/socketeer-io/socketeer/adapter"
)

// Overhead is how much smaller a message has to be than Config.MaxPayload, in
// bytes: for the headers and what is around it in a batch.
const Overhead = 1 << 10

// Defaults of [Config].
const (
	DefaultMaxBytes       = 256 << 20
	DefaultRetain         = 2 * time.Minute
	DefaultGrace          = time.Minute // as long as it may take until a broken connection is known to be
	DefaultKeepTimeout    = time.Second
	DefaultPublishTimeout = 30 * time.Second
	DefaultHistoryBytes   = 128 << 20
	DefaultBacklogBytes   = 64 << 20
)

const (
	// patience is what a request may take.
	patience = 3 * time.Second
	// Back-off of what fails.
	minPause = 50 * time.Millisecond
	maxPause = time.Second
)

var errClosed = fmt.Errorf("socketeer: jetstream log: %w", net.ErrClosed)

// Config is what a [Log] is made of. JS, Self, Stream and MaxPayload are
// required; zero values of the others mean the defaults.
type Config struct {
	JS     jetstream.JetStream
	Self   string // this node's incarnation
	Stream string // the streams are called this and -log and -sessions
	// MaxPayload is the largest message that the server takes, headers included,
	// in bytes. What is kept is smaller by Overhead.
	MaxPayload int
	// Starting says that JetStream may not be enabled yet.
	Starting bool

	// Replicas, Storage and MaxBytes are of streams that are made. Default: three
	// on servers that are a cluster and one on others, files, 256 MiB each.
	Replicas int
	Storage  jetstream.StorageType
	MaxBytes int64
	// Retain is for how long messages are kept until the method of this name is
	// called. Default 2 min.
	Retain time.Duration
	// Grace is how much longer than Retain says messages are kept. Default 1 min.
	Grace time.Duration
	// KeepTimeout is how long a message may take to be kept. Default 1 s.
	KeepTimeout time.Duration
	// PublishTimeout is how long a message may wait for JetStream. Default 30 s.
	PublishTimeout time.Duration
	// HistoryBytes bounds what is remembered of what was read. Default 128 MiB.
	HistoryBytes int
	// BacklogBytes bounds what waits for JetStream, and as much again what waits
	// for the stream. Default 64 MiB.
	BacklogBytes int
	Logger       *slog.Logger // default silent
}

func (c Config) withDefaults() (Config, error) {
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.Retain = cmp.Or(c.Retain, DefaultRetain)
	c.Grace = cmp.Or(c.Grace, DefaultGrace)
	c.KeepTimeout = cmp.Or(c.KeepTimeout, DefaultKeepTimeout)
	c.PublishTimeout = cmp.Or(c.PublishTimeout, DefaultPublishTimeout)
	c.HistoryBytes = cmp.Or(c.HistoryBytes, DefaultHistoryBytes)
	c.BacklogBytes = cmp.Or(c.BacklogBytes, DefaultBacklogBytes)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(c.Self) != incarnationLen:
		return c, errors.New("socketeer: jetstream log: no incarnation")
	case c.Replicas < 0 || c.Replicas > 5:
		return c, fmt.Errorf("socketeer: jetstream: %d replicas are not 1 to 5", c.Replicas)
	case c.MaxBytes < 64<<10:
		return c, fmt.Errorf("socketeer: jetstream: a stream of %d bytes is too small", c.MaxBytes)
	case c.KeepTimeout < time.Millisecond || c.PublishTimeout < c.KeepTimeout:
		return c, fmt.Errorf("socketeer: jetstream: to keep a message within %v is not possible", c.KeepTimeout)
	case c.MaxPayload < 2*Overhead:
		return c, fmt.Errorf("socketeer: jetstream: messages of %d bytes are too small", c.MaxPayload)
	}
	return c, nil
}

// hooks are what the log needs of its node; see [Log.Start].
type hooks struct {
	decode func(body []byte) (nsp string, m *adapter.Message, fence uint64, err error)
	gone   func(incarnation string) bool
}

// Log is one node's part. All methods may be called concurrently.
//
// Locks, in the order in which they are taken: Log.deliver, which is held while
// a message is handed to a namespace; writer.mu; the others, which are leaves.
type Log struct {
	cfg    Config
	js     jetstream.JetStream
	log    *slog.Logger
	hooks  hooks
	ctx    context.Context //nolint:containedctx // ends with the log
	stop   context.CancelFunc
	wg     sync.WaitGroup
	writes sync.WaitGroup
	longer chan struct{} // capacity 1: a namespace wants more than the streams keep

	count            counters
	trouble          atomic.Int64 // when it was last logged
	single           atomic.Bool  // the server is no cluster
	retain           atomic.Int64 // nanoseconds; the longest of all Retain
	own              atomic.Uint64
	stream, sessions atomic.Pointer[streamHandle]

	write   writer
	read    reader
	pending pending
	history history
	ends    ends
	order   order
	filling chan struct{} // capacity 1: held by who reads what is before the history

	// deliver is held while something of the stream is handed to a namespace, so
	// that it all is in one order. It guards the rest.
	deliver sync.Mutex
	gapVoid *bool // of the newest marker of a gap

	mu     sync.RWMutex
	spaces map[string]*space
}

// streamHandle is the stream as it was found.
type streamHandle struct{ jetstream.Stream }

// space is a namespace that is open on this node.
type space struct {
	enter  func(func()) bool
	handle func(*adapter.Message)
}

// New finds the streams or makes them, and the place from which this node will
// read. ctx bounds that. Errors say what is to be done about them.
func New(ctx context.Context, cfg Config) (*Log, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Log{
		cfg: cfg, js: cfg.JS, log: cfg.Logger, longer: make(chan struct{}, 1), filling: make(chan struct{}, 1),
		spaces: make(map[string]*space),
	}
	l.write = writer{l: l, wake: make(chan struct{}, 1)}
	l.read = reader{l: l, next: make(chan struct{})}
	l.pending.wake = make(chan struct{}, 1)
	l.ends.asking = make(chan struct{}, 1)
	l.order.init(l)
	l.history.limit = cfg.HistoryBytes
	l.history.retain = l.keep()
	if err := l.available(ctx); err != nil {
		return nil, err
	}
	if err := l.begin(ctx); err != nil {
		return nil, err
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l, nil
}

// Start begins to read and to write. Decode reads the body of a message: its
// namespace, the message, and the fence that it has to wait for, or 0. Gone
// reports whether the node of an incarnation is known not to run any more.
func (l *Log) Start(
	decode func(body []byte) (nsp string, m *adapter.Message, fence uint64, err error), gone func(incarnation string) bool,
) {
	l.hooks = hooks{decode, gone}
	l.wg.Go(func() { l.read.run(l.ctx) })
	l.wg.Go(l.expireLoop)
	l.wg.Go(l.retainLoop)
	l.writes.Go(func() { l.write.run(l.ctx) })
}

// Close writes what is queued, unless ctx ends, and waits for all goroutines.
// What has not been kept by then is given up.
func (l *Log) Close(ctx context.Context) {
	l.write.close()
	limit, cancel := context.WithTimeout(ctx, l.cfg.KeepTimeout)
	defer cancel()
	stop := context.AfterFunc(limit, l.stop)
	l.writes.Wait()
	l.pending.drained(limit)
	stop()
	l.stop()
	l.wg.Wait()
	l.deliver.Lock()
	defer l.deliver.Unlock()
	l.giveUp(l.pending.all())
}

// Retain says for how long the sessions and messages of a namespace are to be
// kept. All are kept for as long as any wants.
func (l *Log) Retain(_ string, d time.Duration) {
	for {
		have := l.retain.Load()
		if int64(d) <= have {
			return
		}
		if l.retain.CompareAndSwap(have, int64(d)) {
			break
		}
	}
	l.history.lengthen(l.keep())
	select {
	case l.longer <- struct{}{}:
	default:
	}
}

// keep is for how long messages are kept.
func (l *Log) keep() time.Duration {
	return l.cfg.Grace + cmp.Or(time.Duration(l.retain.Load()), l.cfg.Retain)
}

// Open says who is handed the messages of a namespace that are read from now on:
// handle is called within enter, which does not call its argument once the
// namespace is closed.
func (l *Log) Open(nsp string, enter func(func()) bool, handle func(*adapter.Message)) {
	l.deliver.Lock()
	defer l.deliver.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spaces[nsp] = &space{enter, handle}
}

// CloseSpace ends that. What was to be kept of the namespace is given up.
func (l *Log) CloseSpace(nsp string) {
	l.deliver.Lock()
	defer l.deliver.Unlock()
	l.mu.Lock()
	delete(l.spaces, nsp)
	l.mu.Unlock()
	for _, a := range l.pending.of(nsp) {
		a.kept("")
	}
	l.turns()
}

func (l *Log) space(nsp string) *space {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.spaces[nsp]
}

// Newer reports whether offset a was given after b.
func (l *Log) Newer(a, b string) bool { return Newer(a, b) }

// Ready returns why the stream cannot be read at present, or nil.
func (l *Log) Ready() error { return l.read.ready() }

// Reconnected says that the connection is a new one: what was under way on the
// old one may be lost.
func (l *Log) Reconnected() { l.read.again() }

// info asks the stream's leader.
func (l *Log) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return l.stream.Load().Info(ask)
}

// troubled logs an error, not more often than every ten seconds.
func (l *Log) troubled(what string, err error) {
	const pace = 10 * time.Second
	now, last := time.Now().UnixNano(), l.trouble.Load()
	if now-last > int64(pace) && l.trouble.CompareAndSwap(last, now) {
		l.log.Warn("jetstream: "+what+": trying again", "err", err)
	}
}

func jitter(d time.Duration) time.Duration { return d - rand.N(d/4+1) }

// sleep reports false when ctx ended before d had passed.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
