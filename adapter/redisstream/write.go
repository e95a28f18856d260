package redisstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// A batch is what is written at once.
const (
	batchItems = 512
	batchBytes = 1 << 20
)

// itemOverhead is what an entry that waits costs besides its bytes.
const itemOverhead = 256

var (
	errBacklog = errors.New("socketeer: redis takes messages slower than they come")
	errClosed  = fmt.Errorf("socketeer: redis streams: %w", net.ErrClosed)
)

// maxAttempt bounds the wait for the answer to one write, which is repeated.
const maxAttempt = 2 * time.Second

// writer appends entries to one stream, in order: callers queue, its goroutine
// writes what has queued and waits for the answer, and tries again until there
// is one or PublishTimeout has passed. An entry is in the stream at most once.
type writer struct {
	s    *stream
	wake chan struct{} // capacity 1

	mu     sync.Mutex // guards the rest
	items  []write
	fences []fence
	bytes  int    // of both
	open   int    // items that are no markers, those being written included
	seq    uint64 // of the newest item
	full   bool   // overflowing; logged once until it has drained
	last   string // id of the newest entry written
	closed bool

	failed  error     // why the last write failed
	refused time.Time // since when Redis answers with errors
}

// write is an entry to be written.
type write struct {
	fields []string
	size   int
	seq    uint64
	at     time.Time
	must   bool  // tried until it succeeds, or the writer is closed: a marker of a gap
	fate   fate  // what has become of it so far
	void   *bool // guarded by writer.mu: a newer marker makes this one useless
}

// fate says why an entry is not known to be written.
type fate uint8

const (
	untried fate = iota
	unsure       // sent, and no answer came
	refused      // Redis answered with an error
)

// push queues an entry and returns its number. Under the lock, before anybody
// else can queue, it calls noted.
func (w *writer) push(it write, noted func(seq uint64)) error {
	it.size = itemOverhead
	for _, f := range it.fields {
		it.size += len(f)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return errClosed
	case !it.must && !w.fits(it.size):
		return errBacklog
	}
	w.seq++
	it.seq, it.at = w.seq, time.Now()
	w.bytes += it.size
	w.items = append(w.items, it)
	if !it.must {
		w.open++
	}
	if noted != nil {
		noted(it.seq)
	}
	if len(w.items) == 1 {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// fits reports whether so much more may wait. What may not is counted. With mu
// held.
func (w *writer) fits(size int) bool {
	limit := w.s.o.BacklogBytes
	if w.bytes+size > limit {
		w.makeRoom(limit - limit/8 - size)
	}
	if w.bytes+size <= limit || w.bytes == 0 {
		return true
	}
	w.s.count.backlog.Add(1)
	if !w.full {
		w.full = true
		w.s.log.Warn("redis takes messages slower than they come: they are not sent to other nodes", "backlog", w.s.o.BacklogBytes)
	}
	return false
}

// makeRoom drops what has waited for longer than KeepTimeout, the oldest first,
// until no more than goal bytes are left. The clients of this node have got that
// without an offset, and go on getting what is new. With mu held.
func (w *writer) makeRoom(goal int) {
	old := time.Now().Add(-w.s.o.KeepTimeout)
	kept, i := w.items[:0], 0
	for ; i < len(w.items) && w.bytes > goal && w.items[i].at.Before(old); i++ {
		if it := w.items[i]; it.must {
			kept = append(kept, it)
		} else {
			w.bytes -= it.size
			w.open--
			w.s.count.backlog.Add(1)
		}
	}
	kept = append(kept, w.items[i:]...)
	clear(w.items[len(kept):])
	w.items = kept
}

// forget makes a queued marker useless.
func (w *writer) forget(void *bool) {
	w.mu.Lock()
	*void = true
	w.mu.Unlock()
}

// take returns what is to be written next, up to a fence, and what has waited
// too long.
func (w *writer) take() (batch, late []write, closed bool) {
	expired := time.Now().Add(-w.s.o.PublishTimeout)
	w.mu.Lock()
	defer w.mu.Unlock()
	n, bytes := 0, 0
	for n < len(w.items) && len(batch) < batchItems && bytes < batchBytes {
		it := w.items[n]
		if len(w.fences) > 0 && it.seq > w.fences[0].after {
			break
		}
		n++
		w.bytes -= it.size
		switch {
		case it.void != nil && *it.void:
		case (w.closed || !it.must) && it.at.Before(expired):
			late = append(late, it)
		default:
			bytes += it.size
			batch = append(batch, it)
		}
	}
	clear(w.items[:n])
	w.items = w.items[n:]
	if len(w.items) == 0 {
		w.items, w.full = nil, false
	}
	w.open -= messages(late)
	return batch, late, w.closed
}

// messages counts what is no marker.
func messages(list []write) (n int) {
	for _, it := range list {
		if !it.must {
			n++
		}
	}
	return n
}

// run writes until the writer is closed and nothing waits, or ctx ends. After a
// failure it goes on trying, with nothing if nothing waits: so [Cluster.Ready]
// knows when Redis takes writes again.
func (w *writer) run(ctx context.Context) {
	defer w.leave()
	pause := minPause
	for {
		w.release()
		batch, late, closed := w.take()
		w.giveUp(late)
		if len(batch) == 0 {
			switch {
			case len(late) > 0:
				continue
			case closed:
				return
			case w.ready() == nil:
				if !w.wait(ctx) {
					return
				}
				continue
			}
		}
		err := w.write(ctx, batch)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			pause = minPause
			continue
		}
		w.s.c.troubled("redis does not take messages", err)
		if !sleep(ctx, jitter(pause)) {
			return
		}
		pause = min(2*pause, maxAttempt/2)
	}
}

// leave counts what will not be written any more.
func (w *writer) leave() {
	w.mu.Lock()
	w.closed = true
	left := w.items
	w.items, w.open = nil, 0
	w.mu.Unlock()
	w.giveUp(left)
	w.release()
}

// giveUp counts messages that have waited too long.
func (w *writer) giveUp(late []write) {
	for _, it := range late {
		if it.must {
			continue
		}
		switch it.fate {
		case untried:
			w.s.count.late.Add(1)
		case unsure:
			w.s.count.lost.Add(1)
		case refused:
			w.s.count.refused.Add(1)
		}
	}
}

func (w *writer) wait(ctx context.Context) bool {
	select {
	case <-w.wake:
		return true
	case <-ctx.Done():
		return false
	}
}

// write writes a batch. If that fails it goes back to the front: it is not
// known what of it has been written, and the next time tells. An empty one only
// finds out whether Redis takes writes.
func (w *writer) write(ctx context.Context, batch []write) error {
	ask, cancel := context.WithTimeout(ctx, min(maxAttempt, w.s.o.PublishTimeout))
	defer cancel()
	keys := []string{w.s.name, numberKey(w.s.name, w.s.c.uid)}
	last, err := appendScript.Exec(ask, w.s.redis, keys, appendArgs(w.s.o, batch)).ToString()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = err
	if err != nil {
		w.putBack(batch, err)
		return err
	}
	w.refused = time.Time{}
	if last != "" {
		w.last = last
	}
	w.open -= messages(batch)
	w.s.count.written.Add(uint64(len(batch)))
	return nil
}

// putBack has a batch be the next again. With mu held.
func (w *writer) putBack(batch []write, err error) {
	what := unsure
	if _, ok := rueidis.IsRedisErr(err); ok {
		what = refused
	}
	switch {
	case what == unsure:
		w.refused = time.Time{}
	case w.refused.IsZero():
		w.refused = time.Now()
	}
	for i := range batch {
		batch[i].fate = max(batch[i].fate, what)
		w.bytes += batch[i].size
	}
	w.items = append(batch, w.items...)
}

// ready returns why nothing can be written, or nil.
func (w *writer) ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// close lets run end when nothing waits any more.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
