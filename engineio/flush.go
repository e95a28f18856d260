package engineio

import (
	"runtime"
	"sync"

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

// run is one worker.
func (s *flushShard) run(stop <-chan struct{}) {
	f := newFlusher()
	var batch []*Conn
	for {
		select {
		case <-stop:
			return
		case <-s.wake:
		}
		s.mu.Lock()
		batch, s.list = s.list, batch[:0]
		s.mu.Unlock()
		for i, c := range batch {
			f.flush(c)
			batch[i] = nil
		}
	}
}

const scratchSize = 64 << 10

// flusher writes out queues. It belongs to one goroutine.
type flusher struct {
	w       *wsconn.Writer
	scratch []byte
}

func newFlusher() *flusher {
	return &flusher{w: wsconn.NewWriter(), scratch: make([]byte, 0, scratchSize)}
}

var flusherPool = sync.Pool{New: func() any { return newFlusher() }}

// flush writes c's queue without waiting. What the kernel does not take is
// left to a goroutine that waits for it: only a slow reader costs one.
func (f *flusher) flush(c *Conn) {
	c.mu.Lock()
	for {
		ws := c.ws
		b := c.out.gather(f.scratch, ws.Deflate(), c.srv.o.deflateThreshold())
		if len(b) == 0 {
			c.drained()
			return
		}
		if !ws.CanTry() {
			break
		}
		c.flush = flushBusy
		c.mu.Unlock()
		n, err := f.w.TryWrite(ws, b)
		c.mu.Lock()
		if !c.wrote(n, err) {
			return
		}
		if n < len(b) {
			break
		}
	}
	c.flush = flushBlocked
	c.mu.Unlock()
	go c.flushBlocked()
}

// flushBlocked writes c's queue, however long it takes.
func (c *Conn) flushBlocked() {
	f := flusherPool.Get().(*flusher)
	defer flusherPool.Put(f)
	c.mu.Lock()
	for {
		ws := c.ws
		b := c.out.gather(f.scratch, ws.Deflate(), c.srv.o.deflateThreshold())
		if len(b) == 0 {
			c.drained()
			return
		}
		c.mu.Unlock()
		n, err := f.w.Write(ws, b)
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
	c.out.advance(n, c.ws.Deflate(), c.srv.o.deflateThreshold())
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
	ws, closing := c.ws, c.state == stateClosing
	c.mu.Unlock()
	if closing {
		_ = ws.CloseWrite() // the reader ends when the peer answers
	}
}
