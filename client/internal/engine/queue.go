package engine

import (
	"context"
	"net"
	"sync"

	"github.com/socketeer-io/socketeer/protocol/eio"
)

// packetCost is counted for each queued packet besides its data.
const packetCost = 48

// Fence keeps, among packets that are sent, those after it back until the server
// has taken in those before it. The JavaScript server drops the events that it
// reads together with the DISCONNECT after them; a fence between makes it two
// reads.
var Fence = eio.Packet{Type: fence}

const fence eio.Type = 0xff

// queue holds the packets on their way to the writer.
type queue struct {
	limit int // bytes
	ready chan struct{}

	mu     sync.Mutex
	ps     []eio.Packet
	bytes  int
	pong   *eio.Packet   // leaves before everything else
	busy   bool          // the writer is at work on a batch
	closed bool          // nothing is added any more
	space  chan struct{} // closed when room appears; nil while nobody waits
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, ready: make(chan struct{}, 1)}
}

// add appends all of ps or none. The queue is full when its limit is reached, so
// that the last packets to fit may be of any size. A forced add always fits.
func (q *queue) add(ps []eio.Packet, force bool) error {
	n := 0
	for i := range ps {
		n += len(ps[i].Data) + packetCost
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return net.ErrClosed
	case !force && q.bytes >= q.limit:
		return ErrFull
	}
	q.ps = append(q.ps, ps...)
	q.bytes += n
	q.signal()
	return nil
}

// answer queues the pong. A second ping before the first is answered needs one
// pong only.
func (q *queue) answer(p eio.Packet) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.pong = &p
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns all packets, waiting for some. It returns nil when the queue is
// closed and empty, or the context done. The batch returned before is the
// queue's again.
func (q *queue) take(ctx context.Context, spare []eio.Packet) []eio.Packet {
	for {
		if ctx.Err() != nil {
			return nil
		}
		batch, closed := q.swap(spare)
		if len(batch) > 0 {
			return batch
		}
		if closed {
			return nil
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
		}
	}
}

func (q *queue) swap(spare []eio.Packet) (batch []eio.Packet, closed bool) {
	clear(spare)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = false
	if q.pong != nil {
		// Alone, so that it need not be squeezed in front of the others.
		batch, q.pong, q.busy = []eio.Packet{*q.pong}, nil, true
		return batch, false
	}
	if len(q.ps) == 0 {
		return nil, q.closed
	}
	batch, q.ps = q.ps, spare[:0]
	q.bytes, q.busy = 0, true
	if q.space != nil {
		close(q.space)
		q.space = nil
	}
	return batch, q.closed
}

// wait returns when there was room for a moment, or the queue is closed.
func (q *queue) wait(ctx context.Context) error {
	q.mu.Lock()
	if q.closed || q.bytes < q.limit {
		q.mu.Unlock()
		return nil
	}
	if q.space == nil {
		q.space = make(chan struct{})
	}
	space := q.space
	q.mu.Unlock()
	select {
	case <-space:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// idle tells whether a packet added now would leave at once.
func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.closed && !q.busy && len(q.ps) == 0
}

// close lets nothing in any more; what is queued can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.space != nil {
		close(q.space)
		q.space = nil
	}
	q.signal()
}
