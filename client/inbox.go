package client

import (
	"context"
	"sync"
)

const (
	messageCost = 128 // bytes counted for each queued event besides its data
	stretch     = 4   // see inbox.push
)

// inbox is the queue between the reader and the handlers of one socket. Its
// goroutine exists while there is something to handle.
type inbox struct {
	limit int             // bytes
	room  chan<- struct{} // told when something was handled
	spawn func(func())    // starts the goroutine, in a wait group
	do    func(item)

	mu      sync.Mutex
	items   []item
	bytes   int
	running bool
	closed  bool // events are dropped, news still told
}

// item is an event, or news about the connection.
type item struct {
	message *Message
	news    func(ctx context.Context)
}

func (it item) cost() int {
	if it.message == nil {
		return 0
	}
	return messageCost + it.message.size()
}

// tell adds news, which are few and never wait.
func (b *inbox) tell(news func(ctx context.Context)) { b.put(item{news: news}, 0) }

// put adds an item unless the inbox holds limit bytes already; 0 is no limit.
func (b *inbox) put(it item, limit int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if limit > 0 && b.bytes >= limit {
		return false
	}
	if b.closed && it.message != nil {
		return true
	}
	b.items = append(b.items, it)
	b.bytes += it.cost()
	if !b.running {
		b.running = true
		b.spawn(b.run)
	}
	return true
}

// push adds an event and waits for room when the inbox is full: that holds up
// the reader, and by TCP the server. A handler that waits for an
// acknowledgement makes room only when the reader goes on, so while
// acknowledgements are awaited the inbox stretches to several times its limit.
// Once ctx is done there is nothing left to hold up and the event is added.
func (b *inbox) push(ctx context.Context, m *Message, room <-chan struct{}, awaited func() bool) {
	for {
		limit := b.limit
		if awaited() {
			limit *= stretch
		}
		if b.put(item{message: m}, limit) {
			return
		}
		select {
		case <-room:
		case <-ctx.Done():
			b.put(item{message: m}, 0)
			return
		}
	}
}

// close drops the events that are queued or still to come.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

func (b *inbox) run() {
	for {
		it, ok := b.take()
		if !ok {
			return
		}
		if it.message != nil || it.news != nil {
			b.do(it)
		}
		select {
		case b.room <- struct{}{}:
		default:
		}
	}
}

// take removes the first item. ok is false when there was none, and the
// goroutine is to end. A dropped event is returned as an empty item.
func (b *inbox) take() (it item, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.items) == 0 {
		b.running, b.items = false, nil
		return item{}, false
	}
	it = b.items[0]
	b.items[0] = item{}
	b.items = b.items[1:]
	b.bytes -= it.cost()
	if b.closed && it.message != nil {
		return item{}, true
	}
	return it, true
}
