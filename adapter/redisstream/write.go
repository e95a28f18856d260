package redisstream

import (
	"cmp"
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

var (
	errBacklog = errors.New("socketeer: redis takes messages slower than they come")
	errClosed  = fmt.Errorf("socketeer: redis streams: %w", net.ErrClosed)
)

// writer appends entries to one stream, in order: callers queue, its goroutine
// writes what has queued and waits for the answers. An entry is written at most
// once.
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
	void   *bool             // guarded by writer.mu: a newer marker makes this one useless
	fence  func(last string) // instead of an entry: called when all before is written or given up
}

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
			w.items = w.items[n:]
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
		w.s.count.late.Add(uint64(len(late)))
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
		pause = min(2*pause, w.s.o.PublishTimeout/2)
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

// write writes a batch. Markers that were not written go back to the front.
func (w *writer) write(ctx context.Context, batch []write) (failure error) {
	ask, cancel := context.WithTimeout(ctx, w.s.o.PublishTimeout)
	defer cancel()
	fence := batch[len(batch)-1].fence
	if fence != nil {
		batch = batch[:len(batch)-1]
	}
	commands := make(rueidis.Commands, len(batch))
	for i, it := range batch {
		commands[i] = w.command(it)
	}
	var again []write
	last := ""
	var results []rueidis.RedisResult
	if len(commands) > 0 {
		results = w.s.redis.DoMulti(ask, commands...)
	}
	for i, r := range results {
		it := batch[i]
		err := r.Error()
		switch {
		case err == nil:
			w.s.count.written.Add(1)
			last, _ = r.ToString()
		case it.must:
			again = append(again, it)
		case r.NonRedisError() != nil:
			w.s.count.lost.Add(1)
		default:
			w.s.count.refused.Add(1)
		}
		if err != nil {
			failure = err
		}
	}
	w.mu.Lock()
	w.last = cmp.Or(last, w.last)
	if len(again) > 0 {
		for _, it := range again {
			w.bytes += it.size
		}
		w.items = append(again, w.items...)
	}
	last = w.last
	w.mu.Unlock()
	if fence != nil {
		fence(last)
	}
	return failure
}

func (w *writer) command(it write) rueidis.Completed {
	args := make([]string, 0, len(it.fields)+6)
	if w.s.o.MaxLen > 0 {
		args = append(args, "MAXLEN", "~", strconv.Itoa(w.s.o.MaxLen))
	}
	args = append(args, "*")
	args = append(args, it.fields...)
	args = append(args, fieldSeq, strconv.FormatUint(it.seq, 36))
	return w.s.redis.B().Arbitrary("XADD").Keys(w.s.name).Args(args...).Build()
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
