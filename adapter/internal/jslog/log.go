package jslog

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/askonce"
	"github.com/socketeer-io/socketeer/adapter/internal/replay"
	"github.com/socketeer-io/socketeer/adapter/internal/unkept"
)

const (
	// patience is what a request may take.
	patience = 3 * time.Second
	// Back-off of what fails.
	minPause = 50 * time.Millisecond
	maxPause = time.Second
)

var errClosed = fmt.Errorf("socketeer: jetstream log: %w", net.ErrClosed)

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
	// suspicion (capacity 1) is sent to when something was not answered.
	suspicion chan struct{}

	count            counters
	trouble          atomic.Int64 // when it was last logged
	single           atomic.Bool  // the server is no cluster
	retain           atomic.Int64 // nanoseconds; the longest of all Retain
	own              atomic.Uint64
	stream, sessions atomic.Pointer[streamHandle]

	write   writer
	read    reader
	pending *unkept.Queue[*appended] // deliver guards what it says
	history replay.History[position]
	end     *askonce.Question[uint64] // where the stream ends
	order   order

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
		cfg: cfg, js: cfg.JS, log: cfg.Logger, longer: make(chan struct{}, 1), suspicion: make(chan struct{}, 1),
		spaces: make(map[string]*space),
	}
	l.write = writer{l: l, wake: make(chan struct{}, 1)}
	l.read = reader{l: l, next: make(chan struct{})}
	l.pending = unkept.New[*appended]()
	l.end = askonce.New(l.newest)
	l.order.init(l)
	l.history.Limit, l.history.Spare, l.history.Forgets = cfg.HistoryBytes, cfg.HistoryBytes, forgets
	l.history.TooMuch = fmt.Errorf("socketeer: more was missed than may be read for clients that come back: LogBytes is %d", cfg.HistoryBytes)
	l.history.Retain(l.keep())
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
	l.wg.Go(l.linkLoop)
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
	l.pending.Drained(limit)
	stop()
	l.stop()
	l.wg.Wait()
	l.deliver.Lock()
	defer l.deliver.Unlock()
	l.giveUp(l.pending.All())
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
	l.history.Retain(l.keep())
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
	for _, a := range l.pending.Remove(func(a *appended) bool { return a.number > 0 && a.nsp == nsp }) {
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

// Ready returns why the stream cannot be read at present, or takes no messages,
// or nil.
func (l *Log) Ready() error {
	if s := l.js.Conn().Status(); s != nats.CONNECTED {
		return fmt.Errorf("socketeer: jetstream: not connected: %v", s)
	}
	if err := l.read.ready(); err != nil {
		return err
	}
	return l.write.ready()
}

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
