package engineio

import (
	"runtime"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/internal/wsconn"
)

// flushers write what has been queued: a few workers that take turns over
// the connections with something to send, so that whatever a connection has
// queued by its turn leaves in one write.
type flushers struct {
	shards []*flushShard
}

// flushShard is one worker and the connections waiting for it.
type flushShard struct {
	mu   sync.Mutex
	list []*Conn
	wake chan struct{}
}

func newFlushers() *flushers {
	f := &flushers{shards: make([]*flushShard, runtime.GOMAXPROCS(0))}
	for i := range f.shards {
		f.shards[i] = &flushShard{wake: make(chan struct{}, 1)}
	}
	return f
}

// add hands a connection over; its flush state is already flushScheduled.
func (f *flushers) add(c *Conn) {
	s := f.shards[int(c.shard)%len(f.shards)]
	s.mu.Lock()
	s.list = append(s.list, c)
	first := len(s.list) == 1
	s.mu.Unlock()
	if first {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// A flusher takes rounds: everything that has been handed over by its turn.
// With several processors, more is read and queued meanwhile, so that much
// joins each write under load. On a single one nothing else happens during a
// round. There the flusher lets those go first who are about to send
// something, and after a round of at least longRound it pauses for as long, up
// to maxPause: in that time the clients, and others with whom the processors
// are shared, make what the next round joins. It does so only if a quarter more
// messages than writes left in the round. Rooms of many quiet clients have
// rounds as long in which nothing joins, and a pause would only be in their way.
const (
	longRound = 2 * time.Millisecond
	maxPause  = 10 * time.Millisecond
)

// run is one worker; single says that it has the only processor.
func (s *flushShard) run(stop <-chan struct{}, single bool) {
	f := newFlusher()
	var batch []*Conn
	var pace pacer
	for {
		select {
		case <-stop:
			return
		case <-s.wake:
		}
		if single {
			runtime.Gosched()
			if !pace.await(stop) {
				return
			}
		}
		s.mu.Lock()
		batch, s.list = s.list, batch[:0]
		s.mu.Unlock()
		begin := time.Now()
		writes, messages := 0, 0
		for i, c := range batch {
			if n, ok := c.claim(); ok {
				writes++
				messages += n
				f.flush(c)
			}
			batch[i] = nil
		}
		pace.took(begin, writes, messages)
	}
}

// pacer keeps a flusher's rounds apart.
type pacer struct {
	next  time.Time   // zero: at once
	timer *time.Timer // nil until needed
}

// took notes a round that has just ended: when it began, and what left.
func (p *pacer) took(begin time.Time, writes, messages int) {
	p.next = time.Time{}
	if 4*messages < 5*writes {
		return
	}
	now := time.Now()
	if d := now.Sub(begin); d >= longRound {
		p.next = now.Add(min(d, maxPause))
	}
}

// await returns when the next round may begin. It is false when stop was
// closed before.
func (p *pacer) await(stop <-chan struct{}) bool {
	if p.next.IsZero() {
		return true
	}
	d := time.Until(p.next)
	if d <= 0 {
		return true
	}
	if p.timer == nil {
		p.timer = time.NewTimer(d)
	} else {
		p.timer.Reset(d) // it has fired
	}
	select {
	case <-p.timer.C:
		return true
	case <-stop:
		p.timer.Stop()
		return false
	}
}

// claim returns how many messages the connection has for a flusher, and whether
// it still waits for one: Send may have been one meanwhile.
func (c *Conn) claim() (messages int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flush != flushScheduled {
		return 0, false
	}
	c.flush = flushBusy
	return int(c.out.n), true
}

const scratchSize = 64 << 10

// flusher writes out queues. It belongs to one goroutine.
type flusher struct{ scratch []byte }

func newFlusher() *flusher { return &flusher{scratch: make([]byte, 0, scratchSize)} }

var flusherPool = sync.Pool{New: func() any { return newFlusher() }}

// flush writes c's queue without waiting. When the kernel does not take all,
// the poller says when to go on; a connection without a poller gets a
// goroutine for each flush, because writing to it may block.
func (f *flusher) flush(c *Conn) {
	c.mu.Lock()
	retried := false
	for {
		ws := c.ws
		b := c.out.gather(f.scratch, c.form(ws))
		if len(b) == 0 {
			c.drained()
			return
		}
		c.flush = flushBusy
		c.again = false
		c.mu.Unlock()
		if !ws.CanTry() {
			if !c.srv.spawn(c.flushBlocking) {
				c.fail(ServerShutdown, nil)
			}
			return
		}
		n, err := ws.TryWrite(b)
		c.mu.Lock()
		if !c.wrote(n, err) {
			return
		}
		switch {
		case n == len(b):
			retried = false
		case !retried: // from now on the poller's word counts: look again
			retried = true
			c.waits.Store(true)
		case !c.again:
			c.flush = flushBlocked
			c.mu.Unlock()
			return
		}
	}
}

// form returns how ws wants its frames.
func (c *Conn) form(ws *wsconn.Conn) form {
	return form{deflate: ws.Deflate(), threshold: c.srv.o.deflateThreshold(), base64: c.base64}
}

// Writable implements wsconn.Handler: the poller's word.
func (r *reader) Writable() { (*Conn)(r).writableAgain() }

func (c *Conn) writableAgain() {
	if !c.waits.Load() {
		return
	}
	c.mu.Lock()
	schedule := c.flush == flushBlocked
	if schedule {
		c.flush = flushScheduled
	}
	c.again = true
	c.mu.Unlock()
	if schedule {
		c.srv.flushers.add(c)
	}
}

// flushBlocking writes c's queue, however long it takes.
func (c *Conn) flushBlocking() {
	f := flusherPool.Get().(*flusher)
	defer flusherPool.Put(f)
	c.mu.Lock()
	c.flush = flushBlocked
	for {
		ws := c.ws
		b := c.out.gather(f.scratch, c.form(ws))
		if len(b) == 0 {
			c.drained()
			return
		}
		c.mu.Unlock()
		n, err := ws.Write(b)
		c.mu.Lock()
		if !c.wrote(n, err) {
			return
		}
	}
}

// wrote accounts for a write. It reports whether to go on; if not, it has
// released c.mu.
func (c *Conn) wrote(n int, err error) bool {
	if c.state == stateClosed { // the queue is gone
		c.flush = flushIdle
		c.mu.Unlock()
		return false
	}
	c.out.advance(n, c.form(c.ws))
	if err != nil {
		c.flush = flushIdle
		c.mu.Unlock()
		c.fail(TransportClose, err)
		return false
	}
	return true
}

// drained ends a flush that has written everything, and releases c.mu.
func (c *Conn) drained() {
	c.flush = flushIdle
	c.waits.Store(false)
	ws, closing := c.ws, c.state == stateClosing
	c.mu.Unlock()
	if closing {
		_ = ws.CloseWrite() // the reader ends when the peer answers
	}
}
