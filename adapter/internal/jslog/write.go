package jslog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/replay"
)

// batchBytes is about how much is written at once, at most, unless a message
// alone is larger.
const batchBytes = 256 << 10

// itemOverhead is what a message that waits costs besides its bytes.
const itemOverhead = 256

// maxAttempt bounds the wait for the answer to one write, which is repeated.
const maxAttempt = time.Second

// The node is not ready when JetStream has refused messages for refusedTime,
// since a single error may be of a moment; or has not answered for silentTime,
// since it takes up to 10 s to agree on a leader.
const (
	refusedTime = 2 * time.Second
	silentTime  = 10 * time.Second
)

var errBacklog = errors.New("socketeer: jetstream takes messages slower than they come")

// writer writes records, in order: callers queue, its goroutine sends what has
// queued as one message and waits for the answer, and tries again until there is
// one or PublishTimeout has passed.
type writer struct {
	l    *Log
	wake chan struct{} // capacity 1

	mu     sync.Mutex // guards the rest
	items  []item
	bytes  int
	number uint64 // of the newest item
	full   bool   // overflowing; logged once until it has drained
	closed bool

	refused, silent lapse
}

// item is a record to be written.
type item struct {
	record
	at    time.Time
	first bool  // begins a batch: something was sent beside the stream before it
	must  bool  // tried until it succeeds: a marker of a gap
	tried bool  // JetStream may have taken it
	void  *bool // guarded by writer.mu: a newer marker makes this one useless
}

func (it *item) size() int { return itemOverhead + len(it.body) }

// push queues an item and returns its number. Under the lock, before anybody
// else can queue, it calls noted.
func (w *writer) push(it item, noted func(number uint64)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	limit := w.l.cfg.BacklogBytes
	if !it.must && w.bytes+it.size() > limit {
		w.makeRoom(limit - limit/8 - it.size())
	}
	switch {
	case w.closed:
		return errClosed
	case !it.must && w.bytes+it.size() > limit && w.bytes > 0:
		w.l.count.dropBacklog.Add(1)
		if !w.full {
			w.full = true
			w.l.log.Warn("jetstream takes messages slower than they come: they are not sent to other nodes", "backlog", limit)
		}
		return errBacklog
	}
	w.number++
	it.number, it.at = w.number, time.Now()
	w.bytes += it.size()
	w.items = append(w.items, it)
	noted(it.number)
	if len(w.items) == 1 {
		w.signal()
	}
	return nil
}

// makeRoom drops what has waited for longer than KeepTimeout, the oldest first,
// until no more than goal bytes are left. The clients of this node have got that
// without an offset, and go on getting what is new. Markers that are useless go,
// too. With mu held.
func (w *writer) makeRoom(goal int) {
	old := time.Now().Add(-w.l.cfg.KeepTimeout)
	kept, i := w.items[:0], 0
	for ; i < len(w.items) && w.bytes > goal && w.items[i].at.Before(old); i++ {
		it := w.items[i]
		if it.must && !*it.void {
			kept = append(kept, it)
			continue
		}
		w.bytes -= it.size()
		if !it.must {
			w.l.count.dropBacklog.Add(1)
		}
	}
	kept = append(kept, w.items[i:]...)
	clear(w.items[len(kept):])
	w.items = kept
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// forget makes a queued marker useless.
func (w *writer) forget(void *bool) {
	w.mu.Lock()
	*void = true
	w.mu.Unlock()
}

// take returns what is to be written next.
func (w *writer) take() (batch []item, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, size := 0, batchHeader
	for n < len(w.items) {
		it := w.items[n]
		more := recordOverhead + len(it.body)
		if len(batch) > 0 && (it.first || size+more > min(batchBytes, w.l.cfg.MaxPayload-Overhead)) {
			break
		}
		n++
		w.bytes -= it.size()
		if it.void == nil || !*it.void {
			batch = append(batch, it)
			size += more
		}
	}
	clear(w.items[:n])
	w.items = w.items[n:]
	if len(w.items) == 0 {
		w.items, w.full = nil, false
	}
	return batch, w.closed
}

// run writes until the writer is closed and nothing waits, or ctx ends.
func (w *writer) run(ctx context.Context) {
	defer w.leave()
	for {
		batch, closed := w.take()
		if len(batch) > 0 {
			w.deal(ctx, batch)
			if ctx.Err() != nil {
				return
			}
			continue
		}
		if closed {
			return
		}
		w.answered(nil) // nothing is left that it may refuse
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
	}
}

// leave counts what will not be written any more.
func (w *writer) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, it := range w.items {
		if !it.must {
			w.l.count.dropLate.Add(1)
		}
	}
	w.items = nil
}

// deal writes a batch, the same one until JetStream has taken it or it has waited
// for too long.
func (w *writer) deal(ctx context.Context, batch []item) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		if batch = w.inTime(batch); len(batch) == 0 {
			return
		}
		err := w.send(ctx, batch)
		w.answered(err)
		if err == nil {
			w.l.count.written.Add(uint64(len(batch)))
			w.l.count.batches.Add(1)
			return
		}
		if ctx.Err() != nil {
			w.l.count.dropUnsure.Add(uint64(len(batch)))
			return
		}
		w.l.troubled("messages are not taken", err)
		for i := range batch {
			batch[i].tried = true
		}
		if !sleep(ctx, jitter(pause)) {
			return
		}
	}
}

// inTime returns the batch, or when the newest message in it has waited for too
// long, only the markers. What JetStream may have taken is not sent again as part
// of another batch: it could not know it.
func (w *writer) inTime(batch []item) []item {
	late := time.Now().Add(-w.l.cfg.PublishTimeout)
	for _, it := range batch {
		if !it.must && it.at.After(late) {
			return batch
		}
	}
	var keep []item
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, it := range batch {
		switch {
		case it.must && !*it.void:
			keep = append(keep, it)
		case it.must:
		case it.tried:
			w.l.count.dropUnsure.Add(1)
		default:
			w.l.count.dropLate.Add(1)
		}
	}
	return keep
}

// send makes one attempt. The id tells the messages.
func (w *writer) send(ctx context.Context, batch []item) error {
	ask, cancel := context.WithTimeout(ctx, maxAttempt)
	defer cancel()
	cfg := &w.l.cfg
	size := batchHeader
	for _, it := range batch {
		size += recordOverhead + len(it.body)
	}
	b := appendBatch(make([]byte, 0, size), cfg.Self)
	for _, it := range batch {
		b = appendRecord(b, it.record)
	}
	id := fmt.Sprintf("%s.%d.%d.%d", cfg.Self, batch[0].number, batch[len(batch)-1].number, len(batch))
	w.l.count.attempts.Add(1)
	_, err := w.l.js.Publish(ask, cfg.logSubject(cfg.Self), b, jetstream.WithMsgID(id),
		jetstream.WithExpectStream(cfg.logStream()), jetstream.WithRetryAttempts(0))
	return err
}

// answered notes what came of an attempt. JetStream can be there and take
// nothing: a stream that is full, an account without room. Or there is no
// leader, because more than half of the servers are gone.
func (w *writer) answered(err error) {
	var api *jetstream.APIError
	var refused, silent error
	if errors.As(err, &api) && !passing(err) {
		refused = err
	} else if silent = err; errors.Is(err, context.DeadlineExceeded) {
		w.l.suspect()
	}
	w.refused.note(refused)
	w.silent.note(silent)
}

// ready returns why JetStream has been taking nothing for a while, or nil.
func (w *writer) ready() error {
	if err := cmp.Or(w.refused.longer(refusedTime), w.silent.longer(silentTime)); err != nil {
		return fmt.Errorf("socketeer: jetstream takes no messages: %w", err)
	}
	return nil
}

// close lets run end when nothing waits any more.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
}

// Append keeps m, whose body the nodes decode; fenced says that a fence of it
// must pass first. It calls kept as [adapter.Log] says.
func (l *Log) Append(nsp string, m *adapter.Message, body []byte, fenced bool, kept func(offset string)) error {
	if len(body) > l.cfg.MaxPayload-Overhead {
		return fmt.Errorf("socketeer: message of %d bytes is too large to be kept", len(body))
	}
	a := &appended{nsp: nsp, m: m, kept: kept, at: time.Now()}
	return l.write.push(item{record: record{kind: kindMessage, body: body}, first: fenced}, func(number uint64) {
		a.number = number
		l.pending.Add(a)
	})
}

// markGap has a marker written where messages are missing, as soon as JetStream
// takes one. Until it has come back nobody recovers here. A marker that is still
// queued gives way: the new one is after it. With deliver held.
func (l *Log) markGap() {
	if l.gapVoid != nil {
		l.write.forget(l.gapVoid)
	}
	void := new(bool)
	l.gapVoid = void
	if err := l.write.push(item{record: record{kind: kindGap}, must: true, void: void}, l.history.Soil); err != nil {
		l.history.Soil(replay.Forever) // the node ends
	}
}
