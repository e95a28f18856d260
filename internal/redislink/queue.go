package redislink

import (
	"context"
	"sync"
)

// queue stands between the connections' readers and Receive.
type queue struct {
	link  *Link
	limit int           // bytes
	wake  chan struct{} // capacity 1

	mu    sync.Mutex
	items []received
	bytes int  // of items and of the one being handled
	full  bool // overflowing; logged once until it has drained
}

// received is a message, or that there was an outage before what follows.
type received struct {
	Message
	outage *Outage
}

// messageOverhead is what a queued message costs besides its bytes.
const messageOverhead = 96

func (m *received) size() int {
	return len(m.Channel) + len(m.Pattern) + len(m.Data) + messageOverhead
}

// push appends, or drops what is too much. An outage is never dropped.
func (q *queue) push(m received) {
	size := m.size()
	q.mu.Lock()
	if m.outage == nil && q.bytes+size > q.limit && q.bytes > 0 {
		first := !q.full
		q.full = true
		q.mu.Unlock()
		q.link.count.queue.Add(1)
		if first {
			q.link.log.Warn("messages come from redis faster than they are handled: they are dropped", "queued", q.limit)
		}
		return
	}
	q.bytes += size
	q.items = append(q.items, m)
	first := len(q.items) == 1
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// run hands over what is pushed until ctx ends.
func (q *queue) run(ctx context.Context) {
	var batch []received
	for {
		q.mu.Lock()
		batch, q.items = q.items, batch[:0]
		if len(batch) == 0 {
			q.full = false
		}
		q.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-q.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		for i := range batch {
			if ctx.Err() != nil {
				return
			}
			m := &batch[i]
			if m.outage != nil {
				q.link.options.OnResubscribed(*m.outage)
			} else {
				q.link.count.received.Add(1)
				q.link.options.Receive(m.Message)
			}
			q.mu.Lock()
			q.bytes -= m.size()
			q.mu.Unlock()
			*m = received{}
		}
		if cap(batch) > 4096 {
			batch = nil // do not keep the memory of a burst
		}
	}
}
