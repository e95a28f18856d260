package redisstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
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

// fieldSeq is a field of the entries of Go nodes: the number that its sender
// gave the entry. Node.js ignores it.
const fieldSeq = "seq"

// number reads the number of an entry; without one, of Node.js, it is 0.
func number(seq string) uint64 {
	n, err := strconv.ParseUint(seq, 36, 64)
	if err != nil {
		return 0
	}
	return n
}

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
	bytes  int
	seq    uint64 // of the newest item
	full   bool   // overflowing; logged once until it has drained
	busy   bool   // a batch is being written
	last   string // id of the newest entry written
	closed bool
}

// write is an entry to be written.
type write struct {
	fields []string
	size   int
	seq    uint64
	at     time.Time
	must   bool              // tried until it succeeds: a marker of a gap
	fate   fate              // what has become of it so far
	void   *bool             // guarded by writer.mu: a newer marker makes this one useless
	fence  func(last string) // instead of an entry: called when all before is written or given up
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
	case !it.must && w.bytes+it.size > w.s.o.BacklogBytes && w.bytes > 0:
		w.s.count.backlog.Add(1)
		if !w.full {
			w.full = true
			w.s.log.Warn("redis takes messages slower than they come: they are not sent to other nodes", "backlog", w.s.o.BacklogBytes)
		}
		return errBacklog
	}
	w.seq++
	it.seq, it.at = w.seq, time.Now()
	w.bytes += it.size
	w.items = append(w.items, it)
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

// fence calls f, with the id of the newest entry written, when all that was
// queued before has been written or given up: at once, if it has.
func (w *writer) fence(f func(last string) error) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	if len(w.items) == 0 && !w.busy {
		last := w.last
		w.mu.Unlock()
		return f(last)
	}
	w.bytes += itemOverhead
	w.items = append(w.items, write{size: itemOverhead, at: time.Now(), fence: func(last string) {
		if err := f(last); err != nil {
			w.s.c.troubled("redis does not take messages", err)
		}
	}})
	w.mu.Unlock()
	return nil
}

// forget makes a queued marker useless.
func (w *writer) forget(void *bool) {
	w.mu.Lock()
	*void = true
	w.mu.Unlock()
}

// take returns what is to be written next, and what has waited too long.
func (w *writer) take() (batch, late []write, closed bool) {
	expired := time.Now().Add(-w.s.o.PublishTimeout)
	w.mu.Lock()
	defer w.mu.Unlock()
	n, bytes := 0, 0
	for n < len(w.items) && len(batch) < batchItems && bytes < batchBytes {
		it := w.items[n]
		n++
		w.bytes -= it.size
		switch {
		case it.fence != nil:
			batch = append(batch, it)
			clear(w.items[:n])
			w.items, w.busy = w.items[n:], true
			return batch, late, w.closed
		case it.void != nil && *it.void:
		case !it.must && it.at.Before(expired):
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
	w.busy = len(batch) > 0
	return batch, late, w.closed
}

// run writes until the writer is closed and nothing waits, or ctx ends.
func (w *writer) run(ctx context.Context) {
	pause := minPause
	for {
		batch, late, closed := w.take()
		w.giveUp(late)
		if len(batch) == 0 {
			if len(late) > 0 {
				continue
			}
			if closed || !w.wait(ctx) {
				return
			}
			continue
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

// giveUp counts what has waited too long.
func (w *writer) giveUp(late []write) {
	for _, it := range late {
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
// known what of it has been written, and the next time tells.
func (w *writer) write(ctx context.Context, batch []write) error {
	ask, cancel := context.WithTimeout(ctx, min(maxAttempt, w.s.o.PublishTimeout))
	defer cancel()
	entries := batch
	fence := batch[len(batch)-1].fence
	if fence != nil {
		entries = batch[:len(batch)-1]
	}
	last := ""
	var err error
	if len(entries) > 0 {
		keys := []string{w.s.name, numberKey(w.s.name, w.s.c.uid)}
		last, err = appendScript.Exec(ask, w.s.redis, keys, appendArgs(w.s.o, entries)).ToString()
	}
	w.mu.Lock()
	if err != nil {
		w.putBack(batch, err)
		w.mu.Unlock()
		return err
	}
	if last != "" {
		w.last = last
	}
	last = w.last
	w.mu.Unlock()
	w.s.count.written.Add(uint64(len(entries)))
	if fence != nil {
		fence(last)
	}
	return nil
}

// putBack has a batch be the next again. With mu held.
func (w *writer) putBack(batch []write, err error) {
	what := unsure
	if _, ok := rueidis.IsRedisErr(err); ok {
		what = refused
	}
	for i := range batch {
		batch[i].fate = max(batch[i].fate, what)
		w.bytes += batch[i].size
	}
	w.items = append(batch, w.items...)
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
