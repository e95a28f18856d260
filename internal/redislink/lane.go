package redislink

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/internal/respite"
)

// A batch is what a lane sends in one write.
const (
	batchItems = 1024
	batchBytes = 1 << 20
)

// Messages that come often wait for each other, for Options.Gather. To Redis and
// to both nodes a batch of a few costs about as much as a single message, so
// that a third of the processor time is saved at a thousand messages a second.
// Nothing waits when the last batch is twice that long ago, when there are
// gatherItems, or after waiting in vain (package respite), as it is for one who
// waits for every answer.
const gatherItems = 64

// itemOverhead is what an item in the backlog costs besides its bytes.
const itemOverhead = 128

// item is something to be sent.
type item struct {
	verb    verb
	channel string
	data    []byte
	command rueidis.Completed // of verbCommand
	done    func(rueidis.RedisMessage, error)
	at      time.Duration // when it was queued, since the link's start
	moves   uint8         // how often another master was named
}

type verb uint8

const (
	verbPublish verb = iota
	verbShardPublish
	verbCommand
)

func (it *item) size() int {
	size := len(it.channel) + len(it.data) + itemOverhead
	if it.verb == verbCommand {
		for _, arg := range it.command.Commands() {
			size += len(arg)
		}
	}
	return size
}

// lane sends to one master, in order. Callers append, its goroutine sends what
// has queued and waits for the answers. Nobody else uses the connection, and
// no context can end its commands: so rueidis writes and reads on the lane's
// own goroutine, with no goroutine of its own in between. At a thousand
// messages a second that is a third of the processor time of its pipelining
// mode; the price is that the end of an idle connection goes unnoticed, so the
// lane looks (dead) before it uses one.
type lane struct {
	link  *Link
	addr  string
	wake  chan struct{} // capacity 1
	reset chan struct{} // capacity 1
	ended chan struct{} // closed when the goroutine has ended

	// The goroutine's own.
	node *node
	used time.Duration // when the connection was used
	rest respite.Rest  // in batches, from gathering

	mu      sync.Mutex
	items   []item
	bytes   int // of items
	retired bool
	up      bool          // there is a connection, or there never was a need
	downAt  time.Duration // since when there is none
	refuse  bool          // it is down for too long: nothing waits
	full    bool          // overflowing; logged once until it has drained
	timer   *time.Timer   // drops what waits too long; nil while up
}

func (l *Link) newLane(addr string) *lane {
	n := &lane{link: l, addr: addr, wake: make(chan struct{}, 1), reset: make(chan struct{}, 1), ended: make(chan struct{}), up: true}
	l.wg.Go(n.run)
	return n
}

// push appends an item, or returns why not. An item that is not taken is
// counted, except when the lane is retired.
func (n *lane) push(it item) error {
	size := it.size()
	n.mu.Lock()
	switch {
	case n.retired:
		n.mu.Unlock()
		return errRetired
	case n.refuse:
		n.mu.Unlock()
		n.link.count.down.Add(1)
		return ErrDown
	case n.bytes+size > n.link.options.BacklogBytes && n.bytes > 0:
		first := !n.full
		n.full = true
		n.mu.Unlock()
		n.link.count.backlog.Add(1)
		if first {
			n.link.log.Warn("redis takes messages slower than they come: they are dropped", "addr", n.addr, "backlog", n.link.options.BacklogBytes)
		}
		return ErrBacklog
	}
	n.bytes += size
	n.items = append(n.items, it)
	first := len(n.items) == 1
	n.mu.Unlock()
	if first {
		n.nudge()
	}
	return nil
}

func (n *lane) nudge() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *lane) size() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bytes
}

// healthy reports whether the lane has a connection.
func (n *lane) healthy() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.up
}

// restart has the lane connect anew.
func (n *lane) restart() {
	select {
	case n.reset <- struct{}{}:
	default:
	}
	n.nudge()
}

// retire ends the lane and returns what it has not sent.
func (n *lane) retire() []item {
	n.mu.Lock()
	n.retired = true
	items := n.items
	n.items, n.bytes = nil, 0
	n.stopTimer()
	n.mu.Unlock()
	n.nudge()
	return items
}

// take returns what is to be sent next, and the batch's array for reuse.
func (n *lane) take(batch []item) (_ []item, retired bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	count, bytes := 0, 0
	for count < len(n.items) && count < batchItems && bytes < batchBytes {
		bytes += n.items[count].size()
		count++
	}
	n.bytes -= bytes
	if count == len(n.items) { // the usual case: swap
		batch, n.items = n.items, batch[:0]
		n.full = false
	} else {
		batch, n.items = n.items[:count:count], n.items[count:]
	}
	return batch, n.retired
}

// gather waits for more to send, if there is something and it comes often.
func (n *lane) gather() {
	before, wait := n.waiting(), n.link.options.Gather
	switch {
	case before == 0 || before >= gatherItems || n.link.now()-n.used > 2*wait || wait < 0:
		return
	case !n.rest.Over():
		return
	}
	select {
	case <-time.After(wait):
	case <-n.link.draining:
	}
	n.rest.Waited(n.waiting() > before)
}

// waiting returns how many items there are to send.
func (n *lane) waiting() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.items)
}

// run sends until the lane is retired, or the link closed and nothing waits.
func (n *lane) run() {
	defer close(n.ended)
	defer n.disconnect()
	ctx := context.WithValue(context.Background(), laneKey{}, n)
	var batch []item
	for {
		select {
		case <-n.reset:
			n.lost(errForced)
		default:
		}
		if !n.healthy() && !n.reconnect(ctx) {
			return
		}
		n.gather()
		if err := n.usable(ctx); err != nil {
			n.lost(err)
			n.link.kick()
			continue
		}
		var retired bool
		batch, retired = n.take(batch)
		if len(batch) > 0 {
			n.send(ctx, batch)
			clear(batch)
			if cap(batch) > 4*batchItems {
				batch = nil // do not keep the memory of a burst
			}
			continue
		}
		if retired {
			return
		}
		select {
		case <-n.wake:
		case <-n.link.draining:
			if n.size() == 0 {
				return
			}
		}
	}
}
