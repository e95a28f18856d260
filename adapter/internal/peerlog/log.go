package peerlog

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

const (
	// defaultRetain holds until Retain is called.
	defaultRetain = 2 * time.Minute
	// grace is how much longer than asked for messages are kept: for as long as
	// it may take until a connection that is broken is known to be.
	grace = time.Minute
	// tick is how often links and expiry are looked at.
	tick = 100 * time.Millisecond
	// maxTurns bounds what waits for its turn, in bytes.
	maxTurns = 64 << 20
)

// ErrBehind says that too much waits for replicas.
var ErrBehind = errors.New("socketeer: too many messages wait to be kept")

var errClosed = fmt.Errorf("socketeer: log: %w", net.ErrClosed)

// Config is what a [Log] is made of. All is required.
type Config struct {
	Self  string          // this node's incarnation
	Peers func() []string // those of the live others
	Name  func(incarnation string) string
	// Send sends a frame to one node, from any goroutine, and does not wait.
	Send func(to string, frame []byte) error
	// Drain returns when the messages of sender that arrived so far have been
	// handed to their namespaces, or ctx ends.
	Drain func(ctx context.Context, sender string)
	// Decode reads a message's body.
	Decode func(body []byte) (*adapter.Message, error)
	// MaxFrame is the largest frame that may be sent, in bytes.
	MaxFrame int
	// Bytes and SessionBytes bound what is kept of all nodes.
	Bytes, SessionBytes int
	Logger              *slog.Logger
}

// Log is one node's part. All methods may be called concurrently.
//
// Locks: space.order or Log.sending, then Log.mu, which is a leaf but for
// Config.Peers. Sending is held around calls of Config.Send that send a message.
type Log struct {
	cfg   Config
	log   *slog.Logger
	batch int // bytes of records in a batch
	count counters
	wake  chan struct{}   // of send; capacity 1
	turn  chan struct{}   // of take; capacity 1
	ctx   context.Context //nolint:containedctx // ends with the log
	stop  context.CancelFunc
	wg    sync.WaitGroup

	takes flight[*saved]

	sending sync.Mutex // held while a message is sent, and guards senderLog.sent

	mu       sync.Mutex
	started  bool
	closed   bool
	asked    bool          // Retain was called
	keep     time.Duration // of messages: the longest of all Retain, and grace
	peers    []string
	dead     map[string]time.Time // incarnations that were peers
	suspect  map[string]bool      // peers that did not answer and were not heard since
	spaces   map[string]*space
	arrived  fifo[*entry]
	bytes    int
	sessions sessions
	links    map[string]*link
	in       map[string]*incoming
	turns    fifo[*turn]
	waiting  int // bytes of turns, and of the one being taken
	savings  []*saving
	asks     map[uint64]*ask
	askID    uint64
	stamp    int64
}

// turn is something to be done in its turn, when what it waits for is over.
type turn struct {
	wait wait
	size int
	do   func()
}

// New returns a log; [Log.Start] starts it.
func New(cfg Config) *Log {
	l := &Log{
		cfg: cfg, log: cfg.Logger, batch: min(batchBytes, cfg.MaxFrame/2),
		wake: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		keep: defaultRetain + grace,
		dead: make(map[string]time.Time), suspect: make(map[string]bool), spaces: make(map[string]*space),
		links: make(map[string]*link), in: make(map[string]*incoming), asks: make(map[uint64]*ask),
	}
	l.sessions.byKey = make(map[string]*list.Element)
	l.sessions.order.Init()
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// Start starts the goroutines.
func (l *Log) Start() {
	l.mu.Lock()
	l.started = true
	l.mu.Unlock()
	l.PeersChanged()
	l.wg.Go(l.send)
	l.wg.Go(l.take)
}

// Close ends what is under way and waits for it. With a live ctx it waits until
// the replicas have what they lack, for at most a second.
func (l *Log) Close(ctx context.Context) {
	limit, cancel := context.WithTimeout(ctx, lost)
	defer cancel()
	for ctx.Err() == nil && limit.Err() == nil && !l.idle() {
		select {
		case <-limit.Done():
		case <-time.After(tick / 10):
		}
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.stop()
	l.wg.Wait()
}

// idle reports whether nothing waits and all replicas that are in sync have
// everything.
func (l *Log) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.started || l.waiting == 0 && l.waits().over(l)
}

// Retain says for how long the sessions and messages of a namespace are to be
// kept. Messages are kept as long as any namespace wants them.
func (l *Log) Retain(nsp string, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.space(nsp).retain = d
	if !l.asked {
		l.keep, l.asked = d+grace, true
	}
	l.keep = max(l.keep, d+grace)
}

// PeersChanged says that Config.Peers returns others than before.
func (l *Log) PeersChanged() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.cfg.Peers()
	for _, p := range l.peers {
		if !slices.Contains(now, p) {
			l.dead[p] = time.Now()
			delete(l.suspect, p)
		}
	}
	l.peers = now
	for _, p := range now {
		delete(l.dead, p)
	}
	if l.closed || !l.started {
		return
	}
	for _, a := range l.asks {
		a.gone(now)
	}
	l.choose()
	l.signal()
}

// Append numbers a message, keeps it and hands it to the replicas. When it is
// kept, it calls sent and then kept with the offset, in the order of Append.
// Number is called first, before Append returns, to put the position into body.
func (l *Log) Append(nsp string, body []byte, number func(pos uint64), sent func(), kept func(offset string)) error {
	if len(body)+entryOverhead+len(nsp) > l.cfg.MaxFrame {
		return fmt.Errorf("socketeer: message of %d bytes is too large to be kept", len(body))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	if l.waiting > maxTurns {
		return ErrBehind
	}
	sp := l.space(nsp)
	sl := sp.log(l.cfg.Self)
	l.stamp = max(l.stamp, time.Now().UnixMicro())
	e := &entry{nsp: nsp, pos: sl.last + 1, stamp: l.stamp, at: time.Now(), body: body}
	number(e.pos)
	l.append(sl, e)
	l.count.appended.Add(1)
	l.replicate(e)
	l.push(&turn{wait: l.waits(), size: e.size(), do: func() {
		l.publish(sl, e.pos, sent)
		sp.order.Lock()
		defer sp.order.Unlock()
		l.mu.Lock()
		offset := l.offset(sp, l.cfg.Self, e.pos)
		l.mu.Unlock()
		kept(offset)
		l.mu.Lock()
		l.see(sp, l.cfg.Self, e.pos)
		l.mu.Unlock()
	}})
	return nil
}

// publish sends a message by the ordinary way. Nobody is told that it has been
// sent before it has, nor that it has not been afterwards: who asks in between
// waits.
func (l *Log) publish(sl *senderLog, pos uint64, send func()) {
	l.sending.Lock()
	defer l.sending.Unlock()
	send()
	sl.sent = pos
}

// InTurn does something of size bytes after all that was appended before has
// been kept: before it returns if that is so, else later.
func (l *Log) InTurn(size int, do func()) error {
	l.mu.Lock()
	if l.waiting == 0 {
		l.mu.Unlock()
		do()
		return nil
	}
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	if l.waiting > maxTurns {
		return ErrBehind
	}
	l.push(&turn{size: entryOverhead + size, do: do})
	return nil
}

// push queues a turn. With mu held.
func (l *Log) push(t *turn) {
	l.turns.push(t)
	l.waiting += t.size
	notify(l.turn)
}

// signal has the links looked at. With mu held.
func (l *Log) signal() { notify(l.wake) }

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take takes the turns.
func (l *Log) take() {
	for {
		l.mu.Lock()
		t := l.turns.front()
		if t != nil && t.wait.over(l) {
			l.turns.pop()
		} else {
			t = nil
		}
		l.mu.Unlock()
		if t == nil {
			select {
			case <-l.turn:
				continue
			case <-l.ctx.Done():
				return
			}
		}
		if l.ctx.Err() != nil {
			return
		}
		t.do()
		l.mu.Lock()
		l.waiting -= t.size
		l.mu.Unlock()
	}
}

// send sends what is on the links, and looks at them from time to time.
func (l *Log) send() {
	t := time.NewTicker(tick)
	defer t.Stop()
	type frame struct {
		to string
		b  []byte
	}
	var out []frame
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.wake:
		case now := <-t.C:
			l.expire(now)
		}
		for {
			out = out[:0]
			l.mu.Lock()
			for to, k := range l.links {
				if b := l.frame(k); b != nil {
					out = append(out, frame{to, b})
				}
			}
			l.mu.Unlock()
			for i, f := range out {
				if err := l.cfg.Send(f.to, f.b); err != nil {
					l.log.Debug("records not sent", "peer", l.name(f.to), "err", err)
				}
				l.count.batches.Add(1)
				out[i].b = nil
			}
			if len(out) == 0 {
				break
			}
		}
	}
}

// expire forgets what is too old, and looks for replicas that do not keep up.
func (l *Log) expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.check(now)
	l.trim()
	l.forget(now)
	if n := l.sessions.trim(now, l.cfg.SessionBytes); n > 0 {
		l.count.sessionsTrimmed.Add(uint64(n))
	}
	l.advance()
}

// advance wakes those whose wait may be over. With mu held.
func (l *Log) advance() {
	notify(l.turn)
	l.savings = slices.DeleteFunc(l.savings, func(s *saving) bool {
		if !s.wait.over(l) {
			return false
		}
		close(s.done)
		return true
	})
}

// name returns a node's name for logs.
func (l *Log) name(incarnation string) string { return l.cfg.Name(incarnation) }
